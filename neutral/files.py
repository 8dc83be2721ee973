"""What a command may write over, and adding to a file whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from neutral.errors import InputError


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
