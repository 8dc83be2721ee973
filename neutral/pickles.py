"""Reads PyTorch checkpoint files (.pth) without PyTorch, and without running what is in them.

Both layouts are read: the zip of PyTorch 1.6 and later, and the pickle stream before it, in which
the official DETR checkpoints are published. The unpickler knows tensors and nothing else; any
other class (an argparse.Namespace, an optimiser) becomes an inert placeholder.
"""

from __future__ import annotations

import collections
import pickle
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neutral.errors import InputError

MAGIC = 0x1950A86A20F9469CFC6C  # first object of the old layout
DTYPES = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


@dataclass
class _Tensor:
    """A view that is resolved once its storage has been read."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def resolve(self) -> np.ndarray:
        data, dtype = self.storage.data, self.storage.dtype
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        if data is None or (0 not in self.shape and last >= len(data)):
            raise ValueError("a tensor reaches beyond its storage")
        strides = [s * np.dtype(dtype).itemsize for s in self.strides]
        return np.lib.stride_tricks.as_strided(data[self.offset :], self.shape, strides).copy()


@dataclass
class _Storage:
    key: str
    dtype: type
    data: np.ndarray | None = None


class _Placeholder:
    """Stands for every class that is not a tensor; swallows whatever the pickle does with it."""

    def __init__(self, *args, **kwargs): ...

    def __setstate__(self, state): ...

    def __setitem__(self, key, value): ...

    def append(self, value): ...


def _rebuild_tensor(storage, offset, shape, strides, *_):
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _Unpickler(pickle.Unpickler):
    def __init__(self, file, storages: dict[str, _Storage]):
        super().__init__(file)
        self.storages = storages

    def find_class(self, module: str, name: str):
        if module == "collections" and name == "OrderedDict":
            return collections.OrderedDict
        if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch._utils" and name == "_rebuild_parameter":
            return lambda tensor, *_: tensor
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        return _Placeholder

    def persistent_load(self, reference):
        _, dtype, key = reference[:3]
        if not (isinstance(dtype, type) and issubclass(dtype, np.generic)):
            raise ValueError(f"storage type {dtype} is not supported")
        return self.storages.setdefault(key, _Storage(key, dtype))


def _read_zip(path: Path):
    storages: dict[str, _Storage] = {}
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        index = next((n for n in names if n.endswith("/data.pkl") or n == "data.pkl"), None)
        if index is None:
            raise ValueError("the archive has no data.pkl")
        with archive.open(index) as file:
            content = _Unpickler(file, storages).load()
        folder = index.removesuffix("data.pkl")
        for storage in storages.values():
            raw = archive.read(f"{folder}data/{storage.key}")
            storage.data = np.frombuffer(raw, dtype=storage.dtype)
    return content


def _read_stream(path: Path):
    storages: dict[str, _Storage] = {}
    with path.open("rb") as file:
        if pickle.Unpickler(file).load() != MAGIC:
            raise ValueError("neither a zip nor a PyTorch pickle stream")
        for _ in range(2):  # protocol version, and sizes of C types on the machine that wrote it
            _Unpickler(file, {}).load()
        content = _Unpickler(file, storages).load()
        for key in _Unpickler(file, {}).load():
            (count,) = struct.unpack("<q", file.read(8))
            dtype = np.dtype(storages[key].dtype)
            raw = file.read(count * dtype.itemsize)
            if len(raw) != count * dtype.itemsize:
                raise ValueError("the file ends inside a tensor")
            storages[key].data = np.frombuffer(raw, dtype=dtype)
    return content


def read_checkpoint(path: Path | str) -> dict[str, np.ndarray]:
    """The tensors of a state dict, which may lie under "model" or "state_dict".

    InputError when the file is absent, truncated or holds no tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint")
    try:
        content = _read_zip(path) if zipfile.is_zipfile(path) else _read_stream(path)
        for key in ("model", "state_dict"):
            if isinstance(content, dict) and isinstance(content.get(key), dict):
                content = content[key]
        tensors = (
            {k: v for k, v in content.items() if isinstance(v, _Tensor)}
            if isinstance(content, dict)
            else {}
        )
        arrays = {k: v.resolve() for k, v in tensors.items()}
    except (
        ValueError,
        EOFError,
        KeyError,
        pickle.UnpicklingError,
        zipfile.BadZipFile,
        struct.error,
        OSError,
    ) as error:
        raise InputError(
            f"{path}: truncated or not a PyTorch checkpoint ({error}); fetch it again"
        ) from None
    except (
        AttributeError,
        IndexError,
        TypeError,
        ImportError,
    ) as error:  # damaged pickles raise anything
        raise InputError(f"{path}: damaged checkpoint ({error}); fetch it again") from None
    if not arrays:
        raise InputError(
            f"{path}: holds no tensors by name; a state dict, or a dictionary with 'model', is wanted"
        )
    return arrays
