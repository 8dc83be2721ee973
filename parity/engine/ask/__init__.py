"""What can be asked of a pair: whole examinations, steps, data, initial values, functions, names, floors, records.

Start with result.py (`examine`) and examine.py (its runs); everything.py is what `parity run` asks.
"""
