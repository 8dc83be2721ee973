"""Tensors by name, as arrays that are converted when they are looked at.

Before: nothing. sides/runner.py makes them, record.py writes them one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from parity.backends.base import Backend

WIDER = {"bfloat16": "float32", "float16": "float32"}  # what NumPy and records have instead


class Lazy(Mapping):
    """Tensors by name as NumPy arrays, converted when they are looked at; None stays None.

    Integers are int64 on both sides: Jittor's indices are narrower.
    """

    def __init__(self, backend: Backend, tensors: Mapping, convert: Callable | None = None):
        """convert(name, array): what is told instead of the array."""
        self.backend, self.tensors, self.convert = backend, tensors, convert

    def __getitem__(self, name: str) -> np.ndarray | None:
        tensor = self.tensors[name]
        values = (
            tensor
            if tensor is None or isinstance(tensor, np.ndarray)
            else self.backend.to_numpy(tensor)
        )
        values = self.convert(name, values) if self.convert and values is not None else values
        return (
            values if values is None or values.dtype.kind not in "iu" else values.astype(np.int64)
        )

    def describe(self, name: str) -> tuple[str, tuple[int, ...]] | None:
        """dtype and shape of the array, without converting the tensor."""
        tensor = self.tensors[name]
        if tensor is None:
            return None
        dtype = str(tensor.dtype).removeprefix("torch.")
        dtype = WIDER.get(dtype, dtype)
        shape = tuple(tensor.shape)
        if self.convert is not None:
            shape = self.convert(name, np.broadcast_to(np.float32(0), shape)).shape
        return "int64" if "int" in dtype else dtype, shape

    def __iter__(self):
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)
