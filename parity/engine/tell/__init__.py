"""What a reader is told: causes and consequences, what is known, scripts that show a failure by itself.

Start with causes.py.
"""
