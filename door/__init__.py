"""What the harness and the detectors both need, as neither may import the other: files that are read and written whole,
shapes of their content, ranges of numbers, text and the terminal, random streams, what a process takes. A leaf.

Start with errors.py, then files.py and schema.py.
"""
