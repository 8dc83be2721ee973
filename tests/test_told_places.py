"""What a watched run tells of where losses and crashes come from."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import nn

from door.files import read_json
from parity.backends import torch as backend
from parity.case import Subject
from parity.engine.judge import checks
from parity.engine.judge.crashes import is_refusal, judge_crashes
from parity.engine.judge.localise import compare_local_64
from parity.engine.judge.verdicts import Status
from parity.engine.judge.weights import drawn_weights
from parity.engine.sides.makers import Makers
from parity.engine.sides.runner import Runner
from parity.engine.tell.causes import causes_of
from parity.engine.values.mapped import MappedTensors
from parity.errors import InputError


class Head(nn.Module):
    """Makes a loss outside of its forward."""

    def __init__(self, factor: float = 1.0):
        super().__init__()
        self.fc, self.factor = nn.Linear(3, 2), factor

    def forward(self, x):
        return self.fc(x)

    def loss(self, x):
        return {"head": summed(x * self.factor), "count": x.numel()}


class Whole(nn.Module):
    def __init__(self, factor: float = 1.0):
        super().__init__()
        self.head = Head(factor)

    def forward(self, x):
        return self.head(x)


def summed(x):
    return (x * x).sum()


def losses_of(model):
    def losses(outputs, targets, run):
        return {"head": model.head.loss(outputs)["head"], "plain": outputs.mean()}

    return losses


def run_of(factor: float, losses=None, **options):
    model = Whole(factor)
    subject = Subject(model, losses=losses or losses_of(model))
    runner = Runner(backend, subject, "cpu", "float64")
    runner.load(drawn_weights(runner.shapes()))
    x = np.linspace(-1, 1, 6).reshape(2, 3)
    return runner.trace((x,), survive=True, **options)


def test_a_loss_is_known_by_the_function_that_makes_it_and_its_module():
    makers = run_of(1.0)["makers"]
    assert (makers["head"]["function"], makers["head"]["module"]) == ("summed", "head")
    assert makers["plain"]["function"] == "losses_of.losses" and makers["plain"]["module"] == ""
    line = makers["head"]["code"]
    assert line.startswith(__file__) and sys.getprofile() is None


def test_a_loss_that_differs_tells_who_computes_it():
    reference = run_of(1.0)
    forced = run_of(2.0, reference=reference)
    found = compare_local_64("case", reference, forced, {})
    verdict = next(v for v in found if v.node == "loss/head")
    assert verdict.status is Status.FAIL and "; computed by summed in head" in verdict.message
    assert all(place.startswith(__file__) for place in verdict.code)
    cause = causes_of(found)[0]
    assert (cause.where, cause.check) == ("loss/head", checks.LOCAL_LOSSES_64)
    assert next(v for v in found if v.node == "loss/plain").status is Status.PASS


def test_a_tensor_in_what_a_function_returns_is_found_and_no_larger_one():
    def inner():
        return [torch.ones(1)], {"a": (torch.ones(()), torch.ones(2))}

    with Makers(backend.is_tensor, {}) as makers:
        (one,), named = inner()
    found = makers.of({"one": one, "zero": named["a"][0], "two": named["a"][1]})
    assert set(found) == {"one", "zero"} and found["one"]["function"].endswith(".inner")


def test_what_raises_in_a_modules_method_that_a_loss_calls_is_told_of_the_module():
    def losses(outputs, targets, run):
        return {"head": model.head.loss(None)["head"]}

    model = Whole()
    subject = Subject(model, losses=losses)
    runner = Runner(backend, subject, "cpu", "float64")
    trace = runner.trace((np.ones((2, 3)),), survive=True)
    assert list(trace["crashes"]) == ["(outside) losses"]
    (crash, *_) = judge_crashes("case", {"torch": {}, "jittor": trace}, [], set())
    cause = causes_of([crash])[0]
    assert (cause.where, cause.node, cause.side) == ("head", "(outside) losses", "jittor")
    assert "Head.loss" in cause.summary and "test_told_places.py:" in cause.candidate_code


class Feeding(nn.Module):
    """Gives a layer of the framework's, or one of its own, what that cannot take."""

    def __init__(self, kind: str):
        super().__init__()
        self.part = nn.Linear(3, 2) if kind == "framework's" else Head()

    def forward(self, x):
        return self.part(x[:, :2])


@pytest.mark.parametrize("kind", ["framework's", "own"])
def test_what_calls_a_layer_that_raises_is_in_the_traceback(kind):
    runner = Runner(backend, Subject(Feeding(kind)), "cpu", "float64")
    trace = runner.trace((np.ones((2, 3)),), survive=True)
    (call, what) = next(iter(trace["crashes"].items()))
    assert call == ("part" if kind == "framework's" else "part.fc")
    assert "in Feeding.forward: return self.part(x[:, :2])" in what["traceback"]
    last = "Feeding.forward" if kind == "framework's" else "Head.forward"
    assert last in what["traceback"].splitlines()[-1] and what["code"].startswith(__file__)


def choosing(limit: float):
    def losses(outputs, targets, run):
        kept = run.choices.settle("kept", outputs > limit)
        return {"kept": (outputs * kept).sum(), "all": outputs.sum()}

    return losses


def test_what_follows_a_choice_that_was_made_otherwise_tells_it():
    reference = run_of(1.0, choosing(0.0))
    for limit, text in ((0.0, ""), (10.0, "; before it kept was chosen otherwise")):
        forced = run_of(1.0, choosing(limit), reference=reference)
        found = {v.node: v for v in compare_local_64("case", reference, forced, {})}
        assert found["loss/kept"].message.endswith(text) and found["loss/all"].message == ""
        assert (found["loss/kept"].status is Status.FAIL) == bool(text)


def test_an_error_of_the_users_own_code_is_a_crash_whatever_its_class(tmp_path):
    def raised(function, *args) -> Exception:
        with pytest.raises(Exception) as caught:
            function(*args)
        return caught.value

    def own():
        raise InputError("boxes are not finite")

    refused = raised(MappedTensors, tmp_path)  # by door.files, which it asks
    assert isinstance(refused, InputError) and is_refusal(refused)
    assert not is_refusal(raised(own)) and not is_refusal(raised(int, "x"))
    assert not is_refusal(
        raised(read_json, tmp_path / "nothing.json")
    )  # asked by this file's own code
