"""Small parts of what judges, each by itself."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from parity.engine.ask.by_loss import told_by_loss
from parity.engine.judge import judging, kinds
from parity.engine.judge.checks import LOCAL_FORWARD_64, LOCAL_GRADIENTS_64
from parity.engine.judge.semantic import compare_losses
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.judge.weights import LISTED, listed
from parity.engine.values.aligned import unlike_modules
from parity.engine.values.nodes import OUTSIDE, ROOT
from parity.engine.values.places import LIBRARY, OURS, last_frames
from parity.errors import WorkerDied


@pytest.mark.parametrize("count", [1, LISTED - 1, LISTED, LISTED + 1, LISTED + 30])
def test_names_are_listed_as_far_as_they_can_be_read(count):
    names = [f"n{k}" for k in range(count)]
    found = listed(names)
    shown, _, more = found.partition(" and ")
    assert shown.split(", ") == names[:LISTED]
    assert more == (f"{count - LISTED} more" if count > LISTED else "")


def layer(kind: str, leaf: bool, holds: bool) -> dict:
    return {"type": kind, "leaf": leaf, "holds": holds}


@pytest.mark.parametrize("swapped", [False, True])
def test_modules_are_unlike_where_a_bare_leaf_has_the_name_of_one_with_tensors(swapped):
    bare, full = layer("Identity", True, False), layer("Linear", True, True)

    def unlike(a, b):
        pair = ({"a": a}, {"a": b})
        return unlike_modules(*(pair[::-1] if swapped else pair))

    assert unlike(bare, full) == unlike(bare, layer("Block", False, True)) == {"a"}
    assert not unlike(bare, layer("Identity", True, True)), "one class"
    assert not unlike(bare, layer("ReLU", True, False)) and not unlike(
        full, layer("Conv", True, True)
    )
    assert not unlike(layer("Sequential", False, False), full), "what is in it may hold them"
    assert not unlike({"type": "Identity"}, full), "of which it is not known"
    assert unlike_modules({}, {"a": full}) == unlike_modules({"a": full}, {}) == set()


class Asked:
    """Stands for an examination and its workers."""

    sides, inputs, targets = ("one", "two"), "inputs", "targets"

    def __init__(self, answers: dict | Exception):
        self.answers, self.workers, self.prepared, self.given = answers, self, [], None

    def path(self, side: str, run: str) -> str:
        return f"{side} {run}"

    def prepare(self, sides, dtype: str) -> None:
        self.prepared.append((sides, dtype))

    def run(self, target: str, *given, sides) -> dict:
        self.given = (target.rpartition(":")[2], *given)
        if isinstance(self.answers, Exception):
            raise self.answers
        return self.answers


GRADIENT = np.array([1.0, -2.0])


def odd(**changes) -> Verdict:
    base = Verdict("case", LOCAL_GRADIENTS_64, "x", Status.FAIL, owner=OUTSIDE, code=("a:1", "b:1"))
    return base.but(**changes)


def test_losses_are_differentiated_one_by_one_in_float64_and_told_before_all_of_them():
    ours = {"loss/a": {"x": GRADIENT}, "loss/b": {"x": GRADIENT}}
    theirs = {"loss/a": {"x": GRADIENT}, "loss/b": {"x": 2 * GRADIENT}}
    asked = Asked({"one": ("a:7", ours), "two": ("b:9", theirs)})
    fine = odd(status=Status.PASS, node="y")
    found = told_by_loss(asked, [fine, odd(), odd(node="z")])
    assert asked.prepared == [(("one", "two"), "float64")]
    assert asked.given == ("loss_gradients", "inputs", "targets", "one free 64", ["x", "z"])
    assert [v.node for v in found] == ["y", "loss/b", "x", "z"]
    assert found[1].status is Status.FAIL and found[1].code == ("a:7", "b:9")
    died = Asked(WorkerDied("died", "node"))
    assert told_by_loss(died, [odd()]) == [odd()]


@pytest.mark.parametrize(
    "change",
    [
        *({"status": Status.PASS}, {"kind": kinds.MISSING}, {"check": LOCAL_FORWARD_64}),
        *({"owner": "head"}, {"owner": ROOT, "node": "head/in[0]"}),
    ],
)
def test_what_losses_do_not_make_is_not_asked_of_them(change):
    asked = Asked({})
    assert told_by_loss(asked, [odd(**change)]) == [odd(**change)] and asked.given is None


def test_of_a_printed_stack_the_users_own_frames_are_told_innermost_first():
    library, here = inspect.__file__, __file__
    torch = f"{LIBRARY}site-packages/torch/nn/modules/module.py"
    own = f"{LIBRARY}site-packages/ported/head.py"
    frames = [
        *((library, 7, "wait"), (own, 12, "forward"), (torch, 5, "_call_impl")),
        *(
            (str(OURS / "parity" / "case.py"), 3, "run"),
            ("/home/me/pair.py", 40, "half"),
            (here, 1, "f"),
        ),
    ]

    def printed(head: str, *rows) -> str:
        lines = (f'  File "{file}", line {line} in {name}\n' for file, line, name in rows)
        return f"{head} (most recent call first):\n{''.join(lines)}"

    wanted = [f"{own}:12, in forward", "/home/me/pair.py:40, in half", f"{here}:1, in f"]
    for head in ("Current thread 0x00007f", "Stack"):
        assert last_frames(f"Fatal Python error\n\n{printed(head, *frames)}") == wanted
    earlier = printed("Current thread 0x1", ("/home/me/old.py", 1, "old"))
    assert last_frames(earlier + "said\n" + printed("Current thread 0x1", *frames)) == wanted
    assert last_frames("nothing of this kind") == []
    assert last_frames("<frozen runpy>") == []


def test_losses_are_measured_by_the_references_and_missing_ones_told_of_their_side():
    ours, theirs = ({"losses": {"a": np.array(x)}, "errors": {}} for x in (2.0, 3.0))
    none = {"losses": {}, "errors": {}}
    for reference, candidate, size in ((ours, theirs, 2.0), (theirs, ours, 3.0)):
        (found,) = compare_losses("case", "check", reference, candidate, 1e-3)
        assert found.node == "loss/a" and found.status is Status.FAIL
        assert found.measured == pytest.approx(1 / size)
    for reference, candidate, side in (
        (ours, none, "one"),
        (none, ours, "two"),
    ):
        (lost,) = compare_losses("case", "check", reference, candidate, 1e-3, ("one", "two"))
        other = {"one": "two", "two": "one"}[side]
        assert lost.kind == kinds.MISSING and lost.message.endswith(f"{other} has not")


def test_a_plain_number_is_an_array_of_no_axes():
    ones = np.ones(2, np.float32)
    for a, b in ((1.0, ones), (ones, 1.0)):
        assert judging.judge("case", "check", "node", a, b, 1e-6).status is Status.FAIL
    assert judging.judge("case", "check", "node", 1.0, np.ones(()), 1e-6).status is Status.PASS
