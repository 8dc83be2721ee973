"""What this process takes of memory, and which libraries it has loaded."""

from __future__ import annotations

import functools
from pathlib import Path

from door.files import sha256_of


def peak_memory() -> float:
    """Greatest resident memory of this process in MiB; getrusage would begin with the parent's."""
    return _memory("VmHWM:")


def resident_memory() -> float:
    """MiB that this process takes."""
    return _memory("VmRSS:")


def _memory(key: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    return float("nan")


@functools.cache
def loaded_libraries(*names: str) -> dict[str, str]:
    """First 16 digits of the SHA-256 of this process's shared libraries whose file names begin with one of `names`."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text().splitlines() if maps.exists() else []
    paths = {line.split(maxsplit=5)[5] for line in lines if line.count("/")}
    return {
        Path(path).name: sha256_of(path)[:16]
        for path in sorted(paths)
        if Path(path).name.startswith(names) and Path(path).is_file()
    }
