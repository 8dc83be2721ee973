"""What bred mutants of what asks both sides showed to be open."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from parity.backends import torch as backend
from parity.engine.ask.examine import refuses_float64
from parity.engine.judge import kinds
from parity.engine.judge.crashes import CHECK
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.sides.constants import is_taken
from parity.engine.sides.whereabouts import attribute
from parity.engine.values.places import frames_of
from parity.suite import regrets
from parity.suite.cases import CASES


class Running:
    """A runner of a function of two numbers, the second of which a loss may refuse to be differentiated by."""

    def __init__(self, refuses: bool):
        self.backend, self.refuses, self.constant = backend, refuses, frozenset({"before"})

    def plain_run(self):
        return "a run"

    def prepare(self, inputs, differentiable):
        assert differentiable
        made = {k: torch.tensor(x, requires_grad=k not in self.constant) for k, x in inputs.items()}
        return made

    def forward(self, prepared, run):
        assert run == "a run"
        return Refusing.apply(prepared["a"], prepared["b"]) if self.refuses else prepared["a"] * 2

    def losses(self, outputs, targets, run):
        assert run == "a run" and targets == "targets"
        return outputs.sum(), {}


class Refusing(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, b):
        return a * b

    @staticmethod
    def backward(ctx, slope):
        if ctx.needs_input_grad[1]:
            raise RuntimeError("by a, and by nothing else")
        return slope, None


def test_an_input_is_taken_where_a_backward_pass_succeeds():
    given = {"a": [1.0, 2.0], "b": [3.0, 4.0]}
    for refuses, constant, taken in ((0, "", True), (1, "a", False), (1, "b", True)):
        runner = Running(bool(refuses))
        assert is_taken(runner, given, "targets", set(constant)) == taken
        assert runner.constant == {"before"}


def test_regrets_are_asked_in_float64_of_choices_that_are_spoiled(monkeypatch):
    asked, chosen = [], {"kept": np.array([[1, 0, 1]])}

    def ask(worker, name, *arguments):
        asked.append((name, arguments))
        return "ledger"

    def call(name, *_, **options):
        return {"shapes": {}, "trace": {"choices": chosen}, "load": None}[name]

    monkeypatch.setattr(regrets, "ask", ask)
    case = CASES[0]
    assert regrets.collect_regrets(SimpleNamespace(call=call), case, "batch") == "ledger"
    (built, (_, *how, _)), (replayed, (batch, spoiled)) = asked
    assert (built, replayed, batch) == ("build", "replayed", "batch") and how == ["cpu", "float64"]
    assert spoiled["kept"].tolist() == [[0, 1, 1]] and chosen["kept"].tolist() == [[1, 0, 1]]


@pytest.mark.parametrize(("first", "second", "told"), [("ours", "theirs", True), ("a", "a", False)])
def test_a_reference_that_says_float32_itself_is_told(first, second, told):

    case = SimpleNamespace(name="pair", labels=(first, second))
    error = "raised RuntimeError: expected scalar type Double but found Float"
    crash = Verdict("pair", CHECK, "x", Status.FAIL, message=f"{first} {error}", kind=kinds.CRASH)
    own = crash.but(guilty=first, code=("a.py:3", ""))
    others = [
        crash.but(guilty=second),
        crash.but(guilty=first, message="another"),
        own.but(kind=""),
    ]
    if first != second:
        assert refuses_float64(case, others) is None
    found = refuses_float64(case, [*others, own])
    assert (found is not None) == told
    if told:
        assert (
            found.status is Status.NOT_RUN and "ours says float32 itself (a.py:3)" in found.message
        )


def test_a_constructor_whose_source_is_gone_has_no_name_for_what_it_makes():
    names = {}
    exec(compile("def build(self):\n    self.part = 1 / 0", "gone.py", "exec"), names)
    with pytest.raises(ZeroDivisionError) as told:
        names["build"](SimpleNamespace())
    *_, (frame, line) = frames_of(told.value)
    assert (frame.f_code.co_name, line) == ("build", 2)
    assert attribute(frame, line) == ""
