"""The user's own functions one by one: what each makes wrong by itself is told, what its callers make of it is not."""

from __future__ import annotations

import numpy as np
import pytest

from parity.engine.judge import kinds
from parity.engine.judge.verdicts import Status
from tests.called import changed, compared

pytestmark = pytest.mark.usefixtures("warm_workers")

LIB = """
import torch


def wide(boxes, least):
    return boxes[boxes[:, 1] - boxes[:, 0] >= least]


def ranked(boxes, scores):
    order = scores.argsort(descending=True)
    return boxes[order]


def below(scores):
    return (scores < 0.3).long()


def shuffled(boxes):
    return boxes[torch.randperm(len(boxes))]


class Coder:
    def __init__(self, factor):
        self.factor = factor

    def encode(self, boxes):
        return boxes * self.factor


class Head:
    def __init__(self):
        self.coder = Coder(2.0)

    def chosen(self, boxes, scores, least):
        shuffled(boxes), below(scores)
        return self.coder.encode(wide(ranked(boxes, scores), least))
"""
PAIR = """
from ported import Head


def half():
    head = Head()
    return lambda boxes, scores: head.chosen(boxes, scores, 0.5)
"""
CHANGES = {
    "order": ("descending=True", "descending=False"),
    "left out": ("wide(ranked(boxes, scores), least)", "ranked(boxes, scores)"),
    "factor": ("boxes * self.factor", "boxes * self.factor * 1.5"),
    "narrow": ("scores < 0.3", "scores < 0.30000001192092896"),
    "otherwise": ("ranked(boxes, scores), least", "ranked(boxes, 2 * scores), least"),
    "more": ("def ranked(boxes, scores)", "def ranked(boxes, scores, limit=None)"),
}


@pytest.fixture(scope="module")
def compare(tmp_path_factory):
    folder = tmp_path_factory.mktemp("called")
    (folder / "pair.py").write_text(PAIR)
    draw = np.random.default_rng(0)
    low = draw.uniform(0, 1, 9)
    inputs = np.stack([low, low + draw.uniform(0, 1, 9)], 1), np.append(draw.uniform(0, 1, 8), 0.3)

    def run(*wrong):
        return compared(folder, (LIB, changed(LIB, (CHANGES[w] for w in wrong))), inputs)

    return run


def test_right_functions_agree_and_random_ones_are_left_out(compare):
    called, causes = compare("more")
    assert not causes and {v.status for v in called} == {Status.PASS}
    owners = {"wide()", "ranked()", "Coder.encode()", "Head.chosen()"}
    assert {v.owner for v in called} == owners | {"below()"}
    narrow, causes = compare("narrow")
    assert not causes and {v.owner for v in narrow} == owners, "0.3 in float32 is above 0.3"


def test_each_wrong_function_is_a_cause_and_its_caller_is_none(compare):
    _, causes = compare("order", "factor", "otherwise")
    assert {c.where for c in causes} == {"ranked()", "Coder.encode()"}
    assert any("so Head.chosen() gives" in c.summary for c in causes)
    assert causes[0].candidate_code.rpartition("/")[2] == "ported.py:9"
    assert {c.kind for c in causes} == {kinds.ORDER, kinds.CONSTANT}


def test_a_call_that_is_left_out_is_told_of_the_caller(compare):
    _, causes = compare("left out", "order")
    found = {c.where: c for c in causes}
    assert found["Head.chosen()"].kind == kinds.UNCALLED
    assert "wide() is never called" in found["Head.chosen()"].summary
    assert set(found) == {"Head.chosen()", "ranked()"}
