"""Folders for what processes hand each other: in memory where there is room, and swept when nobody is left to do it.

Before: nothing. Workers, records and scripts have their folders from here.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM = (
    8 << 30
)  # bytes: several records of a ResNet-50 in float64, and what the workers need beside them
OWN: dict[Path, int] = {}  # this process's folders, and the descriptors of their locks


def scratch(name: str, memory: bool = True) -> Path:
    """A new folder, the caller's to remove, else gone with the process; on a disk where memory is short, or not to be
    taken.

    It is locked, so that what killed processes left is told from what is in use, and removed.
    """
    disk = Path(tempfile.gettempdir())
    for base in {MEMORY, disk}:
        sweep(base)
    base = MEMORY if memory and roomy() else disk
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"parity-{os.getpid()}-{name}-", dir=base))
        descriptor = os.open(folder, os.O_RDONLY)
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            OWN[folder] = descriptor
            return folder
        os.close(descriptor)  # swept by somebody before it was locked


def discard(folder: Path) -> None:
    """Removes a folder that `scratch` made."""
    shutil.rmtree(folder, ignore_errors=True)
    if (descriptor := OWN.pop(folder, None)) is not None:
        os.close(descriptor)


@atexit.register
def discard_all() -> None:
    for folder in list(OWN):
        discard(folder)


def forget_in_child() -> None:
    """The folders are the first process's; a copy of it must not hold their locks."""
    for descriptor in OWN.values():
        os.close(descriptor)
    OWN.clear()


os.register_at_fork(after_in_child=forget_in_child)


@contextlib.contextmanager
def scratch_folder(name: str) -> Iterator[Path]:
    folder = scratch(name)
    try:
        yield folder
    finally:
        discard(folder)


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
        if process.isdecimal() and not Path("/proc", process).exists():
            remove_unheld(folder)


def remove_unheld(folder: Path) -> None:
    """Deletes a folder whose lock nobody holds."""
    with contextlib.suppress(OSError):  # gone, or somebody else's
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
        finally:
            os.close(descriptor)
