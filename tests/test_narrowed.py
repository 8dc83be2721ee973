"""A side that goes over to float32 in a float64 run (`jt.float32([n])` in a criterion) is known, no more."""

from __future__ import annotations

import numpy as np
import pytest

from parity import Case, Side, Workers, check_branches, examine
from parity.engine.judge import checks
from parity.engine.judge.judging import is_narrowed, judge
from parity.engine.judge.verdicts import Status
from parity.engine.tell.known import strictly

pytestmark = pytest.mark.usefixtures("warm_workers")

HALVES = """
from torch import nn

from parity import Subject


class Net(nn.Module):
    def __init__(self, narrow):
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1)
        self.narrow = narrow

    def forward(self, x):
        x = self.norm(self.conv(x)) * 0.3
        return self.head(x.float().to(self.head.weight.dtype) if self.narrow else x)


def reference():
    def losses(outputs, targets, run):
        n, p = 37.0, outputs.sigmoid()
        focal = -(0.25 * (1 - p) ** 2 * (p + 1e-4).log()).sum() / n
        return {"focal": focal, "l1": outputs.abs().mean()}

    return Subject(Net(False), losses=losses)


def candidate(alpha=0.25, detached=False):
    def losses(outputs, targets, run):
        n, p = 37.0, outputs.float().sigmoid()
        focal = -(alpha * (1 - p) ** 2 * (p + 1e-4).log()).sum() / n
        l1 = outputs.abs().float().mean()
        return {"focal": focal, "l1": l1.detach() if detached else l1}

    return Subject(Net(True), losses=losses)
"""


@pytest.fixture(scope="module")
def workers():
    with Workers(Side("", "torch"), Side("", "torch")) as both:
        yield both


def case(folder, **wrong) -> Case:
    path = folder / "halves.py"
    path.write_text(HALVES)
    inputs = (np.random.default_rng(0).standard_normal((2, 3, 8, 9)),)
    sides = [Side(f"{path}:reference", "torch"), Side(f"{path}:candidate", "torch")]
    sides[1] = Side(f"{path}:candidate", "torch", arguments=wrong)
    return Case("narrow", *sides, lambda: inputs)


def test_what_goes_over_to_float32_is_known(tmp_path, workers):
    found = examine(case(tmp_path), workers)
    assert not found.failures
    known = [v for v in found.verdicts if v.status is Status.KNOWN]
    forward = [v for v in known if is_narrowed(v) and v.check == checks.LOCAL_LOSSES_64]
    assert {v.node for v in forward} >= {"loss/focal", "loss/l1"}
    assert any(v.check == checks.GRADIENTS_64 for v in known), "backward consequences, too"
    assert sum(v.status is Status.FAIL for v in strictly(found.verdicts)) == len(known)
    assert not check_branches(case(tmp_path), workers).failures


@pytest.mark.parametrize(
    ("wrong", "where"), [({"alpha": 0.2501}, "focal"), ({"detached": True}, "l1")]
)
def test_a_defect_beside_it_is_told(tmp_path, workers, wrong, where):
    first = examine(case(tmp_path, **wrong), workers).causes[0]
    assert where in first.where + first.summary or first.check == checks.LOCAL_GRADIENTS_64


def test_widths_are_compared_by_value():
    x = np.random.default_rng(0).standard_normal(50)
    narrow = judge("c", "k", "n", x.astype("f4"), x, 1e-12)
    assert narrow.status is Status.FAIL and is_narrowed(narrow)
    assert 1e-9 < narrow.measured < 1e-7
    assert judge("c", "k", "n", 2 * x.astype("f4"), x, 1e-12).measured == pytest.approx(1, rel=1e-6)
    assert not is_narrowed(judge("c", "k", "n", x.astype("f2"), x, 1e-12))


OWN_FLOAT32 = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, factor=1.0):
        super().__init__()
        self.head, self.factor = nn.Linear(4, 3), factor

    def forward(self, x):
        table = torch.zeros(5, 3, dtype=torch.float32)
        table[torch.arange(len(x))] = self.head(x) * self.factor
        made = torch.FloatTensor([[1.0, 2, 3]]).matmul(table.T).sum() * 0
        return table.float() * torch.arange(3.0).type("torch.FloatTensor") + made


def half(factor=1.0):
    return Net(factor)
"""


def test_a_reference_that_says_float32_itself_is_examined_in_float64(tmp_path, workers):
    path = tmp_path / "own_float32.py"
    path.write_text(OWN_FLOAT32)
    inputs = (np.random.default_rng(0).standard_normal((5, 4)),)

    def run(**wrong):
        sides = [Side(f"{path}:half", "torch", arguments=a) for a in ({}, wrong)]
        both = Workers(*sides)
        with both:
            return examine(Case("narrow", *sides, lambda: inputs), both)

    right = run()
    assert "reference says float32 itself" in str([v.message for v in right.verdicts])
    causes = run(factor=1.0001).causes
    assert [c.where for c in right.causes + causes] == ["(model)"], (right.causes, causes)
