"""Losses of training steps that cancel or part by themselves, and tables that one side alone counts."""

from __future__ import annotations

import numpy as np
import pytest

from parity import Case, Side, examine
from parity.engine.judge import checks
from parity.engine.judge.steps import PARTED, beside_copies, compare_steps
from parity.engine.judge.ulps import nudged
from parity.engine.judge.verdicts import Status
from parity.engine.judge.weights import compare_given
from parity.engine.tell.causes import causes_of

START = {"w": np.ones(3)}


def run(*losses: float) -> tuple:
    return START, ["w"], [{"loss": x} for x in losses], {"w": 2 * np.ones(3)}


def of_losses(found: list) -> dict:
    return {v.node: v for v in found if v.check == checks.STEP_LOSSES}


def test_a_loss_that_cancels_is_compared_with_what_it_is_a_sum_of():
    pair = run(2.0, 3.0), run(2.0 + 1e-11, 3.0 + 1e-11)
    plain = of_losses(compare_steps("c", *pair))
    assert {v.status for v in plain.values()} == {Status.FAIL}
    whole = of_losses(compare_steps("c", *pair, sizes=[{"loss": 1e4}, {"loss": 1.0}]))
    assert whole["step0/loss"].status is Status.PASS
    assert whole["step1/loss"].status is Status.FAIL, "these terms are no larger"


@pytest.mark.parametrize(("apart", "status"), [(1e-6, Status.KNOWN), (1e-7, Status.FAIL)])
def test_steps_that_part_as_far_as_the_references_own_are_known(apart, status):
    reference, candidate = run(2.0, 2e4), run(2.0, 2e4 + 2e-7)
    verdicts = compare_steps("c", reference, candidate)
    copies = [[{"loss": 2.0}, {"loss": 2e4 + k * apart}] for k in (-1, 0.5)]
    found = of_losses(beside_copies(verdicts, reference[2], candidate[2], copies))
    assert found["step1/loss"].status is status
    assert (PARTED in found["step1/loss"].message) == (status is Status.KNOWN)
    assert found["step0/loss"].status is Status.PASS
    none = of_losses(beside_copies(verdicts, reference[2], candidate[2], []))
    assert none["step1/loss"].status is Status.FAIL, "nothing was asked in time"


def test_weights_are_nudged_by_their_share_alone():
    weights = {"w": np.array([1.0, -2.0, 0.0, 1e6], np.float32)}
    moved = [nudged(weights, k, 1e-12)["w"] for k in (0, 0, 1)]
    assert moved[0].dtype == np.float64 and np.array_equal(moved[0], moved[1])
    assert np.allclose(np.abs(moved[0] / [1, -2, 1, 1e6] - [1, 1, 0, 1]), [1e-12, 1e-12, 0, 1e-12])


@pytest.mark.parametrize(("value", "status"), [(0.1, Status.PASS), (0.2, Status.FAIL)])
def test_a_table_that_one_side_alone_counts_is_compared_with_the_other_sides_plain_one(
    value, status
):
    given = {"w": np.ones(2, np.float32)}
    table = {"boxes.std": np.full(4, value)}
    state = {side: (["w"], dict(given), {}, []) for side in ("torch", "jittor")}
    state["jittor"] = (["w"], given | {"boxes.std": np.full(4, 0.1)}, {}, [])
    found = compare_given("c", ("torch", "jittor"), given, dict(state), table)
    (told,) = (v for v in found if v.node == "boxes.std")
    assert told.status is status and told.kind == ""
    alone = compare_given("c", ("torch", "jittor"), given, dict(state), {})
    assert [v.kind for v in alone if v.node == "boxes.std"] == ["missing on one side"]


HALVES = """
import torch


class Detector(torch.nn.Module):
    def __init__(self, counted, least):
        super().__init__()
        self.least, std = least, torch.full((4,), 0.1)
        self.std = torch.nn.Parameter(std) if counted else std

    def forward(self, boxes):
        boxes = boxes * self.std
        return boxes[boxes[:, 0] > self.least]


def half(counted=False, least=0.0):
    return Detector(counted, least)
"""


@pytest.mark.parametrize("least", [0.0, 0.05])
def test_what_differs_beside_such_a_table_is_a_cause_of_its_own(tmp_path, least):
    path = tmp_path / "halves.py"
    path.write_text(HALVES)
    arguments = {}, {"counted": True, "least": least}
    sides = (Side(f"{path}:half", "torch", arguments=x) for x in arguments)
    boxes = np.random.default_rng(0).standard_normal((12, 4))
    found = examine(Case("pair", *sides, lambda: (boxes,), gradients=False))
    causes = [c.where for c in causes_of(found.verdicts)]
    assert ("(model)" in causes) == bool(least), causes
