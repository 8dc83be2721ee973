"""Causes among losses: each wrong result of a criterion is one, sums of them are none, one explanation is one cause."""

from __future__ import annotations

import pytest

from parity.engine.judge import checks, kinds
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.tell.causes import causes_of


def result(node: str, text: str, kind: str, check: str = checks.LOCAL_FORWARD_64) -> Verdict:
    return Verdict(
        *("pair", check, node, Status.FAIL, 0.5, 1e-12, text),
        owner="(model)",
        kind=kind,
        code=("a.py:1", "b.py:1"),
    )


BOX = result("(model)[box]", "4 for 2: 2 times", kinds.CONSTANT)
MASK = result("(model)[mask]", "0.81548 for 0.821073", kinds.FORMULA)
TOTAL = result("(model)[all]", "4.81548 for 2.821073", kinds.FORMULA)
GRADIENT = result("(model)/in[0]", "by 3.0e-01", kinds.FORMULA, checks.LOCAL_GRADIENTS_64)
OF_MASK = result("(model)[mask]", "its gradient at x: by 3", kinds.FORMULA, GRADIENT.check)


def test_every_wrong_result_of_a_criterion_is_a_cause():
    found = causes_of([BOX, MASK, TOTAL, OF_MASK, GRADIENT])
    assert [c.summary.partition(":")[0] for c in found] == ["(model)[box]", "(model)[mask]"]
    assert sum(c.consequences for c in found) == 3


def test_what_is_no_sum_of_the_others_is_a_cause():
    other = TOTAL.but(message="4.9 for 2.821073")
    assert len(causes_of([BOX, MASK, other])) == 3


def test_results_that_are_no_numbers_have_their_code_as_one_cause():
    arrays = [v.but(message="by 3.0e-01 of its size", kind=kinds.FORMULA) for v in (BOX, MASK)]
    (cause,) = causes_of([*arrays, GRADIENT])
    assert cause.consequences == 2


def loss(name: str, text: str, kind: str) -> Verdict:
    found = result(f"loss/{name}", text, kind, checks.LOCAL_LOSSES_64)
    return found.but(owner="(outside)")


@pytest.mark.parametrize(
    "verdicts",
    [
        [loss(n, f"{x} for {y}: 2 times", kinds.CONSTANT) for n, x, y in (("bbox", 4, 2), ("giou", 6, 3))],
        [loss(n, "4 for 2.1", kinds.FORMULA) for n in ("ce", "ce_0")],
        [loss("l1", "a", kinds.SIGN), loss("dice", "b", kinds.SIGN)],
        [BOX, MASK.but(message="6 for 3: 2 times", kind=kinds.CONSTANT)],
    ],
)  # fmt: skip
def test_losses_with_one_explanation_are_one_cause(verdicts):
    (cause,) = causes_of(verdicts)
    assert len(cause.also) == 1


@pytest.mark.parametrize("text", ["6 for 3: 3 times", "7 for 3.01"])
def test_losses_with_two_explanations_are_two(text):
    kind = kinds.CONSTANT if "times" in text else kinds.FORMULA
    two = [loss("bbox", "4 for 2: 2 times", kinds.CONSTANT), loss("giou", text, kind)]
    assert len(causes_of(two)) == 2


def test_what_is_less_precise_comes_behind_what_is_wrong():
    narrow = checks.LOCAL_FORWARD_32
    norm = Verdict("pair", narrow, "norm", Status.FAIL, owner="norm", kind=kinds.PRECISION)
    up = Verdict("pair", narrow, "up", Status.FAIL, owner="up", kind=kinds.FORMULA)
    assert [c.where for c in causes_of([norm, up])] == ["up", "norm"]


def test_of_results_only_those_follow_that_a_wrong_function_explains():
    made = BOX.but(case="pair: functions", node="box_loss()", owner="box_loss()")
    found = causes_of([BOX, MASK, TOTAL, GRADIENT, made])
    assert [c.summary.partition(":")[0] for c in found] == ["(model)[mask]", "box_loss()"]
