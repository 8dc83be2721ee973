"""How many threads the user allows a process."""

from __future__ import annotations

import os
import re


def threads() -> int | None:
    """What OMP_NUM_THREADS says of the outermost level, as 4 of "4,2". None where it is not set or no such number,
    which OpenMP passes over, too."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) or None if re.fullmatch("[0-9]{1,9}", first) else None
