"""What can be asked of a pair: whole examinations, steps, data, initial values, functions, names, floors, records.

Start with examine.py (the whole question), examination.py (its runs) and result.py (what came of them);
everything.py is what `parity run` asks.
"""
