"""Files that are never half written, JSON, and what a process takes of memory."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import tempfile
from pathlib import Path

from door.jsontext import dumps
from parity.errors import InputError


@contextlib.contextmanager
def replacing(path: Path | str):
    """Yields a temporary path beside `path` that takes its place when the block ends well."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(temporary.stat().st_mode | 0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path | str, value, indent: int | None = 1) -> None:
    with replacing(path) as temporary:
        temporary.write_text(dumps(value, indent=indent) + "\n")


def read_json(path: Path | str):
    """The parsed file; InputError names it when it is absent or not JSON."""
    path = Path(path)
    try:
        return json.loads(path.read_text())
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
