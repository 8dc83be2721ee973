"""How many kernels Jittor has compiled since a run began, and how long that took: the files in its cache tell.

Before: nothing. report/live.py shows it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

BUILT = "_op.so"  # how the name of a compiled kernel ends


def jittor_cache() -> Path:
    """Where Jittor keeps what it compiles; importing Jittor to ask it would compile."""
    return Path(os.environ.get("JITTOR_HOME") or Path.home()) / ".cache" / "jittor"


class Kernels:
    """Counts the kernels in a cache; another process that uses the same cache is counted along."""

    def __init__(self, cache: Path | None = None):
        self.cache = cache or jittor_cache()
        self.began = time.time()
        self.before = self.count()

    def count(self) -> int:
        return sum(1 for _ in self.built())

    def fresh(self) -> int:
        return self.count() - self.before

    def seconds(self) -> float:
        """Of compilers, for kernels that came since: a kernel's source is written just before it is compiled."""
        total = 0.0
        for library in self.built():
            with suppress(OSError):  # it is being written anew
                made = library.stat().st_mtime
                if made >= self.began:
                    source = f"{library.path[: -len(BUILT)]}_op.cc"
                    total += max(0.0, made - os.stat(source).st_mtime)
        return total

    def built(self) -> Iterator[os.DirEntry]:
        # version / compiler / python / system / processor / hash of the flags / name of the cache [/ CUDA] / jit
        places = "jt*/*/*/*/*/*/*/jit", "jt*/*/*/*/*/*/*/cu*/jit"
        for folder in (found for place in places for found in self.cache.glob(place)):
            with suppress(OSError), os.scandir(folder) as entries:  # the folder was just removed
                yield from (e for e in entries if e.name.endswith(BUILT))
