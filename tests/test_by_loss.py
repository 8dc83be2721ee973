"""Losses one by one: which of them makes a gradient that differs; losses of the harness that nearly cancel."""

from __future__ import annotations

import numpy as np
import pytest

from parity import Case, Side, Workers, examine
from parity.engine.judge import checks, gates, kinds
from parity.engine.judge.semantic import compare_losses
from parity.engine.judge.verdicts import Status
from parity.engine.sides.weighting import fixed_weighting

HALVES = """
from torch import nn

from parity import Subject


def dice(p, y, wrong):
    sizes = (p.detach() if wrong == "sizes" else p).sum() + y.sum()
    found = 1 - (2 * (p * y).sum() + 1) / (sizes + 1)
    return found.detach() if wrong == "dice" else found


def losses_of(x, y, wrong):
    p = x.sigmoid()
    both = {"l1": (p - y).abs().mean(), "dice": dice(p, y, wrong)}
    return both | {"all": both["l1"] + both["dice"] * (2.0 if wrong == "forward" else 1.0)}


def net(wrong=""):
    def losses(outputs, targets, run):
        return losses_of(outputs, outputs.detach() * 0 + 0.25, wrong)

    return Subject(nn.Sequential(nn.Conv2d(3, 2, 1), nn.Tanh()), losses=losses)


def criterion(wrong=""):
    return lambda x: losses_of(x, 0.25 + 0 * x.detach(), wrong)


def through(factor=1.0):
    return lambda x: x * (3.0 * factor) / 3.0
"""


@pytest.fixture(scope="module")
def workers():
    with Workers(Side("", "torch"), Side("", "torch")) as both:
        yield both


def case(folder, half: str, inputs=None, **wrong) -> Case:
    path = folder / "halves.py"
    path.write_text(HALVES)
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5)) if inputs is None else inputs
    sides = Side(f"{path}:{half}", "torch"), Side(f"{path}:{half}", "torch", arguments=wrong)
    return Case("pair", *sides, (x,))


@pytest.mark.parametrize(("wrong", "kind"), [("sizes", kinds.BACKWARD), ("dice", kinds.DETACHED)])
def test_the_loss_that_learns_nothing_is_named(tmp_path, workers, wrong, kind):
    first, *others = examine(case(tmp_path, "net", wrong=wrong), workers).causes
    assert (first.where, first.kind) == ("loss/dice", kind)
    assert first.check == checks.LOCAL_GRADIENTS_64 and "its gradient at" in first.summary
    assert {c.where for c in others} <= {"loss/all"}


def test_of_a_criterion_alone_the_output_is_named(tmp_path, workers):
    first = examine(case(tmp_path, "criterion", wrong="sizes"), workers).causes[0]
    assert (first.where, first.kind) == ("(model)", kinds.BACKWARD)
    assert first.summary.startswith("(model)[dice]: its gradient at (model)/in[0]")


def test_a_loss_that_differs_itself_is_told_once(tmp_path, workers):
    first, *others = examine(case(tmp_path, "net", wrong="forward"), workers).causes
    assert first.where == "loss/all" and first.check == checks.LOCAL_LOSSES_64 and not others


def cancelling() -> np.ndarray:
    """Values of size 1 whose fixed weighting is 0 but for rounding."""
    shape = (40, 50)
    weights = fixed_weighting(shape)
    x = np.random.default_rng(0).standard_normal(shape)
    return x - weights * (x * weights).sum() / (weights**2).sum()


@pytest.mark.parametrize(("factor", "agree"), [(1.0, True), (1.0 + 1e-6, False)])
def test_losses_of_the_harness_that_cancel_are_no_alarm(tmp_path, workers, factor, agree):
    found = examine(case(tmp_path, "through", cancelling(), factor=factor), workers)
    loss = next(v for v in found.verdicts if v.check == checks.LOSSES_64)
    assert loss.status is Status.PASS, "the outputs tell, not their cancelling sum"
    assert bool(found.failures) is not agree


def trace(loss: float, size: float | None) -> dict:
    found = {"losses": {"output0": np.float64(loss)}, "errors": {}}
    return found | ({} if size is None else {"sizes": {"output0": size}})


@pytest.mark.parametrize(
    ("loss", "other", "size", "status"),
    [
        (1e-16, 2e-16, 100.0, Status.PASS),
        (1e-16, 2e-16, None, Status.FAIL),
        (1e-16, 1e-6, 100.0, Status.FAIL),
        (1.0, 1.0 + 1e-9, 1.0, Status.FAIL),
    ],
)
def test_what_a_loss_would_be_without_cancelling_is_what_it_is_measured_by(
    loss, other, size, status
):
    two = trace(loss, size), trace(other, size)
    (found,) = compare_losses("c", checks.LOSSES_64, *two, gates.LOSS_64)
    assert found.status is status
