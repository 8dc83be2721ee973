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
CLOCK = 50_000_000  # nanoseconds: two changes of a folder that are nearer may have one time


def jittor_cache() -> Path:
    """Where Jittor keeps what it compiles; importing Jittor to ask it would compile."""
    return Path(os.environ.get("JITTOR_HOME") or Path.home()) / ".cache" / "jittor"


class Kernels:
    """Counts the kernels in a cache; another process that uses the same cache is counted along."""

    def __init__(self, cache: Path | None = None):
        self.cache = cache or jittor_cache()
        # by folder: when it was changed, and its kernels
        self.known: dict[Path, tuple[int, list[str]]] = {}
        self.old = {folder: frozenset(names) for folder, names in self.built()}
        self.before = self.count()

    def count(self) -> int:
        return sum(len(names) for _, names in self.built())

    def fresh(self) -> int:
        return self.count() - self.before

    def seconds(self) -> float:
        """Of compilers, for kernels that came since: a kernel's source is written just before it is compiled."""
        total = 0.0
        for folder, names in self.built():
            for name in frozenset(names) - self.old.get(folder, frozenset()):
                with suppress(OSError):  # it is being written anew
                    library = f"{folder}/{name}"
                    source = f"{library[: -len(BUILT)]}_op.cc"
                    total += max(0.0, os.stat(library).st_mtime - os.stat(source).st_mtime)
        return total

    def built(self) -> Iterator[tuple[Path, list[str]]]:
        """Each folder with its kernels, listed again only where it has changed."""
        # version / compiler / python / system / processor / hash of the flags / name of the cache [/ CUDA] / jit
        places = "jt*/*/*/*/*/*/*/jit", "jt*/*/*/*/*/*/*/cu*/jit"
        for folder in (found for place in places for found in self.cache.glob(place)):
            with suppress(OSError):  # it was just removed
                changed = folder.stat().st_mtime_ns
                if self.known.get(folder, (0, []))[0] != changed:
                    names = [name for name in os.listdir(folder) if name.endswith(BUILT)]
                    settled = time.time_ns() - changed > CLOCK
                    self.known[folder] = changed if settled else 0, names
                yield folder, self.known[folder][1]
