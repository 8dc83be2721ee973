"""What forward leaves in buffers in training mode: a power iteration that one side begins anew each time."""

from __future__ import annotations

import numpy as np
import pytest

from parity import Case, Side, Workers, examine
from parity.engine.judge import checks, kinds
from parity.engine.judge.verdicts import Status

HALVES = """
import torch
from torch import nn


class Scaled(nn.Module):
    def __init__(self, keeps):
        super().__init__()
        self.keeps = keeps
        self.weight = nn.Parameter(torch.ones(6, 4))
        self.register_buffer("u", torch.ones(6))

    def forward(self, x):
        with torch.no_grad():
            u = torch.nn.functional.normalize(self.weight @ (self.weight.t() @ self.u), dim=0)
            if self.keeps and self.training:
                self.u.copy_(u)
        return x @ (self.weight / (self.weight.t() @ u).norm()).t()


def half(keeps=True):
    return nn.Sequential(Scaled(keeps), nn.Linear(6, 3), nn.ReLU())
"""


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    path = tmp_path_factory.mktemp("left") / "halves.py"
    path.write_text(HALVES)

    def of(keeps: bool, training: bool = True) -> Case:
        side = Side(f"{path}:half", "torch", arguments={"keeps": keeps})
        inputs = lambda: (np.random.default_rng(0).standard_normal((5, 4)),)  # noqa: E731
        return Case("pair", Side(f"{path}:half", "torch"), side, inputs, training=training)

    return of


@pytest.mark.usefixtures("warm_workers")
def test_a_buffer_that_one_side_alone_keeps_is_the_one_cause(case):
    wrong = case(False)
    with Workers(wrong.reference, wrong.candidate) as workers:
        (cause,) = examine(wrong, workers).causes
        assert (cause.where, cause.check, cause.kind) == ("0", checks.LEFT, kinds.STILL)
        assert cause.summary.startswith(
            "0.u: reference's forward changes it, candidate's leaves it"
        )
        assert not examine(case(False, training=False), workers).failures
        right = examine(case(True), workers).verdicts
        assert [v.status for v in right if v.check == checks.LEFT] == [Status.PASS]
        assert not [v for v in right if v.status is Status.FAIL]
