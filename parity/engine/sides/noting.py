"""Calls of the user's own functions in a run, in their framework's process: what each was given and gave, and what
those that it calls gave.

Before: answers.py, lent.py, values/places.py, values/plain.py. called.py asks.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import FrameType, FunctionType, MappingProxyType

import numpy as np

from parity.engine.sides.answers import Known
from parity.engine.sides.lent import is_lender
from parity.engine.values import tree
from parity.engine.values.nodes import ROOT
from parity.engine.values.places import is_own
from parity.engine.values.plain import is_simple, same

EACH, MOST = 200, 2000  # noted of one function; of all
ELEMENTS, ROOM = 1 << 20, 1 << 26  # of the arrays of one call, of all that are noted
FORWARD = ("forward", "execute")
WATCHED = ("__init__", "__new__", "__setattr__")  # no results
VARIADIC = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS | inspect.CO_GENERATOR


@dataclass
class Call:
    """name: of the function, "Class.name" of a method, of a module's forward the module's own; arguments and results:
    trees of arrays and plain values. answers: the same three of what it calls itself. which: of the functions or
    objects of that name. wanted: the arguments, by path, that gradients came to in that run. names: of the arguments;
    usual: those that have their default. module: whether it is a module's forward. lent: whether it is a library's."""

    name: str
    code: str
    arguments: list
    which: int = 0
    results: object = None
    answers: list[tuple] = field(default_factory=list)
    wanted: list[str] = field(default_factory=list)
    names: tuple[str, ...] = ()
    usual: list[str] = field(default_factory=list)
    module: bool = False
    lent: bool = False


class Calls:
    """Inside of a `with` block calls of the user's named functions are noted, those of `passed` files left out."""

    def __init__(
        self,
        is_tensor: Callable,
        to_numpy: Callable,
        passed: list[str],
        flows: Callable = lambda x: False,  # whether a gradient comes to a tensor
        modules: Mapping = MappingProxyType({}),  # by name
        lent: Collection[str] = (),  # of a library's, those that are wanted
    ):
        self.is_tensor, self.to_numpy, self.passed, self.flows = is_tensor, to_numpy, passed, flows
        self.modules = {id(module): name or ROOT for name, module in modules.items()}
        self.lent, self.libraries = set(lent), {n.rpartition(".")[2] for n in lent}
        self.noted: list[Call] = []
        self.known: dict[str, list[Known]] = {}
        self.begun_by: Counter = Counter()
        self.room = ROOM
        self.open: list[tuple[FrameType, Call | None]] = []

    def __enter__(self) -> Calls:
        self.before = sys.getprofile()
        sys.setprofile(self.watch)
        return self

    def __exit__(self, *_) -> None:
        sys.setprofile(self.before)

    def watch(self, frame: FrameType, event: str, value) -> None:
        if event == "call" and len(self.noted) < MOST and self.is_wanted(frame):
            with contextlib.suppress(Exception):  # what is odd about a value is told by what runs
                self.open.append((frame, self.begun(frame)))
        elif event == "return" and self.open and self.open[-1][0] is frame:
            _, call = self.open.pop()
            with contextlib.suppress(Exception):
                self.ended(call, value)

    def is_wanted(self, frame: FrameType) -> bool:
        code = frame.f_code
        if code.co_name in WATCHED or code.co_name.startswith("<") or code.co_flags & VARIADIC:
            return False
        if code.co_filename in self.passed:
            return False
        return is_own(frame) or (code.co_name in self.libraries and is_lender(frame))

    def begun(self, frame: FrameType) -> Call | None:
        code = frame.f_code
        names = code.co_varnames[: code.co_argcount]
        me = frame.f_locals["self"] if names[:1] == ("self",) else None
        name, known = where(frame, me, self.modules)
        names = names[me is not None :]
        values = [frame.f_locals[n] for n in names]
        lent, module = not is_own(frame), code.co_name in FORWARD
        unknown = known is None or (lent and name not in self.lent)
        if unknown or self.begun_by[name] >= EACH or not self.fits(values):
            return None
        self.begun_by[name] += 1
        place = f"{code.co_filename}:{code.co_firstlineno}"
        call = Call(name, place, values, self.number_of(name, known), names=names)
        call.lent, call.module = lent, module
        return call if module else self.copied(call)

    def copied(self, call: Call) -> Call:
        """With arrays of its own."""
        values = call.arguments
        self.room -= self.size_of(values)
        call.arguments = self.plain(values)
        call.wanted = [path for path, x in tree.leaves(values, self.is_tensor) if self.flows(x)]
        return call

    def number_of(self, name: str, known: Known) -> int:
        """Which of that name it is; one more where it is none of them."""
        alike = self.known.setdefault(name, [])
        for number, other in enumerate(alike):
            if other.me is known.me and other.function is known.function:
                return number
        alike.append(known)
        return len(alike) - 1

    def with_defaults(self, call: Call) -> list[str]:
        """The arguments that are as they would be if nobody gave them."""
        function = self.known[call.name][call.which].function
        parameters = inspect.signature(function).parameters
        given = zip(call.names, call.arguments, strict=True)
        return [
            n
            for n, x in given
            if n in parameters and is_simple(x) and same(x, parameters[n].default)
        ]

    def fits(self, value) -> bool:
        """Whether arrays of that size may be copied."""
        return self.size_of(value) <= min(ELEMENTS, self.room)

    def size_of(self, value) -> int:
        return sum(int(np.prod(x.shape)) for _, x in tree.leaves(value, self.is_array))

    def ended(self, call: Call | None, value) -> None:
        above = next((c for _, c in reversed(self.open) if c is not None), None)
        if call is None:
            return
        if value is None or not self.fits(value) or (call.module and not call.answers):
            if call.module and above is not None:
                above.answers += call.answers
            return
        call = self.copied(call) if call.module else call
        self.room -= self.size_of(value)
        call.results = self.plain(value)
        self.noted.append(call)
        if above is not None and is_simple([call.arguments, call.results]):
            above.answers.append((call.name, call.arguments, call.results))

    def plain(self, value):
        read = lambda _, x: np.array(self.to_numpy(x) if self.is_tensor(x) else x)  # noqa: E731
        return tree.replaced(value, self.is_array, read)

    def is_array(self, value) -> bool:
        return isinstance(value, np.ndarray) or self.is_tensor(value)


def where(frame: FrameType, me, modules: Mapping) -> tuple[str, Known | None]:
    """The name of the function that a frame runs, and where it is; None of what cannot be called by that name.
    `modules`: names by id."""
    name = frame.f_code.co_name
    if me is None:
        found = frame.f_globals.get(name)
        is_it = getattr(inspect.unwrap(found), "__code__", None) if found else None
        return name, Known(found) if is_it is frame.f_code else None
    for kind in type(me).__mro__:
        found = vars(kind).get(name)
        if isinstance(found, FunctionType) and found.__code__ is frame.f_code:
            if name not in FORWARD:
                return f"{type(me).__name__}.{name}", Known(found, kind, me)
            path = modules.get(id(me))
            return path or name, Known(found, kind, me, is_module=True) if path else None
    return name, None
