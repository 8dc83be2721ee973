"""A table that one side repeats for every image: no defect where what is made of it agrees, nor what raises for it."""

from __future__ import annotations

import numpy as np
import pytest

from parity import Case, Side, Workers, examine
from parity.engine.judge import checks, kinds
from parity.engine.judge.judging import REPEATED, difference_of_kind
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.tell.known import CUT, repeated

pytestmark = pytest.mark.usefixtures("warm_workers")

HALVES = """
import torch
from torch import nn


class Prior(nn.Module):
    def __init__(self, each, off):
        super().__init__()
        self.each, self.off = each, [off]
        self.weight = nn.Parameter(torch.ones(3, 4))

    def forward(self, x):
        table = torch.sin(self.weight * torch.arange(4.0).to(x)) + self.off[0]
        return table.expand(len(x), -1, -1) if self.each else table


class Attention(nn.Module):
    def __init__(self, each, factor):
        super().__init__()
        self.q, self.each, self.factor = nn.Linear(4, 4), each, [factor]

    def forward(self, x, table):
        if self.each and table.ndim != 3:
            raise RuntimeError("one table for each image")
        heads = table.unsqueeze(1) if self.each else table
        return self.q(x)[:, None] * heads * self.factor[0]


class Block(nn.Module):
    def __init__(self, each=False, factor=1.0, off=0.0):
        super().__init__()
        self.prior, self.attention = Prior(each, off), Attention(each, factor)
        self.out = nn.Linear(4, 2)

    def forward(self, x):
        return self.out(self.attention(x, self.prior(x)))


class Siamese(nn.Module):
    def __init__(self, together, factor):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 4))
        self.predictor, self.together, self.factor = nn.Linear(4, 4), together, [factor]

    def forward(self, x):
        if self.together:
            a, b = self.encoder(torch.cat([x, 2 - x])).chunk(2)
        else:
            a, b = self.encoder(x), self.encoder(2 - x)
        return (self.predictor(a) * b.detach()).sum(-1) * self.factor[0]


class Two(nn.Module):
    def __init__(self, together, factor, other):
        super().__init__()
        self.siamese, self.last, self.other = Siamese(together, factor), nn.Linear(3, 2), [other]

    def forward(self, x):
        return self.last(self.siamese(x)) * self.other[0]


def twice(together=False, factor=1.0, other=1.0):
    return Two(together, factor, other)


def half(each=False, factor=1.0, off=0.0):
    return Block(each, factor, off)
"""
X = (np.random.default_rng(0).standard_normal((2, 3, 4)),)


@pytest.fixture
def compare(tmp_path):
    path = tmp_path / "halves.py"
    path.write_text(HALVES)

    def run(build="half", **changes):
        sides = [Side(f"{path}:{build}", "torch", arguments=a) for a in ({}, changes)]
        with Workers(*sides) as workers:
            return examine(Case("block", *sides, lambda: X), workers)

    return run


def test_a_table_for_every_image_is_known_and_nothing_raises_for_it(compare):
    found = compare(each=True)
    assert not found.causes, [c.summary for c in found.causes]
    known = [v for v in found.verdicts if v.status is Status.KNOWN and REPEATED in v.message]
    assert {"prior", "attention/in[1]"} <= {v.node for v in known}
    (left,) = (v for v in found.verdicts if v.node == "attention" and "raised" in v.message)
    assert left.status is Status.NOT_RUN and "prior: (3, 4) for (2, 3, 4)" in left.message


def test_what_is_made_of_it_may_differ_by_rounding():
    verdicts = [
        Verdict("c", checks.FORWARD_64, node, Status.FAIL, measured, 1e-12, message)
        for node, measured, message in (
            ("prior", None, difference_of_kind(np.ones((2, 3, 4)), np.ones((3, 4)))),
            ("attention", 1e-9, ""),
            ("(model)", 1e-9, ""),
            ("(model)[1]", 1e-9, ""),
        )
    ]
    assert [v.node for v in repeated(verdicts)] == ["prior"]
    assert not repeated([*verdicts[:3], verdicts[3].but(measured=1e-3)])
    for status in (Status.NOT_RUN, Status.INCONCLUSIVE):
        assert not repeated([*verdicts[:3], verdicts[3].but(status=status)]), "nobody knows"
    assert not repeated([verdicts[0].but(node="(model)"), *verdicts[1:]]), "the whole's own"


def test_another_table_for_every_image_is_the_cause(compare):
    first = compare(each=True, off=0.5).causes[0]
    assert first.where == "prior" and first.kind == kinds.SHAPE


def test_what_raises_by_itself_is_told(compare):
    (cause,) = (c for c in compare(factor="x").causes if c.kind == kinds.CRASH)
    assert cause.where == "attention"


def test_two_batches_that_go_through_a_part_together_are_known(compare):
    found = compare("twice", together=True)
    assert not found.causes, [c.summary for c in found.causes]
    known = {v.node for v in found.verdicts if v.status is Status.KNOWN and CUT in v.message}
    assert "siamese.encoder/in[0]" in known
    causes = compare("twice", together=True, other=1.5).causes
    assert causes[0].where == "(model)", "what is wrong behind it comes first"
    causes = compare("twice", together=True, factor=1.5).causes
    assert "siamese" in {c.where for c in causes}, "which is wrong itself"


def test_what_is_repeated():
    table = np.arange(6.0).reshape(2, 3)
    each = np.stack([table] * 4)
    for a, b in ((table, each), (each, table)):
        assert REPEATED in difference_of_kind(a, b)
    for other in (each + np.arange(4.0)[:, None, None], each[..., :2], each.astype(int)):
        assert REPEATED not in difference_of_kind(other, table)
    assert REPEATED not in difference_of_kind(np.zeros((2, 1)), np.zeros(1)), "a number is none"
