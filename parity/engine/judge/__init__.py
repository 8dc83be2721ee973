"""What becomes of two arrays: limits, verdicts, gates. NumPy alone, in the parent process.

Start with gates.py (the limits) and verdicts.py, then judging.py; gates are semantic.py, precision.py, localise.py.
"""
