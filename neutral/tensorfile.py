"""Safetensors files written one tensor at a time, so that a large file never is in memory as a whole.

The safetensors library writes from bytes that all exist at once; this writes the same format from tensors
that are fetched when their turn comes. Files are read with the library, but for the harness's own records: these
are looked at many times, through `map_tensors`, which copies nothing.
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neutral.files import replacing

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
NAMES = {name: dtype for dtype, name in DTYPES.items()}


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
    """Writes a safetensors file, whole or not at all; ValueError when an array is not as announced.

    Wide elements come first, so that every array is aligned for `map_tensors`.
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
    header = json.dumps(({"__metadata__": metadata} if metadata else {}) | entries).encode()
    header += b" " * (-len(header) % 8)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for item in items:
            write_array(file, item)
    return Path(path)


def write_array(file, item: Item) -> None:
    """The bytes of one tensor, row by row."""
    array = np.ascontiguousarray(item.fetch())
    if str(array.dtype) != item.dtype or array.size != math.prod(item.shape):
        raise ValueError(
            f"{item.name}: is {array.dtype} {array.shape}, announced {item.dtype} {item.shape}"
        )
    file.write(memoryview(array).cast("B") if array.size else b"")


def map_tensors(path: Path | str) -> dict[str, np.ndarray]:
    """Every array of a sound safetensors file by name: views of the mapped file, private to this process.

    Only what is looked at is read, and it is the system's to forget again.
    """
    with Path(path).open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    start = 8 + int.from_bytes(content[:8], "little")
    entries = json.loads(content[8:start])
    entries.pop("__metadata__", None)
    return {
        name: np.ndarray(
            entry["shape"], NAMES[entry["dtype"]], content, start + entry["data_offsets"][0]
        )
        for name, entry in entries.items()
    }
