"""Gradients of the user's own functions, one by one: lines that lose one are told, and nothing that is made good."""

from __future__ import annotations

import numpy as np
import pytest

from parity.engine.judge import kinds
from parity.engine.judge.verdicts import Status
from tests.called import changed, compared

pytestmark = pytest.mark.usefixtures("warm_workers")

LIB = """
def apart(given, wanted):
    return (given - wanted).abs()


def weight_of(given):
    return given.sigmoid().detach()


def scale(given):
    return given * 2.0


def loss(given, wanted):
    return (apart(scale(given), wanted) * weight_of(given)).sum()
"""
PAIR = """
from ported import loss


def half():
    return lambda given, wanted: loss(given, wanted)
"""
CHANGES = {
    "detached": ("(given - wanted).abs()", "(given.detach() - wanted).abs()"),
    "not detached": ("given.sigmoid().detach()", "given.sigmoid()"),
    "by the caller": ("given.sigmoid().detach()", "given.sigmoid()"),
    "in the caller": ("weight_of(given)).sum()", "weight_of(given).detach()).sum()"),
    "doubled": ("given * 2.0", "given * 4.0 - (given * 2.0).detach()"),
    "wrong": ("given * 2.0", "given * 3.0"),
}


@pytest.fixture(scope="module")
def causes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("called")
    (folder / "pair.py").write_text(PAIR)
    draw = np.random.default_rng(0)
    inputs = draw.standard_normal((5, 4)), draw.standard_normal((5, 4))

    def of(*wrong: str, gradients: bool = True):
        texts = LIB, changed(LIB, (CHANGES[w] for w in wrong))
        return compared(folder, texts, inputs, gradients)

    return of


@pytest.mark.parametrize(
    ("change", "where", "kind"),
    [
        ("detached", "apart()", kinds.DETACHED),
        ("not detached", "weight_of()", kinds.BACKWARD),
        ("doubled", "scale()", kinds.BACKWARD),
    ],
)
def test_the_function_whose_lines_lose_a_gradient_is_the_cause(causes, change, where, kind):
    _, (cause,) = causes(change)
    assert (cause.where, cause.kind) == (where, kind)
    assert "gradient" in cause.summary and cause.candidate_code.rpartition("/")[2] != "pair.py"


def test_a_gradient_that_is_lost_elsewhere_to_the_same_end_is_none(causes):
    called, found = causes("by the caller", "in the caller")
    assert not found and [v.owner for v in called if v.status is Status.FAIL] == ["weight_of()"]
    called, found = causes("detached", gradients=False)
    assert not found and {v.status for v in called} == {Status.PASS}, "nobody wants gradients"


def test_a_wrong_result_is_told_beside_a_lost_gradient(causes):
    _, found = causes("wrong", "not detached")
    assert {c.where for c in found} == {"scale()", "weight_of()"}
