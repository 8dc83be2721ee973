"""What the names in a pickle of weights stand for: a few functions and classes of our own, and nothing else.

A pickle names functions to be called. Each name that weights need is answered here; any other is refused.
Sizes are checked against what the file holds before anything is allocated. pickles.py does the reading.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from neutral.weights.stored import (
    AXES,
    NUMBERS,
    STORAGES,
    Refused,
    Storage,
    StoredTensor,
    TorchTensor,
)

INERT = {  # may stand in a checkpoint beside the weights; nothing of them is kept
    "argparse.Namespace",
    "types.SimpleNamespace",
    "collections.defaultdict",
    "builtins.set",
    "builtins.frozenset",
    "builtins.slice",
    "builtins.complex",
    "builtins.bytearray",
    "datetime.datetime",
    "datetime.timedelta",
    "pathlib.Path",
    "pathlib.PosixPath",
    "pathlib.PurePosixPath",
    "pathlib.WindowsPath",
    "torch.device",
    "torch.Generator",
    "yacs.config.CfgNode",
    "fvcore.common.config.CfgNode",
    "detectron2.config.config.CfgNode",
    "easydict.EasyDict",
}
NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")
ENCODED = 2  # times the size of the file may be encoded: every text once, and some


@dataclass
class NumpyDtype:
    """numpy.dtype('f4') and the state that says its byte order."""

    name: str = ""
    order: str = "<"

    def __init__(self, name: str = "", *_):
        self.name = _text(name)

    def __setstate__(self, state) -> None:
        self.order = _text(state[1])
        if any(part is not None for part in state[2:5]):
            raise Refused("it holds arrays of records")

    def resolve(self) -> np.dtype:
        dtype = np.dtype(self.name)
        if self.order == ">" or dtype.byteorder == ">":
            raise Refused(
                f"its arrays are big-endian ({self.name}): write them anew with array.astype('<f4')"
            )
        if str(dtype) not in NUMBERS:
            raise Refused(f"it holds an array of {str(dtype)[:60]}, which are no weights")
        return dtype


class NumpyArray:
    """What numpy's _reconstruct and _frombuffer make; `stored` is there when its state has come."""

    stored: StoredTensor | None = None

    def __setstate__(self, state) -> None:
        _, shape, dtype, fortran, data = state
        self.fill(data, dtype, shape, "F" if fortran else "C")

    def fill(self, data, dtype, shape, order: str) -> None:
        if not isinstance(dtype, NumpyDtype) or not isinstance(shape, tuple):
            raise ValueError("a damaged array")
        if isinstance(data, str):  # a pickle of Python 2
            data = data.encode("latin1")
        if not isinstance(data, (bytes, memoryview, bytearray)):
            raise Refused("it holds an array of Python objects")
        dtype = dtype.resolve()
        if math.prod(shape) * dtype.itemsize != len(data):
            raise ValueError(f"an array of shape {shape} has {len(data)} bytes")
        raw = np.frombuffer(data, dtype).reshape(shape, order=order)
        self.stored = StoredTensor(raw, str(dtype))


class Inert:
    """Stands for an object that is not kept, and swallows whatever the pickle does with it."""

    def __init__(self, *args, **kwargs): ...

    def __setstate__(self, state): ...

    def __setitem__(self, key, value): ...

    def append(self, value): ...

    def extend(self, values): ...

    def add(self, value): ...


class TorchDtype(Inert): ...


def _reconstruct(*_) -> NumpyArray:
    return NumpyArray()


def _frombuffer(data, dtype, shape, order) -> NumpyArray:
    array = NumpyArray()
    array.fill(data, dtype, shape, _text(order))
    return array


def _size(sizes=()) -> tuple:
    if len(sizes) > AXES:
        raise ValueError("a shape with too many axes")
    return tuple(sizes)


def _rebuild_tensor(storage, offset, shape, strides, *_) -> TorchTensor:
    if not isinstance(storage, Storage):
        raise ValueError("a tensor without a storage")
    numbers = (offset, *shape, *strides)
    if not all(isinstance(n, int) for n in numbers):
        raise ValueError("a tensor whose sizes are no integers")
    return TorchTensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(tensor, *_):
    return tensor


def _from_jittor(array, *_):
    return array


def _ordered_dict(pairs=()) -> dict:
    found = {plain_key(k): v for k, v in pairs}
    if isinstance(pairs, list):
        pairs.clear()  # no file may have the same long list copied again and again
    elif pairs:
        raise ValueError("a damaged dictionary")
    return found


@dataclass
class Names:
    """Which function or class each name in the pickle stands for; `storages` are those seen.

    `size` is that of the file in bytes.
    """

    size: int
    storages: dict[str, Storage] = field(default_factory=dict)
    encoded: int = 0  # bytes that calls of encode made

    def encode(self, text, encoding="latin1") -> bytes:
        """_codecs.encode, of which pickles of protocol 2 make their bytes."""
        data = text.encode("latin1") if isinstance(text, str) else b""
        self.encoded += len(data)
        if self.encoded > ENCODED * self.size:
            raise Refused("it encodes the same text again and again")
        return data

    def find(self, module: str, name: str):
        full = f"{module}.{name}".replace("__builtin__", "builtins")
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if full == "_codecs.encode":
            return self.encode
        if full in KNOWN:
            return KNOWN[full]
        if module in NUMPY:
            found = {"_reconstruct": _reconstruct, "scalar": Inert}.get(name)
            if found is not None:
                return found
        if module in ("numpy.core.numeric", "numpy._core.numeric") and name == "_frombuffer":
            return _frombuffer
        if full in INERT:
            return Inert
        raise Refused(
            f"it names {full[:80]}, which no weights need and which could run code; if you trust the file, load it "
            "with its own library and save the state dict alone"
        )

    def storage(self, reference) -> Storage:
        """PyTorch's persistent ids: ("storage", type, key, device, count, ...)."""
        if not isinstance(reference, tuple) or len(reference) < 5 or reference[0] != "storage":
            raise ValueError("an unknown reference to memory")
        dtype, key, count = reference[1], str(reference[2]), reference[4]
        if not isinstance(dtype, str) or not isinstance(count, int) or count < 0:
            raise Refused(f"a storage of an unknown type ({str(dtype)[:60]})")
        return self.storages.setdefault(key, Storage(key, dtype, count))


KNOWN = {
    "collections.OrderedDict": _ordered_dict,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": _rebuild_parameter,
    "torch.nn.parameter.Parameter": _rebuild_parameter,
    "torch.Size": _size,
    "jittor.Var": _from_jittor,
    "jittor_core.Var": _from_jittor,
    "jittor.jittor_core.Var": _from_jittor,
    "numpy.ndarray": NumpyArray,
    "numpy.dtype": NumpyDtype,
    **{f"torch.{name}": TorchDtype for name in ("float32", "float64", "float16", "bfloat16")},
    **{f"torch.{name}": TorchDtype for name in ("int64", "int32", "uint8", "bool")},
}


def _text(value) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else str(value)


def plain_key(value):
    """A key of a dictionary: the hash of nested tuples can take forever."""
    if not isinstance(value, (str, int, float, bytes, type(None))):
        raise Refused(f"a dictionary has a {type(value).__name__} as a key")
    return value
