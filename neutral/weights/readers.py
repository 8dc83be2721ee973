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
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from door import schema
from door.files import regular
from neutral.errors import InputError
from neutral.weights.archives import Members, check_directory
from neutral.weights.pickles import Bounded, unpickle
from neutral.weights.stand_ins import Names
from neutral.weights.stored import NUMBERS, Checkpoint, Refused, StoredTensor, raw_dtype
from neutral.weights.wrappers import collect

NOTES = "detector_parity.json"  # of our own .pth files: what other formats have as metadata
MAGIC = 0x1950A86A20F9469CFC6C  # first object of PyTorch's old layout
JITTOR_MARK = b"HCAJSLHD"  # the last bytes of jt.save's files, behind a SHA-1
PICKLES = (".pkl", ".pickle", ".pth", ".pt", ".bin")
PICKLE_LIMIT = 1 << 26  # bytes of the pickle in a PyTorch zip, which holds no values
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
    except (
        ValueError,
        EOFError,
        OSError,
        zipfile.BadZipFile,
        NotImplementedError,
        MemoryError,
    ) as error:
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
    header = schema.parse(bytes(data[8 : 8 + length]), dict[str, Any], "its header")
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
    check_directory(data)
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
    return _checkpoint(path, "PyTorch zip", content, _read_notes(members, folder))


def _read_notes(members: Members, folder: str) -> dict[str, str]:
    """The metadata that write_pth puts beside the tensors; {} where there are none."""
    name = f"{folder}{NOTES}"
    if name not in members or members.entries[name].file_size > PICKLE_LIMIT:
        return {}
    try:
        found = json.loads(bytes(members[name]))
    except (ValueError, RecursionError):
        raise ValueError(f"{name} is damaged") from None
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


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


def _checkpoint(path: Path, layout: str, content, metadata: dict | None = None) -> Checkpoint:
    """The tensors within `content`: a state dict, or dictionaries with one or several in them."""
    groups: dict[str, dict[str, StoredTensor]] = {}
    beside: dict[str, str] = {}
    collect(content, "", groups, beside, set())
    if len(groups) == 1:
        tensors, nests = next(iter(groups.values())), ()
    else:
        tensors = {
            f"{place}{name}": t for place, group in groups.items() for name, t in group.items()
        }
        nests = tuple(groups)
    return Checkpoint(path, layout, tensors, metadata or {}, beside, nests=nests)
