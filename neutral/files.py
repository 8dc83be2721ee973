"""Writing files so that nothing is ever half written: to a temporary name beside, then renamed. And reading them."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.client
import itertools
import json
import os
import stat
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator
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


FETCHING = 60.0  # seconds for one address, all of it


def fetch(url: str, folder: Path, limit_mib: int = 64) -> Path:
    """What an http or https address gives, as a file in `folder` called as the address ends, apart from what is there.

    InputError when there is nothing, more than `limit_mib`, or it takes longer than FETCHING seconds.
    """
    content = download(url, limit_mib)
    name = Path(urllib.parse.urlparse(url).path).name[-100:].strip(".") or "image"
    for path in (folder / other for other in alternatives(name)):
        if not path.exists():
            with replacing(path) as temporary:
                temporary.write_bytes(content)
            return path
        if regular(path).read_bytes() == content:
            return path


def alternatives(name: str) -> Iterator[str]:
    """The name, then the same with -2, -3 and so on before its ending."""
    yield name
    path = Path(name)
    for number in itertools.count(2):
        yield f"{path.stem}-{number}{path.suffix}"


def download(url: str, limit_mib: int) -> bytes:
    """In a thread of its own, since a server may drip: each byte in time, the whole never."""
    found: list = []

    def read() -> None:
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                found.append(answer.read((limit_mib << 20) + 1))
        except (OSError, ValueError, http.client.HTTPException) as error:
            found.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(FETCHING)
    if not found:
        raise InputError(
            f"{url}: cannot be fetched (not there after {FETCHING:.0f} s); give a file instead"
        )
    if isinstance(found[0], Exception):
        raise InputError(f"{url}: cannot be fetched ({found[0]}); give a file instead")
    if len(found[0]) > limit_mib << 20:
        raise InputError(f"{url}: has more than {limit_mib} MiB; give a file instead")
    return found[0]


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


def git_revision(folder: Path | str) -> str | None:
    """The commit that a folder's repository is at, with "+" behind it when files differ; None where there is none."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None
