"""An unpickler for weights that runs nothing: tensors and plain data come out, anything else is refused.

PyTorch's files, Jittor's (jt.save) and detectron2's are pickles, a language that can call any function.
This reader knows the few names that weights need, each answered by a stand-in of its own; it calls no
other, and a file that names one is refused. Sizes are checked against what the file holds before
anything is allocated, and large arrays stay views of the mapped file.

Python's own unpickler (the slow, readable one) does the reading; its table of instructions is cut down
to those that pickles of data use.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

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
NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")
MEMO_LIMIT = 1 << 24  # of numbered objects, far above what a checkpoint has
VIEWS_FROM = 4096  # bytes; longer strings of bytes are views of the file
REPEATED = 1 << 16  # elements that an expanded tensor may have beyond its memory's
AXES = 32
ENCODED = 2  # times the size of the file may be encoded: every text once, and some


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
    found = {_key(k): v for k, v in pairs}
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


def _key(value):
    """A key of a dictionary: the hash of nested tuples can take forever."""
    if not isinstance(value, (str, int, float, bytes, type(None))):
        raise Refused(f"a dictionary has a {type(value).__name__} as a key")
    return value


class Bounded(io.RawIOBase):
    """A part of a mapped file: nothing is read beyond its end, and long strings of bytes are views."""

    def __init__(self, data: memoryview, start: int = 0):
        self.data, self.position = data, start

    def read(self, count: int = -1):
        end = len(self.data) if count < 0 else self.position + count
        if end > len(self.data):
            raise EOFError("the file ends inside of a value")
        part = self.data[self.position : end]
        self.position = end
        return part if len(part) >= VIEWS_FROM else bytes(part)

    def readline(self, limit: int = -1) -> bytes:
        end = self.position
        for end in range(self.position, min(self.position + 10_000, len(self.data))):
            if self.data[end] == 0x0A:
                break
        else:
            raise EOFError("a line without an end")
        line = bytes(self.data[self.position : end + 1])
        self.position = end + 1
        return line


class Unpickler(pickle._Unpickler):
    """Python's unpickler with the instructions that data needs, each of bounded cost."""

    dispatch: ClassVar[dict] = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: Bounded, names: Names):
        super().__init__(file, encoding="latin1")
        self.names = names

    def find_class(self, module: str, name: str):
        return self.names.find(module, name)

    def persistent_load(self, pid):
        return self.names.storage(pid)

    def _decode_string(self, value):
        return bytes(value).decode("latin1")

    def refuse(self):
        raise Refused("it holds an instruction that pickles of weights do not have")

    def load_reduce(self):
        arguments = self.stack.pop()
        function = self.stack[-1]
        if not callable(function) or not isinstance(arguments, tuple):
            raise ValueError("a damaged call")
        self.stack[-1] = function(*arguments)

    def load_newobj(self):
        self.load_reduce()

    def load_newobj_ex(self):
        self.stack.pop()  # keyword arguments: nothing that is kept has any
        self.load_reduce()

    def load_build(self):
        state = self.stack.pop()
        instance = self.stack[-1]
        if isinstance(instance, (NumpyArray, NumpyDtype, Inert)):
            instance.__setstate__(state)
        elif not isinstance(instance, (dict, TorchTensor)):  # an OrderedDict's metadata, a tensor's
            raise Refused(f"it sets the state of a {type(instance).__name__}")

    def load_setitem(self):
        value, key = self.stack.pop(), self.stack.pop()
        self.stack[-1][_key(key)] = value

    def load_setitems(self):
        items = self.pop_mark()
        for key, value in zip(items[::2], items[1::2], strict=True):
            self.stack[-1][_key(key)] = value

    def load_dict(self):
        items = self.pop_mark()
        self.append({_key(k): v for k, v in zip(items[::2], items[1::2], strict=True)})

    def load_additems(self):
        self.pop_mark()  # members of a set, which is not kept
        if not isinstance(self.stack[-1], Inert):
            raise ValueError("a damaged set")

    def load_empty_set(self):
        self.append(Inert())

    def load_frozenset(self):
        self.pop_mark()
        self.append(Inert())

    def load_bytearray8(self):
        (count,) = np.frombuffer(bytes(self.read(8)), "<u8")
        self.append(self.read(int(count)))

    def put(self, index: int):
        if not 0 <= index < MEMO_LIMIT:
            raise Refused("it numbers its objects absurdly")
        self.memo[index] = self.stack[-1]

    def load_put(self):
        self.put(int(self.readline()[:-1]))

    def load_binput(self):
        self.put(self.read(1)[0])

    def load_long_binput(self):
        self.put(int.from_bytes(self.read(4), "little"))


ALLOWED = """
    MARK STOP POP POP_MARK DUP NONE NEWTRUE NEWFALSE INT LONG BININT BININT1 BININT2 LONG1 LONG4 FLOAT BINFLOAT
    STRING BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8 UNICODE BINUNICODE
    SHORT_BINUNICODE BINUNICODE8 EMPTY_LIST APPEND APPENDS LIST EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT
    DICT SETITEM SETITEMS EMPTY_SET ADDITEMS FROZENSET GET BINGET LONG_BINGET PUT BINPUT LONG_BINPUT MEMOIZE GLOBAL
    STACK_GLOBAL REDUCE BUILD NEWOBJ NEWOBJ_EX PROTO FRAME BINPERSID PERSID
"""
_OWN = """
    reduce newobj newobj_ex build setitem setitems dict additems empty_set frozenset bytearray8 put binput
    long_binput
"""
for _opcode in pickletools.opcodes:
    _code = ord(_opcode.code)
    if _opcode.name not in ALLOWED.split():
        Unpickler.dispatch[_code] = Unpickler.refuse
    elif _opcode.name.lower() in _OWN.split():
        Unpickler.dispatch[_code] = getattr(Unpickler, f"load_{_opcode.name.lower()}")


def unpickle(file: Bounded, names: Names):
    """The next object of the file, and the file behind it; ValueError or EOFError when it is damaged."""
    try:
        return Unpickler(file, names).load()
    except (Refused, EOFError):
        raise
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except Exception as error:  # damaged pickles raise anything at all
        raise ValueError(f"a damaged pickle: {type(error).__name__}: {str(error)[:100]}") from None
