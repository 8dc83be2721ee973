"""What the harness makes up itself is no cause: steps that the reference cannot take, sums that cancel."""

from __future__ import annotations

import numpy as np
import pytest

from parity import Case, Side, Workers, check_branches, check_steps
from parity.engine.judge import kinds
from parity.engine.judge.verdicts import Status

pytestmark = pytest.mark.usefixtures("warm_workers")

HALVES = """
import torch
from torch import nn


class Net(nn.Linear):
    fails, seen = False, None

    def forward(self, x):
        if self.fails and self.seen is not None and not torch.equal(self.seen, self.weight):
            raise ValueError("no boxes are left")
        self.seen = self.weight.detach().clone()
        return super().forward(x)


def half(fails=False):
    net = Net(4, 3)
    net.fails = fails
    return net


def anchors(off=0.0):
    grid = torch.linspace(-300, 300, 4096, dtype=torch.float64)

    def made(x):
        weights = torch.cos(torch.arange(4096, dtype=torch.float64))
        level = grid - (grid * weights).sum() / (weights * weights).sum() * weights
        return level + off * weights / 4096 + 0 * x.sum(), x * 2.0

    return made
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("ours") / "halves.py"
    path.write_text(HALVES)
    return path


def inputs():
    return (np.random.default_rng(0).standard_normal((5, 4)),)


@pytest.mark.parametrize("guilty", [0, 1])
def test_steps_that_the_reference_cannot_take_are_not_run(path, guilty):
    sides = [
        Side(f"{path}:half", "torch", arguments={"fails": side == guilty}) for side in range(2)
    ]
    case = Case("pair", *sides, inputs)
    with Workers(*sides) as workers:
        found = check_steps(case, workers).verdicts
    odd = [v for v in found if v.status is not Status.PASS]
    if guilty:
        assert odd[0].status is Status.FAIL and odd[0].kind == kinds.CRASH
    else:
        assert [v.status for v in odd] == [Status.NOT_RUN] and "no boxes are left" in odd[0].message


def test_a_sum_of_the_harness_that_cancels_is_judged_by_its_terms(path):
    sides = [
        Side(f"{path}:anchors", "torch", arguments={"off": off}) for off in (0.0, 1e-15 * 4096)
    ]
    case = Case("pair", *sides, inputs, float32=False)
    with Workers(*sides) as workers:
        assert not check_branches(case, workers).failures
