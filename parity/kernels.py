"""How many kernels Jittor has compiled since a run began, told by the files that appear in its cache."""

from __future__ import annotations

import os
from pathlib import Path

BUILT = "_op.so"  # how the name of a compiled kernel ends


def jittor_cache() -> Path:
    """Where Jittor keeps what it compiles; importing Jittor to ask it would compile."""
    return Path(os.environ.get("JITTOR_HOME") or Path.home()) / ".cache" / "jittor"


class Kernels:
    """Counts the kernels in a cache; another process that uses the same cache is counted along."""

    def __init__(self, cache: Path | None = None):
        self.cache = cache or jittor_cache()
        self.before = self.count()

    def count(self) -> int:
        # version / compiler / python / system / processor / hash of the flags / name of the cache / jit
        return sum(map(count_built, self.cache.glob("jt*/*/*/*/*/*/*/jit")))

    def fresh(self) -> int:
        return self.count() - self.before


def count_built(folder: Path) -> int:
    try:
        with os.scandir(folder) as entries:
            return sum(entry.name.endswith(BUILT) for entry in entries)
    except OSError:  # the folder was just removed
        return 0
