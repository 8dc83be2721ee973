"""How long this process has spent on something, over and over.

Before: nothing. ask/examination.py and report/report.py count with it.
"""

from __future__ import annotations

import time


class Stopwatch:
    """`seconds` of all its `with` blocks together; the outermost of nested ones counts."""

    def __init__(self):
        self.seconds, self.depth, self.began = 0.0, 0, 0.0

    def __enter__(self) -> Stopwatch:
        if not self.depth:
            self.began = time.monotonic()
        self.depth += 1
        return self

    def __exit__(self, *_) -> None:
        self.depth -= 1
        if not self.depth:
            self.seconds += time.monotonic() - self.began


COMPARING = Stopwatch()  # of all examinations of this process
