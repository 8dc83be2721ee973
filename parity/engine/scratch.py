"""Folders for what processes hand each other: in memory where there is room, and swept when nobody is left to do it."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM = (
    8 << 30
)  # bytes: several records of a ResNet-50 in float64, and what the workers need beside them
FORGOTTEN = 3600.0  # seconds after which the folder of a process that is gone is nobody's


def scratch(name: str) -> Path:
    """A new folder, the caller's to remove; on a disk where memory is short."""
    base = MEMORY if roomy() else None
    if base is not None:
        sweep(base)
    return Path(tempfile.mkdtemp(prefix=f"parity-{os.getpid()}-{name}-", dir=base))


def roomy() -> bool:
    """Whether there is a file system in memory with enough of it."""
    if not os.access(MEMORY, os.W_OK):
        return False
    there = os.statvfs(MEMORY)
    return min(there.f_bavail * there.f_frsize, available_memory()) >= ROOM


def available_memory() -> int:
    """Bytes; 0 where the system does not say."""
    with contextlib.suppress(OSError), open("/proc/meminfo") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return 0


def sweep(base: Path) -> None:
    """Removes what killed processes left."""
    for folder in base.glob("parity-*-*"):
        process = folder.name.split("-")[1]
        with contextlib.suppress(OSError):
            old = time.time() - folder.stat().st_mtime > FORGOTTEN
            if old and process.isdecimal() and not Path("/proc", process).exists():
                shutil.rmtree(folder, ignore_errors=True)
