"""Writing files so that nothing is ever half written: to a temporary name beside, then renamed."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path

from neutral.errors import InputError


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
        temporary.write_text(json.dumps(value, indent=indent) + "\n")


def read_json(path: Path | str):
    """The parsed file; InputError names it when it is absent or not JSON."""
    path = Path(path)
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid JSON ({error})") from None
