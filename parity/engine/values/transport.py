"""Messages between a worker and whoever asks it: pickled, with large arrays handed over in a mapped file.

Through a pipe an array is copied five times (pickled, written, read, joined, unpickled), and both ends hold it twice
meanwhile. Here the sender writes it to a file in memory (see scratch.py), which the receiver maps and unlinks: its
pages are read when they are looked at, and private to it.

Before: scratch.py. sides/workers.py and sides/server.py speak through it.
"""

from __future__ import annotations

import io
import mmap
import pickle
from multiprocessing.connection import Connection
from pathlib import Path, PurePath

import numpy as np

LARGE = 1 << 16  # bytes; smaller arrays travel in the message
ALIGNED = 64


class Pickler(pickle.Pickler):
    """Arrays and paths in a form that other versions of NumPy and Python read too."""

    def reducer_override(self, value):
        if type(value) is np.ndarray and not value.dtype.hasobject:
            contiguous = np.ascontiguousarray(value)
            buffer = pickle.PickleBuffer(contiguous.reshape(-1).view(np.uint8))
            return as_array, (buffer, value.dtype.str, value.shape)
        if isinstance(value, PurePath):
            return as_path, (str(value),)
        return NotImplemented


def as_array(buffer, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(buffer, dtype=dtype).reshape(shape)


def as_path(text: str) -> Path:
    return Path(text)


def send(connection: Connection, message, path: Path) -> None:
    """`path` is where arrays lie until they are received; each direction of a connection has its own."""
    connection.send(pack(message, path))


def receive(connection: Connection, path: Path):
    packed = connection.recv()
    message = unpack(packed, path)
    path.unlink(missing_ok=True)
    return message


def pack(message, path: Path) -> tuple[bytes, list[int]]:
    """The message without its large arrays, and the sizes of these, which go to the file."""
    large: list[memoryview] = []

    def stays(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes >= LARGE:
            large.append(raw)
        return raw.nbytes < LARGE

    head = io.BytesIO()
    Pickler(head, protocol=5, buffer_callback=stays).dump(message)
    head = head.getvalue()
    if large:
        with path.open("wb") as file:
            for raw in large:
                file.write(raw)
                file.write(b"\0" * (-raw.nbytes % ALIGNED))
    return head, [raw.nbytes for raw in large]


def unpack(packed: tuple[bytes, list[int]], path: Path):
    """The message; of its large arrays only what is looked at takes memory."""
    head, sizes = packed
    if not sizes:
        return pickle.loads(head)
    with path.open("rb") as file:
        content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    buffers, start = [], 0
    for size in sizes:
        buffers.append(content[start : start + size])
        start += size + -size % ALIGNED
    return pickle.loads(head, buffers=buffers)
