"""Who may write where: one process at a time, which says who it is.

The kernel holds the locks (flock), so that they end with their process however that ends.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from door.unfinished import clear_unfinished, is_held
from neutral.errors import InputError

OWNER = ".owner"  # says who writes into a folder; there only while somebody does
WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF}
HELD: dict[Path, int] = {}  # folders of this process, and the descriptors of their locks


def release_in_child() -> None:
    """A copy of this process would hold its locks after its death."""
    for descriptor in HELD.values():
        os.close(descriptor)
    HELD.clear()


os.register_at_fork(after_in_child=release_in_child)


@contextlib.contextmanager
def owned(folder: Path) -> Iterator[list[str]]:
    """Inside, no other process that asks here may write into `folder`, which is made where it is not there.

    Yields what is worth telling: whose lock was taken over. InputError says who holds it, and since when. A folder
    in which nothing was written is gone in the end.
    """
    is_new = not folder.exists()
    if not is_new and not folder.is_dir():
        raise InputError(f"{folder}: is no folder; name one to write into")
    folder.mkdir(parents=True, exist_ok=True)
    place = folder.resolve()
    if place in HELD:
        yield []
        return
    descriptor, notes = claim(place)
    HELD[place] = descriptor
    try:
        clear_unfinished(place)
        yield notes
    finally:
        if HELD.pop(place, None) is not None:  # not in a copy of the process
            (place / OWNER).unlink(missing_ok=True)
            os.close(descriptor)
            if is_new:
                with contextlib.suppress(OSError):
                    place.rmdir()


def claim(place: Path) -> tuple[int, list[str]]:
    """The descriptor of the folder's lock, now ours, and what is worth telling."""
    while True:
        descriptor = os.open(place / OWNER, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o666)
        try:
            content = os.read(descriptor, 4096).decode(errors="replace")
            notes = lock_or_refuse(descriptor, place, content)
        except BaseException:
            os.close(descriptor)
            raise
        if os.fstat(descriptor).st_nlink:
            break
        os.close(descriptor)  # its holder had just ended, and removed it
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, (json.dumps(about_us()) + "\n").encode(), 0)
    return descriptor, notes


def lock_or_refuse(descriptor: int, place: Path, content: str) -> list[str]:
    """Locks the owner's file; `content` is what it says."""
    owner = None
    with contextlib.suppress(ValueError):
        owner = json.loads(content)
    if content and not (isinstance(owner, dict) and owner.keys() == about_us().keys()):
        raise InputError(
            f"{place / OWNER}: is not ours; remove it, or choose another folder to write into"
        )
    try:
        held = is_held(descriptor)
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        return [f"{place}: its file system has no locks; see that nothing else writes there"]
    told = "process {process} on {host} ({command}), since {since}".format(**owner or about_us())
    if held:
        who = told if owner else "another process"
        raise InputError(f"{place}: {who}, writes there; wait for it, or choose another --out")
    return [f"{place}: taken over from {told}, which ended without clearing up"] if owner else []


def about_us() -> dict:
    command = " ".join([Path(sys.argv[0]).stem, *sys.argv[1:4]])
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    return {"process": os.getpid(), "host": platform.node(), "since": since, "command": command}
