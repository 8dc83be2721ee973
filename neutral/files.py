"""Writing files so that nothing is ever half written: to a temporary name beside, then renamed. And reading them."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from door.jsontext import dumps
from neutral.errors import InputError
from neutral.locks import clear_unfinished, unfinished
from neutral.text import read_text

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


def keep_apart(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """InputError when two outputs are one file, or an output is an input, by whatever names."""
    real_inputs = {os.path.realpath(path): path for path in inputs}
    seen: dict[str, Path] = {}
    for path in outputs:
        real = os.path.realpath(path)
        if real in real_inputs:
            raise InputError(
                f"{path}: would be written over {real_inputs[real]}, which is read; choose another name"
            )
        if real in seen:
            raise InputError(f"{path}: would be written twice; give each output a name of its own")
        seen[real] = path


def check_ours(path: Path, is_ours: Callable[[Path], bool]) -> None:
    """InputError when a file is there that the caller did not make and would write over."""
    if path.exists() and not is_ours(path):
        raise InputError(
            f"{path}: is there, and this command did not make it; move it away, or choose another name"
        )


def append(path: Path, data: bytes) -> None:
    """Adds bytes to a file and sees them onto the disk, all or none: what a full one lets through is taken back."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        try:
            while data:
                data = data[file.write(data) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(before)
            raise


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
