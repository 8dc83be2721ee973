"""Files from http and https addresses, with a limit of size and of time."""

from __future__ import annotations

import http.client
import itertools
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from door.files import regular, replacing
from neutral.errors import InputError

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
