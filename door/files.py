"""Writing files so that nothing is ever half written: to a temporary name beside, then renamed. And reading them."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import stat
from pathlib import Path

from door.errors import InputError
from door.jsontext import dumps
from door.text import read_text
from door.unfinished import clear_unfinished, unfinished

clear_once = functools.cache(clear_unfinished)  # what was there when this process began


@contextlib.contextmanager
def replacing(path: Path | str):
    """Yields a temporary path beside `path` that takes its place when the block ends well.

    A link stays one. InputError when something that is no file has the name.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is {kind_of(path)}; it is not replaced, choose another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    clear_once(path.parent)
    temporary, descriptor = unfinished(path.parent, path.suffix)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(descriptor)


KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def kind_of(path: Path | str) -> str:
    """What lies at a path, if it is no file, else ""."""
    return KINDS.get(stat.S_IFMT(os.stat(path).st_mode), "")


def regular(path: Path | str) -> Path:
    """The path. InputError when it is no file: reading a pipe, a socket or a device may never end."""
    kind = kind_of(path)
    if kind:
        raise InputError(f"{path}: is {kind}, not a file; name a file, or copy into one")
    return Path(path)


def write_json(path: Path | str, value, indent: int | None = 1) -> None:
    with replacing(path) as temporary:
        temporary.write_text(dumps(value, indent=indent) + "\n")


def read_json(path: Path | str):
    """The parsed file; InputError names it when it is absent, no file or not JSON."""
    path = Path(path)
    try:
        return json.loads(read_text(regular(path)))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not valid JSON ({error})") from None


def sha256_of(path: Path | str) -> str:
    return digest(path, "sha256")


def digest(path: Path | str, kind: str) -> str:
    """Hex digest of a file's content; `kind` as hashlib names it."""
    found = hashlib.new(kind)
    with regular(path).open("rb") as file:
        while chunk := file.read(1 << 20):
            found.update(chunk)
    return found.hexdigest()
