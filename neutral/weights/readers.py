"""Reads weight files of every format into one form, without the frameworks and without running what is in them.

safetensors; PyTorch's .pth, .pt and .bin (the zip of 1.6 and later, and the pickle stream before it, in which
the official DETR checkpoints are published); Jittor's .pkl (jt.save) and other pickles of arrays, as
detectron2's; NumPy's .npz. Told apart by what they begin with, not by their names. Tensors are views of the
mapped file wherever the format allows it, so that reading costs no memory.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import mmap
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from neutral.errors import InputError
from neutral.files import regular
from neutral.weights.pickles import (
    NUMBERS,
    Bounded,
    Names,
    NumpyArray,
    Refused,
    StoredTensor,
    TorchTensor,
    raw_dtype,
    unpickle,
)

MAGIC = 0x1950A86A20F9469CFC6C  # first object of PyTorch's old layout
MEMORY = "memory"  # the layout of arrays that come from no file
JITTOR_MARK = b"HCAJSLHD"  # the last bytes of jt.save's files, behind a SHA-1
NESTS = (
    "model",
    "state_dict",
    "model_state_dict",
    "params",
)  # where state dicts lie in checkpoints
PICKLES = (".pkl", ".pickle", ".pth", ".pt", ".bin")
PICKLE_LIMIT = 1 << 26  # bytes of the pickle in a PyTorch zip, which holds no values
EXPANSION = 100  # a compressed member may be this many times as large as what is stored of it
OVERLAP = 8  # all tensors together may be this many times as large as the file
SAFETENSORS = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}


@dataclass
class Checkpoint:
    """What a file holds. `beside`: what lies beside the tensors and is no tensor, by name and kind.

    `layout` is "safetensors", "PyTorch zip", "PyTorch pickle stream", "Jittor pickle", "pickle" or "NumPy zip".
    """

    path: Path
    layout: str
    tensors: dict[str, StoredTensor]
    metadata: dict[str, str] = field(default_factory=dict)
    beside: dict[str, str] = field(default_factory=dict)
    mapping: mmap.mmap | None = None

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


def read_checkpoint(path: Path | str) -> Checkpoint:
    """The tensors of a file, and what lies beside them. InputError when it is absent, damaged, hostile or empty."""
    path = Path(path)
    try:
        with regular(path).open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            if not size:
                raise ValueError("it is empty")
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        found = _read(path, memoryview(mapping))
        found.mapping = mapping
    except FileNotFoundError:
        raise InputError(f"{path}: no such weights file") from None
    except InputError:
        raise
    except Refused as error:
        raise InputError(f"{path}: refused: {error}") from None
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise InputError(
            f"{path}: truncated, damaged or not a weights file ({error}); fetch it again"
        ) from None
    if not found.tensors:
        raise InputError(
            f"{path}: holds no tensors by name; a state dict, or a dictionary with 'model', is wanted"
        )
    total = sum(math.prod(t.shape) * t.raw.itemsize for t in found.tensors.values())
    if total > max(OVERLAP * size, 1 << 24) and found.layout != "NumPy zip":
        raise InputError(f"{path}: refused: its tensors repeat its memory without end")
    return found


def _read(path: Path, data: memoryview) -> Checkpoint:
    length, is_named = int.from_bytes(data[:8], "little"), path.suffix == ".safetensors"
    if is_named or (8 + length <= len(data) and bytes(data[8:9]) == b"{"):
        return _read_safetensors(path, data)
    if bytes(data[:2]) == b"PK":
        return _read_zip(path, data)
    if data[0] == 0x80 or path.suffix in PICKLES:
        return _read_pickle(path, data)
    raise ValueError("neither safetensors, a zip nor a pickle")


def _read_safetensors(path: Path, data: memoryview) -> Checkpoint:
    """Checked by the safetensors library; the arrays are views of the file."""
    try:
        with safe_open(path, framework="numpy") as file:
            names, metadata = set(file.keys()), file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(str(error)) from None
    length = int.from_bytes(data[:8], "little")
    header = json.loads(bytes(data[8 : 8 + length]))
    tensors = {}
    for name, entry in header.items():
        if name not in names:
            continue
        if entry["dtype"] not in SAFETENSORS:
            raise Refused(f"{name} is of type {entry['dtype']}, which no weights here are")
        dtype = SAFETENSORS[entry["dtype"]]
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        raw = np.frombuffer(data[start:end], raw_dtype(dtype)).reshape(entry["shape"])
        tensors[name] = StoredTensor(raw, dtype)
    return Checkpoint(path, "safetensors", tensors, metadata)


# zips: PyTorch's and NumPy's


def _read_zip(path: Path, data: memoryview) -> Checkpoint:
    with zipfile.ZipFile(path) as archive:
        members = Members(archive, data)
        index = next((n for n in members if n.endswith("/data.pkl") or n == "data.pkl"), None)
        if index is not None:
            return _read_torch_zip(path, members, index)
        if all(name.endswith(".npy") for name in members):
            tensors = {n.removesuffix(".npy"): _read_npy(n, members[n]) for n in members}
            return Checkpoint(path, "NumPy zip", tensors)
    raise ValueError(
        "a zip without data.pkl (PyTorch) and with other things than .npy files (NumPy)"
    )


class Members(Mapping):
    """The files of a zip by name: views of it where they are stored, bytes where they are compressed."""

    def __init__(self, archive: zipfile.ZipFile, data: memoryview):
        self.archive, self.data = archive, data
        self.entries = {entry.filename: entry for entry in archive.infolist()}

    def __getitem__(self, name: str) -> memoryview:
        entry = self.entries[name]
        if entry.flag_bits & 1:
            raise Refused(f"{name} is encrypted")
        if entry.compress_type == zipfile.ZIP_STORED:
            return self.stored(entry)
        if entry.file_size > EXPANSION * max(entry.compress_size, 1024):
            raise Refused(
                f"{name} unpacks to {entry.file_size} bytes, {EXPANSION} times and more what is stored of it"
            )
        try:
            with self.archive.open(entry) as file:
                content = file.read(entry.file_size + 1)
        except zlib.error as error:
            raise ValueError(str(error)) from None
        if len(content) != entry.file_size:
            raise ValueError(f"{name} unpacks to another size than it says")
        return memoryview(content)

    def stored(self, entry: zipfile.ZipInfo) -> memoryview:
        header = bytes(self.data[entry.header_offset : entry.header_offset + 30])
        if len(header) < 30 or header[:4] != b"PK\x03\x04":
            raise ValueError(f"{entry.filename} has no header")
        names = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        start = entry.header_offset + 30 + names
        if start + entry.file_size > len(self.data):
            raise ValueError(f"{entry.filename} reaches beyond the file")
        return self.data[start : start + entry.file_size]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


def _read_torch_zip(path: Path, members: Members, index: str) -> Checkpoint:
    folder = index.removesuffix("data.pkl")
    order = f"{folder}byteorder"
    if order in members and bytes(members[order]) != b"little":
        raise Refused("it was written on a big-endian machine: save it anew on a little-endian one")
    if f"{folder}constants.pkl" in members:
        raise Refused("it is a TorchScript archive: save the module's state_dict() instead")
    if members.entries[index].file_size > PICKLE_LIMIT:
        raise Refused("its pickle is absurdly large")
    names = Names(len(members[index]))
    content = unpickle(Bounded(members[index]), names)
    for storage in names.storages.values():
        member = f"{folder}data/{storage.key}"
        if member not in members:
            raise ValueError(f"the file has no {member}")
        raw, dtype = members[member], raw_dtype(storage.dtype)
        if len(raw) < storage.count * dtype.itemsize:
            raise ValueError(f"{member} is shorter than it should be")
        storage.data = np.frombuffer(raw[: storage.count * dtype.itemsize], dtype)
    return _checkpoint(path, "PyTorch zip", content)


def _read_npy(name: str, content: memoryview) -> StoredTensor:
    if bytes(content[:6]) != b"\x93NUMPY" or len(content) < 12:
        raise ValueError(f"{name} is no .npy file")
    width = 2 if content[6] == 1 else 4
    start = 8 + width + int.from_bytes(bytes(content[8 : 8 + width]), "little")
    if start > min(len(content), 1 << 20):
        raise ValueError(f"{name} has an absurd header")
    file = io.BytesIO(bytes(content[:start]))
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"{name} is of format {version}")
    read = (
        np.lib.format.read_array_header_1_0 if width == 2 else np.lib.format.read_array_header_2_0
    )
    try:
        shape, fortran, dtype = read(file)
    except Exception as error:  # the header is Python source, which numpy parses
        raise ValueError(f"{name}: {str(error)[:100]}") from None
    if dtype.byteorder == ">":
        raise Refused(f"{name} is big-endian ({dtype}): write it anew with array.astype('<f4')")
    if str(dtype) not in NUMBERS:
        raise Refused(f"{name} is an array of {str(dtype)[:60]}, which are no weights")
    if min(shape, default=1) < 0 or math.prod(shape) * dtype.itemsize != len(content) - start:
        raise ValueError(f"{name} has another size than its shape {shape}")
    raw = np.frombuffer(content[start:], dtype).reshape(shape, order="F" if fortran else "C")
    return StoredTensor(raw, str(dtype))


# pickles: PyTorch's old layout, Jittor's, and any dictionary of arrays


def _read_pickle(path: Path, data: memoryview) -> Checkpoint:
    is_jittor = bytes(data[-len(JITTOR_MARK) :]) == JITTOR_MARK
    if is_jittor:
        end = len(data) - len(JITTOR_MARK) - 20
        if end < 0 or hashlib.sha1(data[:end]).digest() != bytes(data[end : end + 20]):
            raise ValueError("its SHA-1 does not match")
        data = data[:end]
    file, names = Bounded(data), Names(len(data))
    content = unpickle(file, names)
    if isinstance(content, int) and content == MAGIC:
        return _checkpoint(path, "PyTorch pickle stream", _read_stream(file))
    if file.position < len(data):
        raise ValueError("there are bytes behind its end: the rest of a mark that was cut off?")
    if names.storages:
        raise ValueError("it names PyTorch tensors and does not hold them")
    return _checkpoint(path, "Jittor pickle" if is_jittor else "pickle", content)


def _read_stream(file: Bounded):
    """What follows the magic number: versions, the machine, the object, and the memory of its tensors."""
    size = len(file.data)
    unpickle(file, Names(size))
    machine = unpickle(file, Names(size))
    if isinstance(machine, dict) and machine.get("little_endian") is False:
        raise Refused("it was written on a big-endian machine: save it anew on a little-endian one")
    names = Names(size)
    content = unpickle(file, names)
    keys = unpickle(file, Names(size))
    if not isinstance(keys, list) or len(keys) > len(names.storages):
        raise ValueError("a damaged list of tensors' memory")
    for key in keys:
        storage = names.storages.get(str(key))
        if storage is None:
            raise ValueError("memory of an unknown tensor")
        count = int.from_bytes(bytes(file.read(8)), "little", signed=True)
        if count < 0:
            raise ValueError("memory of a negative size")
        dtype = raw_dtype(storage.dtype)
        storage.data = np.frombuffer(file.read(count * dtype.itemsize), dtype)
    return content


def _checkpoint(path: Path, layout: str, content) -> Checkpoint:
    """The state dict within `content`, wherever it lies."""
    beside: dict[str, str] = {}
    for _ in range(3):
        inner = next(
            (k for k in NESTS if isinstance(content, dict) and isinstance(content.get(k), dict)),
            None,
        )
        if inner is None:
            break
        beside |= {str(k): type(v).__name__ for k, v in content.items() if k != inner}
        content = content[inner]
    tensors = {}
    for name, value in content.items() if isinstance(content, dict) else ():
        if isinstance(value, TorchTensor):
            tensors[str(name)] = value.resolve()
        elif isinstance(value, NumpyArray) and value.stored is not None:
            tensors[str(name)] = value.stored
        else:
            beside[str(name)] = type(value).__name__
    return Checkpoint(path, layout, tensors, {}, beside)
