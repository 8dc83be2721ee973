"""Safetensors files of the project, whole or not at all; door/tensorfile.py has the format."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from door.files import replacing
from door.tensorfile import Item as Item
from door.tensorfile import write_array as write_array
from door.tensorfile import write_to


def write_tensors(path: Path | str, items: Iterable[Item], metadata: dict[str, str]) -> Path:
    """Writes a safetensors file, whole or not at all; ValueError when an array is not as announced."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        write_to(file, items, metadata)
    return Path(path)
