"""Right functions that share their work in another way are no causes; loops and arrays have limits."""

from __future__ import annotations

import time

import numpy as np
import pytest

from parity.engine.ask.called import check_called
from parity.engine.judge.verdicts import Status
from parity.engine.sides.noting import ELEMENTS, Calls
from tests.called import changed, pair_of

pytestmark = pytest.mark.usefixtures("warm_workers")

PAIR = """
from ported import Head


def half():
    head = Head()
    return lambda boxes, scores: head.chosen(boxes, scores, 0.5)
"""
SHARED = """
import torch


class Coder:
    def __init__(self, factor):
        self.factor = factor

    def encode(self, boxes):
        return boxes * self.factor


class Head:
    def __init__(self):
        self.coder, self.other, self.step = Coder(2.0), Coder(3.0), 1

    def clipped(self, boxes):
        boxes = boxes + 0
        boxes = clip(boxes)
        return boxes * 2

    def distance(self, boxes):
        return apart(boxes, boxes * 2) + 1

    def loss(self, boxes):
        return mean_of(boxes)

    def stepped(self, boxes):
        return boxes * 4

    def chosen(self, boxes, scores, least):
        made = [self.clipped(boxes), self.distance(boxes), self.loss(boxes), self.stepped(boxes)]
        return [*made, moved(boxes, 2 * boxes), self.coder.encode(boxes), self.other.encode(boxes)]


def clip(boxes):
    return boxes.clamp(0, 0.5)


def apart(a, b):
    return (a - b).abs().sum(1)


def mean_of(boxes):
    return boxes.mean()


def moved(boxes, deltas):
    return boxes + 3 * deltas
"""
OTHERWISE = {  # each is right
    "in place": {"boxes.clamp(": "boxes.clamp_(", "boxes = clip(boxes)": "clip(boxes)"},
    "another form": {"(a - b)": "(a - b / 2)", "boxes * 2) + 1": "boxes * 4) + 1"},
    "divided by the caller": {
        "boxes.mean()": "boxes.sum()",
        "mean_of(boxes)\n\n    def": "mean_of(boxes) / boxes.numel()\n\n    def",
    },
    "a state": {
        "return boxes * 4": "return boxes * self.step",
        "made = [": "self.step = 4\n        made = [",
        "return [*made": "self.step = 1\n        return [*made",
    },
    "swapped": {"(boxes, deltas)": "(deltas, boxes)", "(boxes, 2 * boxes)": "(2 * boxes, boxes)"},
    "another order": {"made = [": "self.other.encode(boxes)\n        made = ["},
}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("otherwise")
    (folder / "pair.py").write_text(PAIR)
    inputs = np.random.default_rng(0).uniform(0, 1, (9, 2)), np.zeros(9)

    def run(lib, changes):
        case, _ = pair_of(folder, (lib, changed(lib, changes)), inputs)
        return {v.owner: v for v in check_called(case).verdicts}

    return run


@pytest.mark.parametrize("kind", OTHERWISE)
def test_functions_that_share_their_work_in_another_way_are_no_causes(told, kind):
    found = told(SHARED, OTHERWISE[kind])
    assert {v.status for v in found.values()} == {Status.PASS}, found
    assert len(found) > 4


def test_wrong_ones_are_causes_beside_those(told):
    changes = {k: v for c in OTHERWISE.values() for k, v in c.items()}
    wrong = {"boxes * self.factor": "boxes * self.factor * 2", "3 * deltas": "4 * deltas"}
    found = told(SHARED, changes | wrong | {"b / 2": "b / 3"})
    failed = {name for name, v in found.items() if v.status is Status.FAIL}
    assert "Coder.encode()" in failed and failed & {"apart()", "Head.distance()"}


LOOP = """
class Head:
    def chosen(self, boxes, scores, least):
        return [added(boxes, 3000), last(boxes)]


def added(x, times):
    for i in range(times):
        x = tiny(x, i)
    return x


def tiny(x, i):
    return x + i


def last(x):
    return x * 2
"""


def test_what_follows_a_long_loop_is_still_compared(told):
    started = time.monotonic()
    found = told(LOOP, {"x + i": "x + i + 0.5", "x * 2": "x * 3"})
    assert {"tiny()", "last()"} <= {n for n, v in found.items() if v.status is Status.FAIL}
    assert time.monotonic() - started < 60


def test_what_is_noted_has_a_limited_size():
    def arrays(x):
        return isinstance(x, np.ndarray)

    with Calls(arrays, np.asarray, []) as calls:
        kept(np.zeros(8)), kept(np.zeros(ELEMENTS + 1))
    assert [c.arguments[0].size for c in calls.noted] == [8]
    calls.room = 10
    assert calls.fits(np.zeros(8)) and not calls.fits(np.zeros(11))


def kept(x):
    return x[:4]


CHOICE = """
class Head:
    def chosen(self, boxes, scores, least):
        return [above(boxes, scores + 0.3), called(boxes)]


def above(x, scores):
    return x[scores >= 0.3]


def called(x):
    return doubled(x) + 1


def doubled(x):
    return x * 2


TABLE = [doubled]
"""


def test_how_many_a_threshold_in_float32_leaves_is_no_cause(told):
    assert "above()" in told(CHOICE, {})
    assert "above()" not in told(CHOICE, {">= 0.3": ">= 0.30000001192092896"})
    assert told(CHOICE, {">= 0.3": "> 0.4"})["above()"].status is Status.FAIL


def test_what_is_called_through_a_table_is_not_said_to_be_left_out(told):
    wrong = told(CHOICE, {"doubled(x) + 1": "TABLE[0](x) + 2"})["called()"]
    assert wrong.status is Status.FAIL and "never called" not in wrong.message
    assert (
        "doubled() is never called" in told(CHOICE, {"doubled(x) + 1": "x + 1"})["called()"].message
    )


TOP = """
class Head:
    def chosen(self, boxes, scores, least):
        return [total(boxes), *even(boxes, 3)]


def total(x):
    return x.mean()


def even(x, n):
    return (x * 2, x) if n == 0 else odd(x, n - 1)


def odd(x, n):
    return (x, x * 3) if n == 0 else even(x * 1.5, n - 1)
"""


def test_nothing_is_a_cause_where_the_whole_run_agrees(told, monkeypatch):
    monkeypatch.setattr("parity.engine.ask.called.right_together", lambda *_: set())
    assert {v.status for v in told(SHARED, OTHERWISE["another form"]).values()} == {Status.PASS}
    assert told(TOP, {"x.mean()": "x.sum()"})["total()"].status is Status.FAIL


def test_of_two_that_call_each_other_a_wrong_one_is_told(told):
    found = told(TOP, {"x * 1.5": "x * 1.6", "odd(x, n - 1)": "odd(x * 2, n - 1)"})
    assert Status.FAIL in {found[n].status for n in ("even()", "odd()") if n in found}
