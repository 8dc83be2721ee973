"""Thin command lines: `python -m scripts.NAME --help`."""
