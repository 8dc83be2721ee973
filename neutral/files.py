"""Writing files so that nothing is ever half written: to a temporary name beside, then renamed."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.client
import json
import os
import subprocess
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

from door.jsontext import dumps
from neutral.errors import InputError
from neutral.text import read_text


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


def fetch(url: str, folder: Path, limit_mib: int = 64) -> Path:
    """What an http or https address gives, as a file in `folder` named as the address ends; InputError when nothing."""
    name = Path(urllib.parse.urlparse(url).path).name or "image"
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            content = answer.read((limit_mib << 20) + 1)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise InputError(f"{url}: cannot be fetched ({error}); give a file instead") from None
    if len(content) > limit_mib << 20:
        raise InputError(f"{url}: has more than {limit_mib} MiB; give a file instead")
    with replacing(folder / name) as temporary:
        temporary.write_bytes(content)
    return folder / name


def remove_unfinished(path: Path | str) -> None:
    """Deletes what `replacing(path)` left when its process was killed; nobody may be writing."""
    path = Path(path)
    for left in path.parent.glob(f".{path.name}.*"):
        left.unlink(missing_ok=True)


def write_json(path: Path | str, value, indent: int | None = 1) -> None:
    with replacing(path) as temporary:
        temporary.write_text(dumps(value, indent=indent) + "\n")


def read_json(path: Path | str):
    """The parsed file; InputError names it when it is absent or not JSON."""
    path = Path(path)
    try:
        return json.loads(read_text(path))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not valid JSON ({error})") from None


def sha256_of(path: Path | str) -> str:
    return digest(path, "sha256")


def digest(path: Path | str, kind: str) -> str:
    """Hex digest of a file's content; `kind` as hashlib names it."""
    found = hashlib.new(kind)
    with Path(path).open("rb") as file:
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
