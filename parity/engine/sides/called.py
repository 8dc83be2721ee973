"""The user's own functions by name, in their framework's process: what each was given and gave in a run, and the same
functions called again with the other side's arguments, while what they call answers as on that side.

Before: runner.py, noting.py. ask/called.py asks.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from types import MappingProxyType

import numpy as np

from parity.engine.sides.answers import Answers, answering, found_by_name
from parity.engine.sides.flows import Flows
from parity.engine.sides.noting import Call, Calls
from parity.engine.values import tree
from parity.engine.values.plain import is_simple

CALLS = 2  # of one function: called again
ALIKE = 8  # functions of one name, or objects with a method


def is_of_arrays(call: Call) -> bool:
    """Whether it makes arrays of arrays, and of nothing else that only this process has."""
    is_leaf = lambda v: isinstance(v, np.ndarray)  # noqa: E731
    given, made = (list(tree.leaves(x, is_leaf)) for x in (call.arguments, call.results))
    is_plain = is_simple([call.arguments, call.results])
    return bool(given and made and is_plain and call.which < ALIKE)


def is_followed(backend, x) -> bool:
    """Whether a gradient comes to a tensor from what is made of it now: not where none are wanted."""
    return backend.is_differentiable(x) and backend.is_differentiable(backend.identity(x))


def observe(
    server, inputs, targets, passed: list[str], lent: Collection[str] = ()
) -> tuple[list[dict], dict]:
    """In a worker: the calls of one run of forward, losses and post-processing; those of CALLS that can be made again,
    as dictionaries of a Call's fields; and {"results": what the whole run gives, [] where it raises or is not plain}.
    `passed`: files whose functions are none of the port's; `lent`: names of libraries' functions that are wanted."""
    runner, backend = server.runner, server.backend
    flows = partial(is_followed, backend)
    calls = Calls(backend.is_tensor, backend.to_numpy, passed, flows, runner.modules(), lent)
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
            call.usual = calls.with_defaults(call)
            found.append(vars(call))
    return found, {"results": whole if is_simple(whole) else []}


def call_again(server, jobs: list[tuple]) -> list[dict | None]:
    """In a worker: of each (name, arguments, answers, which, wanted, places, below) {"results", "left out": what of the
    answers nobody asked for, "asked", "own": what was asked otherwise than there, and computed here, "gradients": of a
    fixed weighting of the results, by the path of wanted arguments}; None where that raises.

    places: where this side's parameters come from, see ask/arguments.py; None for arguments as they are. below: the
    same by name of what answers."""
    found = []
    for job in jobs:
        try:
            found.append(one_again(server, *job))
        except Exception:
            found.append(None)
    return found


def one_again(
    server,
    name: str,
    arguments: list,
    answers: list[tuple],
    which: int,
    wanted: tuple = (),
    places: list[tuple] | None = None,
    below: Mapping = MappingProxyType({}),
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
            told = Answers(calls.plain, child, there, tensors, asked, own, below.get(child))
            stack.enter_context(answering(child, found, told))
        me = () if known.me is None else (known.me,)
        flows = Flows(backend, tensors(arguments), wanted)
        given = flows.given
        if places is not None:
            given = [given[at] if is_given else at for is_given, at in places]
        with names_that_run() as ran:
            made = known.function(*me, *given)
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
