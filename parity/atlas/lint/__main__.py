"""`python -m parity.atlas.lint`, see command.py."""

from __future__ import annotations

import sys

from parity.atlas.lint import main

if __name__ == "__main__":
    sys.exit(main())
