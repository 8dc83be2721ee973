"""Which calls of a run are noted, and what of each: kinds of functions, objects, limits."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from parity.engine.sides import noting
from parity.engine.sides.noting import ROOM, Call
from parity.engine.values.nodes import ROOT
from tests.noting import Tensor, names_of, noted, plain, program

KINDS = """
import functools


def plain(x, scale=2.0, names=("a", "b"), more=None):
    return scale * x


def doubling(function):
    @functools.wraps(function)
    def instead(x):
        return function(x)
    return instead


@doubling
def wrapped(x):
    return 3.0 * x


def many(*x):
    return 2.0 * x[0]


def named(x, **others):
    return 2.0 * x


def generated(x):
    yield 2.0 * x


def closed(x):
    def inside(y):
        return 2.0 * y
    return inside(x)


class Base:
    def __init__(self, x):
        self.x = 2.0 * x

    def made(self, x):
        return 3.0 * x

    @doubling_of_methods
    def hidden(self, x):
        return 3.0 * x


class Other(Base):
    pass


def raising(x):
    raise ValueError


def trying(x):
    try:
        raising(x)
    except ValueError:
        return 2.0 * x


def writing(x):
    made = 2.0 * x
    x.values += 1
    return made


def holding(thing):
    return [2.0 * thing.x]


def asking(x, thing):
    return [holding(thing), plain(x)]


def listing(x, others):
    return [x, (others["a"], 1)]
"""


@pytest.fixture
def space(tmp_path):
    text = KINDS.replace(
        "class Base:",
        "def doubling_of_methods(f):\n    return lambda self, x: f(self, x)\n\n\nclass Base:",
    )
    return program(text, tmp_path)[0]


X = Tensor([[1.0, 2.0], [3.0, 4.0]])


def test_what_cannot_be_called_by_its_name_is_not_noted(space):
    with noted() as calls:
        for name in ("plain", "wrapped", "many", "named", "closed", "trying"):
            space[name](X)
        list(space["generated"](X))
        for kind in ("Base", "Other"):
            made = space[kind](X)
            made.made(X), made.hidden(X)
        (lambda x: 2.0 * x)(X)
    # what Python hands a wrapper is its function's, by the name that both have
    assert names_of(calls) == ["plain", "wrapped", "closed", "trying", "Base.made", "Other.made"]
    assert not calls.open


def test_methods_are_told_by_class_and_their_objects_by_number(space):
    first, second = space["Base"](X), space["Base"](X)
    with noted() as calls:
        for thing in (first, second, first, space["Other"](X), second):
            thing.made(X)
    assert [(c.name, c.which) for c in calls.noted] == [
        *(("Base.made", 0), ("Base.made", 1), ("Base.made", 0)),
        *(("Other.made", 0), ("Base.made", 1)),
    ]
    assert [k.me for k in calls.known["Base.made"]] == [first, second]
    assert calls.known["Other.made"][0].holder is space["Base"]
    assert not any(k.is_module for found in calls.known.values() for k in found)
    assert calls.noted[0].names == ("x",) and len(calls.noted[0].arguments) == 1


def test_two_functions_of_one_name_are_two(space, tmp_path):
    other = dict(space)
    exec(compile(KINDS[: KINDS.index("def doubling")], str(tmp_path / "other.py"), "exec"), other)
    with noted() as calls:
        space["plain"](X), other["plain"](X), space["plain"](X)
    assert [c.which for c in calls.noted] == [0, 1, 0]
    assert [k.function for k in calls.known["plain"]] == [space["plain"], other["plain"]]


def test_arguments_are_as_they_were_given_and_those_of_defaults_are_told(space):
    with noted() as calls:
        space["writing"](Tensor([1.0])), space["plain"](X, 3.0, more=None)
        space["plain"](X, 2.0, ["a", "b"]), space["plain"](X, names=("b", "a"), more=1)
    writing, *others = calls.noted
    assert writing.arguments[0].tolist() == [1.0] and writing.results.tolist() == [2.0]
    assert [calls.with_defaults(c) for c in others] == [
        *(["names", "more"], ["scale", "names", "more"], ["scale"])
    ]
    assert others[0].names == ("x", "scale", "names", "more")


def test_arguments_that_gradients_come_to_are_told_by_path(space):
    other = Tensor([5.0])
    with noted(flows=lambda x: x is not X) as calls:
        space["plain"](X), space["plain"](other), space["listing"](other, {"a": X, "b": other})
    assert [c.wanted for c in calls.noted] == [[], ["[0]"], ["[0]", "[1][b]"]]
    listing = calls.noted[-1]
    assert isinstance(listing.arguments[1]["b"], np.ndarray)
    assert plain(listing.results) == [[5.0], [[[1.0, 2.0], [3.0, 4.0]], 1]]


def test_what_another_process_would_not_understand_is_no_answer(space):
    with noted() as calls:
        space["asking"](X, space["Base"](X))
    assert names_of(calls) == ["holding", "plain", "asking"]
    assert [name for name, *_ in calls.noted[-1].answers] == ["plain"]


def test_what_has_no_name_in_the_model_is_none_of_its_modules(tmp_path):
    text = (
        "def doubled(x):\n    return 2.0 * x\n\n\nclass M:\n    def forward(self, x):\n"
        "        return doubled(x)\n\n    execute = forward\n"
    )
    space, _ = program(text, tmp_path)
    root, other = space["M"](), space["M"]()
    with noted(modules={"": root}) as calls:
        root.forward(X), other.forward(X)
    assert names_of(calls) == ["doubled", ROOT, "doubled"]
    assert calls.known[ROOT][0].is_module and calls.known[ROOT][0].me is root
    assert calls.noted[1].module and not calls.noted[0].module
    assert [name for name, *_ in calls.noted[1].answers] == ["doubled"]


def test_so_many_are_noted_and_no_more(space, monkeypatch):
    monkeypatch.setattr(noting, "EACH", 3)
    monkeypatch.setattr(noting, "MOST", 5)
    with noted() as calls:
        for _ in range(5):
            space["plain"](X)
        for _ in range(5):
            space["writing"](Tensor([1.0]))
    assert names_of(calls) == 3 * ["plain"] + 2 * ["writing"]


def test_arrays_are_noted_as_far_as_there_is_room(space, monkeypatch):
    monkeypatch.setattr(noting, "ELEMENTS", 6)
    with noted() as calls:
        space["plain"](Tensor(np.ones(6))), space["plain"](Tensor(np.ones(7)))
        space["listing"](Tensor(np.ones(4)), {"a": Tensor(np.ones(3))})
        assert calls.room == ROOM - 12
        calls.room = 11
        space["plain"](Tensor(np.ones(4))), space["plain"](Tensor(np.ones(2)))
        assert calls.room == 1 and not calls.fits(Tensor(np.ones(2)))
        space["plain"](Tensor(np.ones(1)))
    assert [c.arguments[0].size for c in calls.noted] == [6, 4], "there is none for a result"
    assert calls.room == 0 and calls.fits([1.0, "text"])


def test_files_that_are_passed_over_and_what_another_profiler_watches(space):
    seen = []
    sys.setprofile(watching := lambda frame, event, value: seen.append(event))
    try:
        with noted(space["plain"].__code__.co_filename) as calls:
            space["plain"](X)
        assert sys.getprofile() is watching
    finally:
        sys.setprofile(None)
    assert not calls.noted
    with noted("elsewhere.py") as calls:
        space["plain"](X)
    assert names_of(calls) == ["plain"]


def test_of_a_call_nothing_is_shared_with_another():
    one, other = Call("f", "", []), Call("f", "", [])
    one.answers.append(1), one.wanted.append("[0]"), one.usual.append("x")
    assert (other.answers, other.wanted, other.usual) == ([], [], [])
    assert (other.which, other.results, other.names) == (0, None, ())
    assert not other.module and not other.lent
