"""Writes weights for others to load: safetensors, PyTorch's .pth, Jittor's .pkl; one tensor at a time.

Neither framework is needed. A .pth is the zip that torch.save writes since 1.6, with a pickle of a plain state dict;
a .pkl is what jt.save writes, a pickle of NumPy arrays with a SHA-1 and Jittor's mark behind it.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from door.files import replacing
from door.tensorfile import Item, write_array, write_tensors
from neutral.errors import InputError
from neutral.weights.readers import JITTOR_MARK, NOTES

STORAGE_NAMES = {"float32": "FloatStorage", "int64": "LongStorage"}


def write_weights(path: Path | str, items: Sequence[Item], metadata: dict[str, str]) -> Path:
    """Writes by the suffix: .safetensors, .pth or .pt, .pkl. InputError on any other; whole or not at all."""
    path = Path(path)
    write = WRITERS.get(path.suffix)
    if write is None:
        raise InputError(
            f"{path}: weights are written as {', '.join(WRITERS)}; choose one of these"
        )
    try:
        return write(path, items, metadata)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); choose another --out"
        ) from None


def write_pth(path: Path, items: Sequence[Item], metadata: dict[str, str]) -> Path:
    """torch.load(path) gives a dictionary of tensors; it passes over the metadata, a member of their own."""
    with (
        replacing(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
    ):
        archive.writestr("archive/data.pkl", _state_dict(items))
        archive.writestr("archive/byteorder", "little")
        archive.writestr(f"archive/{NOTES}", json.dumps(metadata))
        for number, item in enumerate(items):
            info = zipfile.ZipInfo(f"archive/data/{number}")
            with archive.open(info, "w", force_zip64=item.nbytes > 1 << 30) as member:
                write_array(member, item)
        archive.writestr("archive/version", "3\n")
    return path


def _state_dict(items: Sequence[Item]) -> bytes:
    """The pickle, by hand: protocol 2, every tensor a call of torch's rebuild function on a numbered storage."""
    out = [b"\x80\x02}("]
    for number, item in enumerate(items):
        strides = [math.prod(item.shape[k + 1 :]) for k in range(len(item.shape))]
        storage = b"".join(
            (
                b"(",
                _text("storage"),
                b"ctorch\n" + STORAGE_NAMES[item.dtype].encode() + b"\n",
                _text(str(number)),
                _text("cpu"),
                _integer(math.prod(item.shape)),
                b"tQ",  # a tuple; a persistent id
            )
        )
        out += [
            _text(item.name),
            b"ctorch._utils\n_rebuild_tensor_v2\n(",
            storage,
            _integer(0),
            b"(" + b"".join(map(_integer, item.shape)) + b"t",
            b"(" + b"".join(map(_integer, strides)) + b"t",
            b"\x89ccollections\nOrderedDict\n)RtR",  # no gradient, no hooks
        ]
    return b"".join([*out, b"u."])


def _text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _integer(value: int) -> bytes:
    if value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    return b"\x8a\x08" + struct.pack("<q", value)


class _Hashed:
    """A file that knows the SHA-1 of what was written."""

    def __init__(self, file):
        self.file, self.sha1 = file, hashlib.sha1()

    def write(self, data) -> int:
        self.sha1.update(data)
        return self.file.write(data)


def write_pkl(path: Path, items: Sequence[Item], metadata: dict[str, str]) -> Path:
    """jt.load(path) gives a dictionary of arrays, as Module.load wants it. There is no place for metadata."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        hashed = _Hashed(file)
        hashed.write(b"\x80\x04}(")
        for item in items:
            hashed.write(_text(item.name) + _array_start(item))
            write_array(hashed, item)
            hashed.write(b"tb")
        hashed.write(b"u.")
        file.write(hashed.sha1.digest() + JITTOR_MARK)
    return path


def _array_start(item: Item) -> bytes:
    """The pickle of a NumPy array, by hand, up to its bytes: the call that makes it, and most of its state."""
    dtype = np.dtype(item.dtype)
    return b"".join(
        (
            b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR(K\x01",
            b"(" + b"".join(map(_integer, item.shape)) + b"t",
            b"cnumpy\ndtype\n(" + _text(dtype.str[1:]) + b"\x89\x88tR",
            b"(K\x03" + _text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",
            b"\x89\x8e" + struct.pack("<Q", item.nbytes),
        )
    )


WRITERS: dict[str, Callable] = {
    ".safetensors": write_tensors,
    ".pth": write_pth,
    ".pt": write_pth,
    ".pkl": write_pkl,
}
