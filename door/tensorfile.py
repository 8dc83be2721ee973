"""Safetensors files written one tensor at a time, so that a large file never is in memory as a whole.

The safetensors library writes from bytes that all exist at once; this writes the same format from tensors
that are fetched when their turn comes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from door.files import replacing
from door.jsontext import dumps

DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}


@dataclass(frozen=True)
class Item:
    """A tensor to be written: `fetch()` gives the array when its turn comes."""

    name: str
    dtype: str  # NumPy's name
    shape: tuple[int, ...]
    fetch: Callable[[], np.ndarray]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def write_tensors(path: Path | str, items: Iterable[Item], metadata: dict[str, str]) -> Path:
    """Writes a safetensors file, whole or not at all; ValueError when an array is not as announced."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        write_to(file, items, metadata)
    return Path(path)


def write_to(file: BinaryIO, items: Iterable[Item], metadata: dict[str, str]) -> None:
    """A whole safetensors file into an open one; ValueError when an array is not as announced.

    Wide elements come first, so that every array of a mapped file is aligned.
    """
    items = sorted(items, key=lambda item: -np.dtype(item.dtype).itemsize)
    entries, start = {}, 0
    for item in items:
        end = start + item.nbytes
        entries[item.name] = {
            "dtype": DTYPES[item.dtype],
            "shape": list(item.shape),
            "data_offsets": [start, end],
        }
        start = end
    header = dumps(({"__metadata__": metadata} if metadata else {}) | entries).encode()
    header += b" " * (-len(header) % 8)
    file.write(len(header).to_bytes(8, "little") + header)
    for item in items:
        write_array(file, item)


def write_array(file, item: Item) -> None:
    """The bytes of one tensor, row by row."""
    array = np.ascontiguousarray(item.fetch())
    if str(array.dtype) != item.dtype or array.size != math.prod(item.shape):
        raise ValueError(
            f"{item.name}: is {array.dtype} {array.shape}, announced {item.dtype} {item.shape}"
        )
    file.write(memoryview(array).cast("B") if array.size else b"")
