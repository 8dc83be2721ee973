"""How records are read: the safetensors files that door/tensorfile.py writes, looked at many times through
`MappedTensors`, which copies nothing.

Before: door/tensorfile.py. record.py asks.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import numpy as np

from door import schema
from door.files import regular
from door.tensorfile import DTYPES
from parity.engine.values.shapes import StoredTensor

HEADER_LIMIT = 100 << 20  # bytes, as the safetensors library has it
NAMES = {name: dtype for dtype, name in DTYPES.items()}


class MappedTensors(Mapping):
    """Every array of a safetensors file by name: views of the mapped file, private to this process.

    Only what is looked at is read. With `resident`, a number of bytes, what has been looked at is given back to the
    system whenever it comes to more than that: it is read again when it is needed again, and nobody may write to it.
    ValueError when the file is none, or not whole.
    """

    def __init__(self, path: Path | str, resident: int | None = None):
        with regular(path).open("rb") as file:
            self.start = 8 + int.from_bytes(file.read(8), "little")
            if self.start > HEADER_LIMIT:
                raise ValueError(f"its header has more than {HEADER_LIMIT >> 20} MiB")
            self.content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        if self.start > len(self.content):
            raise ValueError("its header is cut off")
        entries = schema.parse(self.content[8 : self.start], dict[str, msgspec.Raw], "its header")
        metadata = entries.pop("__metadata__", msgspec.Raw(b"{}"))
        self.metadata = schema.parse(bytes(metadata), dict[str, str], "its header: __metadata__")
        self.entries = {k: schema.parse(bytes(v), StoredTensor, k) for k, v in entries.items()}
        self.resident, self.looked_at = resident, 0
        for name, entry in self.entries.items():
            begin, end = entry["data_offsets"]
            if entry["dtype"] not in NAMES:
                raise ValueError(f"{name} is of the unknown type {entry['dtype'][:20]}")
            size = math.prod(entry["shape"]) * np.dtype(NAMES[entry["dtype"]]).itemsize
            if not 0 <= begin <= end <= len(self.content) - self.start or end - begin != size:
                raise ValueError(f"{name} does not lie in it")

    def __getitem__(self, name: str) -> np.ndarray:
        entry = self.entries[name]
        begin, end = entry["data_offsets"]
        if self.resident is not None:
            self.looked_at += end - begin
            if self.looked_at > self.resident:
                self.content.madvise(mmap.MADV_DONTNEED)
                self.looked_at = end - begin
        return np.ndarray(entry["shape"], NAMES[entry["dtype"]], self.content, self.start + begin)

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)
