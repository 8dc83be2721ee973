"""Files and folders on their way to another name: locked while they are written, and cleared away when nobody does.

The kernel holds the locks (flock), so that they end with their process however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from pathlib import Path

UNFINISHED = re.compile(r"\.unfinished-[0-9a-f]{8}(\..*)?")


def is_held(descriptor: int) -> bool:
    """Whether another process holds the lock of an open file; where nobody does, this one does from now on."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def unfinished(folder: Path, suffix: str = "", is_folder: bool = False) -> tuple[Path, int]:
    """A new file or folder in `folder`, on its way to another name: (path, descriptor of its lock, to be closed).

    The user's umask decides about permissions.
    """
    while True:
        path = folder / f".unfinished-{os.urandom(4).hex()}{suffix}"
        if is_folder:
            path.mkdir()
            descriptor = os.open(path, os.O_RDONLY)
        else:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return path, descriptor
        os.close(descriptor)  # somebody cleared up in between


def clear_unfinished(folder: Path) -> None:
    """Deletes what killed processes left of files and folders on their way; what is being written stays."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if UNFINISHED.fullmatch(path.name):
                remove_unheld(path)


def remove_unheld(path: Path) -> None:
    """Deletes a file or folder whose lock nobody holds."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return
    try:
        if not is_held(descriptor):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    except OSError:  # gone, not ours to delete, or no locks here
        pass
    finally:
        os.close(descriptor)
