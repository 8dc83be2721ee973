"""What the harness calls of a framework: one module per framework with the same functions (see base.py)."""
