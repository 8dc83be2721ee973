"""An unpickler for weights that runs nothing: tensors and plain data come out, anything else is refused.

PyTorch's files, Jittor's (jt.save) and detectron2's are pickles, a language that can call any function.
This reader knows the few names that weights need (stand_ins.py) and calls no other. Large arrays stay views of
the mapped file.

Python's own unpickler (the slow, readable one) does the reading; its table of instructions is cut down
to those that pickles of data use.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import ClassVar

import numpy as np

from neutral.weights.stand_ins import Inert, Names, NumpyArray, NumpyDtype, plain_key
from neutral.weights.stored import Refused, TorchTensor

MEMO_LIMIT = 1 << 24  # of numbered objects, far above what a checkpoint has
VIEWS_FROM = 4096  # bytes; longer strings of bytes are views of the file


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
        self.stack[-1][plain_key(key)] = value

    def load_setitems(self):
        items = self.pop_mark()
        for key, value in zip(items[::2], items[1::2], strict=True):
            self.stack[-1][plain_key(key)] = value

    def load_dict(self):
        items = self.pop_mark()
        self.append({plain_key(k): v for k, v in zip(items[::2], items[1::2], strict=True)})

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
