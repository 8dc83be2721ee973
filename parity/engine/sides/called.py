"""The user's own functions by name, in their framework's process: what each was given and gave in a run, and the same
functions called again with the other side's arguments, while what they call answers as on that side.

Before: runner.py, values/places.py, values/plain.py. ask/called.py asks.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from types import FrameType, FunctionType

import numpy as np

from parity.engine.sides.answers import Answers, Known, answering, found_by_name
from parity.engine.sides.flows import Flows
from parity.engine.values import tree
from parity.engine.values.places import is_own
from parity.engine.values.plain import is_simple

CALLS, EACH, MOST = 2, 200, 2000  # of one function: called again, noted; of all: noted
ELEMENTS, ROOM = 1 << 20, 1 << 26  # of the arrays of one call, of all that are noted
ALIKE = 8  # functions of one name, or objects with a method
WATCHED = ("forward", "execute", "__init__", "__new__", "__setattr__")  # as modules, or no results
VARIADIC = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS | inspect.CO_GENERATOR


@dataclass
class Call:
    """name: of the function, "Class.name" of a method; arguments and results: trees of arrays and plain values.
    answers: the same three of what it calls itself. which: of the functions or objects of that name. wanted: the
    arguments, by path, that gradients came to in that run."""

    name: str
    code: str
    arguments: list
    which: int = 0
    results: object = None
    answers: list[tuple] = field(default_factory=list)
    wanted: list[str] = field(default_factory=list)


class Calls:
    """Inside of a `with` block calls of the user's named functions are noted, those of `passed` files left out."""

    def __init__(
        self,
        is_tensor: Callable,
        to_numpy: Callable,
        passed: list[str],
        flows: Callable = lambda x: False,  # whether a gradient comes to a tensor
    ):
        self.is_tensor, self.to_numpy, self.passed, self.flows = is_tensor, to_numpy, passed, flows
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
        return code.co_filename not in self.passed and is_own(frame)

    def begun(self, frame: FrameType) -> Call | None:
        code = frame.f_code
        names = code.co_varnames[: code.co_argcount]
        me = frame.f_locals["self"] if names[:1] == ("self",) else None
        name, known = where(frame, me)
        values = [frame.f_locals[n] for n in names[me is not None :]]
        if known is None or self.begun_by[name] >= EACH or not self.has_room(values):
            return None
        self.begun_by[name] += 1
        place = f"{code.co_filename}:{code.co_firstlineno}"
        call = Call(name, place, self.plain(values), self.number_of(name, known))
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

    def has_room(self, value) -> bool:
        """Whether arrays of that size may be copied, which is then counted."""
        sizes = [int(np.prod(x.shape)) for _, x in tree.leaves(value, self.is_array)]
        fits = sum(sizes) <= min(ELEMENTS, self.room)
        self.room -= sum(sizes) if fits else 0
        return fits

    def ended(self, call: Call | None, value) -> None:
        if call is None or value is None or not self.has_room(value):
            return
        call.results = self.plain(value)
        self.noted.append(call)
        above = next((c for _, c in reversed(self.open) if c is not None), None)
        if above is not None and is_simple([call.arguments, call.results]):
            above.answers.append((call.name, call.arguments, call.results))

    def plain(self, value):
        read = lambda _, x: np.array(self.to_numpy(x) if self.is_tensor(x) else x)  # noqa: E731
        return tree.replaced(value, self.is_array, read)

    def is_array(self, value) -> bool:
        return isinstance(value, np.ndarray) or self.is_tensor(value)


def where(frame: FrameType, me) -> tuple[str, Known | None]:
    """The name of the function that a frame runs, and where it is; None of what cannot be called by that name."""
    name = frame.f_code.co_name
    if me is None:
        found = frame.f_globals.get(name)
        is_it = getattr(inspect.unwrap(found), "__code__", None) if found else None
        return name, Known(found) if is_it is frame.f_code else None
    for kind in type(me).__mro__:
        found = vars(kind).get(name)
        if isinstance(found, FunctionType) and found.__code__ is frame.f_code:
            return f"{type(me).__name__}.{name}", Known(found, kind, me)
    return name, None


def is_of_arrays(call: Call) -> bool:
    """Whether it makes arrays of arrays, and of nothing else that only this process has."""
    is_leaf = lambda v: isinstance(v, np.ndarray)  # noqa: E731
    given, made = (list(tree.leaves(x, is_leaf)) for x in (call.arguments, call.results))
    is_plain = is_simple([call.arguments, call.results])
    return bool(given and made and is_plain and call.which < ALIKE)


def is_followed(backend, x) -> bool:
    """Whether a gradient comes to a tensor from what is made of it now: not where none are wanted."""
    return backend.is_differentiable(x) and backend.is_differentiable(backend.identity(x))


def observe(server, inputs, targets, passed: list[str]) -> tuple[list[dict], dict]:
    """In a worker: the calls of one run of forward, losses and post-processing; those of CALLS that can be made again,
    as dictionaries of a Call's fields; and {"results": what the whole run gives, [] where it raises or is not plain}.
    `passed`: files whose functions are none of the port's."""
    runner, backend = server.runner, server.backend
    calls = Calls(backend.is_tensor, backend.to_numpy, passed, partial(is_followed, backend))
    run, made, whole = runner.plain_run(), [], []
    with calls, contextlib.suppress(Exception):  # which is told elsewhere
        prepared = runner.prepare(inputs, differentiable=not runner.trained)
        outputs = runner.forward(prepared, run)
        made.append(outputs)
        if runner.subject.losses is not None:
            made.append(runner.losses(outputs, targets, run))
        if runner.subject.postprocess is not None:
            made.append(runner.subject.postprocess(outputs, inputs, run))
        whole = calls.plain(made)
    server.called = calls
    count: Counter = Counter()
    found = []
    for call in filter(is_of_arrays, calls.noted):
        count[call.name] += 1
        if count[call.name] <= CALLS:
            found.append(vars(call))
    return found, {"results": whole if is_simple(whole) else []}


def call_again(server, jobs: list[tuple]) -> list[dict | None]:
    """In a worker: of each (name, arguments, answers, which, wanted) {"results", "left out": what of the answers nobody
    asked for, "asked", "own": what was asked otherwise than there, and computed here, "gradients": of a fixed weighting
    of the results, by the path of wanted arguments}; None where that raises."""
    found = []
    for job in jobs:
        try:
            found.append(one_again(server, *job))
        except Exception:
            found.append(None)
    return found


def one_again(
    server, name: str, arguments: list, answers: list[tuple], which: int, wanted: tuple = ()
) -> dict:
    calls, backend = server.called, server.backend

    def tensors(value):
        is_array = lambda x: isinstance(x, np.ndarray)  # noqa: E731
        return tree.replaced(value, is_array, lambda _, x: backend.array(x.copy()))

    waiting: dict[str, list] = {}
    for child, *given_and_made in answers:
        waiting.setdefault(child, []).append(given_and_made)
    known, asked, own = calls.known[name][which], set(), set()
    with contextlib.ExitStack() as stack:
        for child, there in waiting.items():
            found = found_by_name(child, calls.known)
            told = Answers(calls.plain, child, there, tensors, asked, own)
            stack.enter_context(answering(child, found, told))
        me = () if known.me is None else (known.me,)
        flows = Flows(backend, tensors(arguments), wanted)
        with names_that_run() as ran:
            made = known.function(*me, *flows.given)
        results, gradients = calls.plain(made), flows.back(made)
    away = [c for c in waiting if c not in asked and c.rpartition(".")[2] not in ran]
    left = [c for c in away if found_by_name(c, calls.known)]
    results = results if is_simple(results) else None
    told = {"left out": left, "asked": sorted(asked), "own": sorted(own), "gradients": gradients}
    return {"results": results} | told


@contextlib.contextmanager
def names_that_run() -> Iterator[set[str]]:
    """Also of functions that are reached by another name: in a table, a partial, through super()."""
    ran, before = set(), sys.getprofile()
    sys.setprofile(lambda frame, *_: ran.add(frame.f_code.co_name))
    try:
        yield ran
    finally:
        sys.setprofile(before)
