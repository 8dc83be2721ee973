"""What weight files hold: tensors as they lie there, as NumPy views, and the content of a whole file."""

from __future__ import annotations

import math
import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

STORAGES = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
NUMBERS = {*STORAGES.values(), "uint16", "uint32", "uint64"} - {"bfloat16"}  # dtypes of arrays
REPEATED = 1 << 16  # elements that an expanded tensor may have beyond its memory's
AXES = 32


class Refused(ValueError):
    """The pickle holds what weights do not need."""


@dataclass
class StoredTensor:
    """An array as a file holds it. `raw` may be a view of the mapped file; bfloat16 is held as uint16.

    `place` tells tensors apart that share memory: (storage, first byte, shape, strides), or None.
    """

    raw: np.ndarray
    dtype: str
    place: tuple | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.raw.shape

    def values(self) -> np.ndarray:
        """The array; bfloat16 as float32, which holds all of its values."""
        if self.dtype != "bfloat16":
            return self.raw
        return (self.raw.astype(np.uint32) << np.uint32(16)).view(np.float32)


def raw_dtype(name: str) -> np.dtype:
    """How values of a dtype are held in NumPy."""
    return np.dtype("uint16" if name == "bfloat16" else name)


@dataclass
class Storage:
    """PyTorch's flat memory: `data` is filled in when it has been found in the file."""

    key: str
    dtype: str
    count: int
    data: np.ndarray | None = None


@dataclass
class TorchTensor:
    """A view of a storage, resolved once all storages are there."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def resolve(self) -> StoredTensor:
        data = self.storage.data
        if len(self.shape) != len(self.strides) or len(self.shape) > AXES:
            raise ValueError("a tensor has another number of strides than of axes, or too many")
        if self.offset < 0 or min((*self.shape, *self.strides), default=0) < 0:
            raise ValueError("a tensor has a negative size")
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides))
        if data is None or (0 not in self.shape and last >= len(data)):
            raise ValueError("a tensor reaches beyond its storage")
        if math.prod(self.shape) > max(len(data), REPEATED):
            raise ValueError("a tensor repeats a few values without end")
        size = data.itemsize
        empty = 0 in self.shape
        raw = np.lib.stride_tricks.as_strided(
            data[0 if empty else self.offset :],
            self.shape,
            [0 if empty else s * size for s in self.strides],
            writeable=False,
        )
        place = (self.storage.key, self.offset, self.shape, self.strides)
        return StoredTensor(raw, self.storage.dtype, None if empty else place)


MEMORY = "memory"  # the layout of arrays that come from no file


@dataclass
class Checkpoint:
    """What a file holds. `beside`: what lies beside the tensors and is no tensor, by name and kind. `nests`: where
    several dictionaries of it hold tensors, the beginnings of names that are theirs ("model.", "ema.").

    `layout` is "safetensors", "PyTorch zip", "PyTorch pickle stream", "Jittor pickle", "pickle" or "NumPy zip".
    """

    path: Path
    layout: str
    tensors: dict[str, StoredTensor]
    metadata: dict[str, str] = field(default_factory=dict)
    beside: dict[str, str] = field(default_factory=dict)
    mapping: mmap.mmap | None = None
    nests: tuple[str, ...] = ()

    def release(self) -> None:
        """Lets the system take back the pages of the mapped file; they are read again when looked at."""
        if self.mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            self.mapping.madvise(mmap.MADV_DONTNEED)

    def tied(self) -> list[list[str]]:
        """Names of tensors that are the same memory."""
        places: dict[tuple, list[str]] = {}
        for name, tensor in self.tensors.items():
            if tensor.place is not None:
                places.setdefault(tensor.place, []).append(name)
        return [names for names in places.values() if len(names) > 1]


def in_memory(name: str, arrays: Mapping[str, np.ndarray]) -> Checkpoint:
    """Arrays as if they had been read from a file called `name`."""
    tensors = {key: StoredTensor(array, str(array.dtype)) for key, array in arrays.items()}
    return Checkpoint(Path(name), MEMORY, tensors)
