"""Verdicts on choices, detections and what hangs on them."""

from __future__ import annotations

import numpy as np
import pytest

from neutral.evaluation import Evaluation
from parity.engine.judge.detections import compare_detections, match_detections
from parity.engine.judge.precision import PrecisionGate
from parity.engine.judge.semantic import compare_semantics
from parity.engine.judge.verdicts import Status
from parity.suite import gates
from parity.suite.average_precision import compare_ap
from tests.test_verdicts import A, failures, failures_of, trace


def float32(values):
    """A trace as a float32 run leaves it."""
    if isinstance(values, dict):
        return {k: float32(v) for k, v in values.items()}
    is_float = isinstance(values, np.ndarray) and values.dtype.kind == "f"
    return values.astype(np.float32) if is_float else values


def ledger(**entry) -> dict:
    none = {"choices": 10, "different": 0, "ties": 0, "regret": None}
    return {"relu in x": none | entry}


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        ({}, Status.PASS),
        ({"different": 2, "ties": 2, "regret": 0.0}, Status.PASS),
        ({"different": 1, "regret": 1e-9}, Status.PASS),  # less than the nodes' own rounding
        ({"different": 1, "regret": 1e-3}, Status.FAIL),
        ({"different": 1, "regret": None}, Status.FAIL),  # nothing explains it
        ({"different": 1, "regret": float("nan")}, Status.FAIL),
    ],
)
def test_a_choice_is_a_tie_within_the_noise_or_a_failure(entry, wanted):
    t64 = trace()
    t32 = float32(trace(nodes={"x.bn1": A * (1 + 1e-7), "y": 2 * A})) | {"ledger": ledger()}
    j32 = t32 | {"ledger": ledger(**entry)}
    verdicts = [
        v for v in PrecisionGate("c").compare(t64, t32, j32) if v.check == "float32 choices"
    ]
    assert [v.status for v in verdicts] == [Status.PASS, wanted]


def test_gradients_behind_replayed_choices_are_judged():
    t32 = float32(trace()) | {"ledger": ledger()}
    wrong = float32(trace(gradients={"w": 1.1 * A, "b": None})) | {"ledger": ledger()}
    verdicts = PrecisionGate("c").compare(trace(), t32, wrong)
    assert set(failures(verdicts)) == {"float32 gradients/w"}
    shorter = t32 | {"ledger": {}}
    assert "float32 choices/(all)" in failures(PrecisionGate("c").compare(trace(), t32, shorter))


def test_detections_are_matched_one_to_one():
    boxes = np.array([[0.0, 0, 10, 10], [0, 0, 10, 10]])
    two = [{"scores": np.array([0.5, 0.5]), "labels": np.array([1, 1]), "boxes": boxes}]
    moved = [two[0] | {"boxes": boxes + [[0, 0, 0, 0], [5, 0, 5, 0]]}]
    assert match_detections("c", "k", two, two)[0].status is Status.PASS
    verdict = match_detections("c", "k", two, moved)[0]
    assert verdict.status is Status.FAIL
    assert "1 of 2" in verdict.message
    nothing = [{k: v[:0] for k, v in two[0].items()}]
    assert match_detections("c", "k", nothing, nothing)[0].status is Status.FAIL
    assert match_detections("c", "k", [], [])[0].status is Status.FAIL


def test_ap_must_agree_and_mean_something():
    def scored(ap: float) -> Evaluation:
        return Evaluation((ap,) * 12, {})

    def statuses(a: float, b: float) -> set[Status]:
        return {v.status for v in compare_ap("c", scored(a), scored(b))}

    assert statuses(0.7, 0.71) == {Status.PASS}
    assert statuses(0.7, 0.6) == {Status.FAIL}
    assert statuses(0.0, 0.0) == {Status.INCONCLUSIVE}
    least, near = gates.AP_MEANINGFUL, gates.AP_MARGIN / 2
    assert statuses(least - near, least) == statuses(least, least - near) == {Status.PASS}
    assert statuses(least - 1e-6, least - near) == {Status.INCONCLUSIVE}
    assert statuses(0.0, 2 * gates.AP_MARGIN) == {Status.FAIL}


def test_float64_choices_must_be_identical():
    same = trace(choices={"anchor_labels": np.array([[1, 0, -1]])})
    other = trace(choices={"anchor_labels": np.array([[1, -1, -1]])})
    assert failures(compare_semantics("c", same, same)) == {}
    assert "float64 choices/anchor_labels" in failures(compare_semantics("c", same, other))


def test_images_without_detections_agree_but_prove_nothing():
    none = {"scores": np.zeros(0), "labels": np.zeros(0, int), "boxes": np.zeros((0, 4))}
    one = {"scores": np.ones(1), "labels": np.ones(1, int), "boxes": np.ones((1, 4))}
    assert not failures_of(compare_detections("c", "k", [none, one], [none, one], 0.0))
    assert failures_of(compare_detections("c", "k", [none], [none], 0.0))
    assert failures_of(compare_detections("c", "k", [none, one], [one, one], 0.0))
