"""Files that are never half written, JSON, and what a process takes of memory."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import stat
from pathlib import Path

from door.jsontext import dumps
from parity.errors import InputError


@contextlib.contextmanager
def replacing(path: Path | str):
    """Yields a temporary path beside `path` that takes its place when the block ends well."""
    path = Path(os.path.realpath(path))  # a link stays one
    if path.exists():
        regular(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".unfinished-{os.urandom(4).hex()}{path.suffix}")
    # the user's umask decides about permissions
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def regular(path: Path | str) -> Path:
    """The path. InputError when it is no file: reading a pipe, a socket or a device may never end."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise InputError(f"{path}: is a folder, a pipe, a socket or a device, not a file")
    return Path(path)


def write_json(path: Path | str, value, indent: int | None = 1) -> None:
    with replacing(path) as temporary:
        temporary.write_text(dumps(value, indent=indent) + "\n")


def read_json(path: Path | str):
    """The parsed file; InputError names it when it is absent or not JSON."""
    path = Path(path)
    try:
        return json.loads(regular(path).read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid JSON ({error})") from None


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
        Path(path).name: hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
        for path in sorted(paths)
        if Path(path).name.startswith(names) and Path(path).is_file()
    }
