"""The harness's own meta-tests: a comparison must never pass by omission."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from neutral.config import MatcherConfig
from neutral.data.batching import Batch
from neutral.data.coco import Target
from neutral.evaluation import Evaluation
from parity import compare, gates
from parity.report import Report
from parity.verdicts import (
    Status,
    Verdict,
    absent_if_zero,
    judge,
    judge_equal,
    judge_gradient,
    judge_nodes,
    judge_precision,
    relative_l2,
)

A = np.array([[1.0, 2.0], [3.0, 4.0]])
one = partial(judge, "case", "check")


def status(a, b, limit=1e-12) -> Status:
    return judge("case", "check", "node", a, b, limit).status


def test_agreement_and_disagreement():
    assert status(A, A.copy()) is Status.PASS
    assert status(A * (1 + 1e-13), A) is Status.PASS
    assert status(A * (1 + 1e-11), A) is Status.FAIL
    assert relative_l2(2 * A, A) == pytest.approx(1.0)
    assert relative_l2(A, 0 * A) == float("inf")
    assert relative_l2(0 * A, 0 * A) == 0


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (None, "one side only"),
        (A[None], "shapes differ"),
        (A[:1], "shapes differ"),  # would broadcast
        (A.astype(np.float32), "dtypes differ"),
        (np.where(A == 2, np.nan, A), "NaN at 1"),
        (np.where(A == 2, np.inf, A), r"\+inf at 1"),
        (np.where(A == 2, -np.inf, A), r"-inf at 1"),
    ],
)
def test_what_cannot_be_compared_fails_and_says_so(other, reason):
    for a, b in ((A, other), (other, A)):
        verdict = one("node", a, b, 1e9)
        assert verdict.status is Status.FAIL
        assert any(part in verdict.message for part in (reason, reason.replace("\\", "")))


def test_nothing_to_compare_is_a_failure():
    empty = np.zeros((0, 3))
    assert status(empty, empty) is Status.FAIL
    assert one("node", None, None, 1e9).status is Status.FAIL
    assert [v.status for v in judge_nodes("c", "k", {}, {}, None)] == [Status.FAIL]


def test_infinities_of_both_sides_do_not_agree():
    infinite = np.array([np.inf, 1.0])
    assert status(infinite, -infinite) is Status.FAIL
    assert status(infinite, infinite) is Status.FAIL
    assert status(np.array([np.nan]), np.array([np.nan])) is Status.FAIL


def test_nodes_of_one_side_only_fail():
    verdicts = judge_nodes(
        "c", "k", {"x": A, "y": A}, {"y": A, "z": A}, lambda n, a, b: one(n, a, b, 1e-12)
    )
    assert {v.node: v.status for v in verdicts} == {
        "x": Status.FAIL,
        "y": Status.PASS,
        "z": Status.FAIL,
    }


def test_integers_and_booleans_are_compared_exactly():
    mask = np.array([True, False])
    assert status(mask, mask) is Status.PASS
    assert status(mask, ~mask, 1e9) is Status.FAIL
    assert (
        judge_equal("c", "k", "n", np.array([1, 2]), np.array([1, 3])).message
        == "1 of 2 elements differ"
    )


def test_gradients_that_are_absent():
    zeros = absent_if_zero({"a": None, "b": np.zeros(3), "c": A})
    assert zeros["a"] is None
    assert zeros["b"] is None
    assert judge_gradient("c", "k", "n", None, None, 1.0).status is Status.PASS
    assert judge_gradient("c", "k", "n", None, A, 1e9).status is Status.FAIL


def precision(torch32, jittor32):
    return judge_precision(
        "c", "k", "n", torch32, jittor32, A, gates.PRECISION_FACTOR, gates.PRECISION_FLOOR
    )


def test_precision_names_the_guilty_side():
    good, bad = A.astype(np.float32), (A * (1 + 1e-4)).astype(np.float32)
    assert precision(good, good).status is Status.PASS
    assert "jittor is the less precise" in precision(good, bad).message
    assert "torch is the less precise" in precision(bad, good).message
    assert (
        precision(bad, bad).status is Status.PASS
    )  # both equally far: not a difference between them
    assert precision(good, np.full_like(bad, np.nan)).status is Status.FAIL
    assert precision(good, None).status is Status.FAIL


def trace(**changes) -> dict:
    """A trace as sessions make it, of one node, one layer, one image."""
    generator = np.random.Generator(np.random.Philox(key=5))
    logits, boxes = generator.standard_normal((1, 4, 3)), generator.uniform(0.2, 0.8, (1, 4, 4))
    base = {
        "nodes": {"x.bn1": A, "y": 2 * A},
        "outputs": [(logits, boxes)],
        "total": np.array(3.0),
        "losses": {"loss_ce": np.array(1.0)},
        "errors": {"class_error": 50.0},
        "matches": [[(np.array([1, 2]), np.array([0, 1]))]],
        "detections": [
            {"scores": np.array([0.5]), "labels": np.array([1]), "boxes": A[:1].repeat(2, 1)}
        ],
        "node_gradients": {"x.bn1": A, "y": A},
        "gradients": {"w": A, "b": None},
    }
    return base | changes


def failures(verdicts) -> dict[str, str]:
    return {f"{v.check}/{v.node}": v.message for v in verdicts if v.status is Status.FAIL}


def test_a_correct_pair_raises_no_alarm():
    assert failures(compare.compare_semantics("c", trace(), trace(total=np.array([3.0])))) == {}


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"nodes": {"x.bn1": A, "y": 2 * A + 1e-9}}, "float64 forward/y"),
        ({"nodes": {"x.bn1": A}}, "float64 forward/y"),
        ({"losses": {"loss_ce": np.array(1.0 + 1e-9)}}, "float64 losses/loss/loss_ce"),
        ({"errors": {"class_error": 49.0}}, "float64 losses/error/class_error"),
        (
            {"matches": [[(np.array([1, 3]), np.array([0, 1]))]]},
            "float64 matches/matches/layer0/image0",
        ),
        ({"gradients": {"w": A * 1.001, "b": None}}, "float64 gradients/w"),
        ({"gradients": {"w": A, "b": A}}, "float64 gradients/b"),
        ({"gradients": {"w": 0 * A, "b": None}}, "float64 gradients/w"),
        ({"node_gradients": {"x.bn1": 2 * A, "y": 2 * A}}, "float64 node gradients/y"),
    ],
)
def test_every_kind_of_difference_is_found_where_it_is(changes, where):
    verdicts = compare.compare_semantics("c", trace(), trace(**changes))
    found = compare.first_divergence(verdicts)
    assert f"{found.check}/{found.node}" == where


def batch() -> Batch:
    goal = np.array([[0.5, 0.5, 0.2, 0.2], [0.3, 0.3, 0.2, 0.2]], dtype=np.float32)
    target = Target(goal, np.array([0, 1]), np.ones(2, np.float32), 1, (10, 10), (10, 10))
    return Batch(np.zeros((1, 3, 4, 4), np.float32), np.zeros((1, 4, 4), bool), (target,))


def float32(values: dict) -> dict:
    def convert(x):
        if isinstance(x, dict):
            return {k: convert(v) for k, v in x.items()}
        return x.astype(np.float32) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x

    return {
        k: [tuple(map(convert, o)) for o in v] if k == "outputs" else convert(v)
        for k, v in values.items()
    }


def test_a_flipped_decision_makes_float32_gradients_inconclusive_not_red():
    t32 = float32(trace())
    wrong = trace(gradients={"w": 1.1 * A, "b": None})
    flipped = wrong | {"nodes": {"x.bn1": np.where(A == 1, -1e-8, A), "y": 2 * A}}
    verdicts = compare.compare_precision("c", trace(), t32, float32(wrong))
    assert "float32 gradients/w" in failures(verdicts)
    verdicts = compare.compare_precision("c", trace(), t32, float32(flipped))
    gradient = next(v for v in verdicts if v.check == "float32 gradients" and v.node == "w")
    assert gradient.status is Status.INCONCLUSIVE
    assert "1 decisions flipped" in gradient.message


def test_a_match_that_is_no_tie_fails():
    other = trace(matches=[[(np.array([0, 3]), np.array([1, 0]))]])
    verdicts = compare.compare_matches_32(
        "c", (trace(), float32(trace()), float32(other)), batch(), MatcherConfig()
    )
    assert [v.status for v in verdicts] == [Status.FAIL]


def test_detections_are_matched_one_to_one():
    boxes = np.array([[0.0, 0, 10, 10], [0, 0, 10, 10]])
    two = [{"scores": np.array([0.5, 0.5]), "labels": np.array([1, 1]), "boxes": boxes}]
    moved = [two[0] | {"boxes": boxes + [[0, 0, 0, 0], [5, 0, 5, 0]]}]
    assert compare.match_detections("c", "k", two, two)[0].status is Status.PASS
    verdict = compare.match_detections("c", "k", two, moved)[0]
    assert verdict.status is Status.FAIL
    assert "1 of 2" in verdict.message
    nothing = [{k: v[:0] for k, v in two[0].items()}]
    assert compare.match_detections("c", "k", nothing, nothing)[0].status is Status.FAIL
    assert compare.match_detections("c", "k", [], [])[0].status is Status.FAIL


def test_ap_must_agree_and_mean_something():
    def scored(ap: float) -> Evaluation:
        return Evaluation((ap,) * 12, {})

    def statuses(a: float, b: float) -> set[Status]:
        return {v.status for v in compare.compare_ap("c", scored(a), scored(b))}

    assert statuses(0.7, 0.71) == {Status.PASS}
    assert statuses(0.7, 0.6) == {Status.FAIL}
    assert statuses(0.0, 0.0) == {Status.INCONCLUSIVE}


def test_trained_parameters_must_be_the_same():
    assert compare.compare_names("c", ["a"], ["a"]).status is Status.PASS
    assert "b" in compare.compare_names("c", ["a"], ["a", "b"]).message
    assert compare.compare_names("c", [], []).status is Status.FAIL


def test_report_counts_and_writes_everything(tmp_path):
    report = Report()
    report.add(
        [Verdict("case <1>", "check", f"node{i}", Status.PASS, 1e-13, 1e-12) for i in range(12)]
    )
    report.add([Verdict("case <1>", "check", "bad", Status.FAIL, 1.0, 1e-12, "why & how")])
    report.add([Verdict("other", "case", "(all)", Status.NOT_RUN, message="no GPU")])
    assert report.counts() == {"PASS": 12, "FAIL": 1, "INCONCLUSIVE": 0, "NOT_RUN": 1}
    json_path, html_path = report.write(tmp_path)
    page = html_path.read_text()
    assert "why &amp; how" in page
    assert "case &lt;1&gt;" in page
    assert "data:image/png;base64," in page
    assert "http" not in page.replace("http-equiv", "")
    assert json_path.stat().st_size > 500


def test_pools_and_cells_count_as_choices():
    """Two equal values in one window of a 2x2 pool, split by rounding in another place on each side."""
    x = np.zeros((1, 1, 2, 4))
    x[0, 0, 0] = [1, 1, -3, -2]
    y = x.copy()
    y[0, 0, 0, 1] += 1e-7
    assert compare.pool_choices(x, 2, 2, 0).tolist() == [[[[0, 0]]]]
    assert compare.pool_choices(y, 2, 2, 0).tolist() == [
        [[[1, 0]]]
    ]  # of a closed window nothing counts
    sides = [
        {"nodes": {"backbone.body.features.14": v}, "decisions": {"cells at stride 16": c}}
        for v, c in ((x, np.array([3, 4, -1])), (y, np.array([3, 5, -1])))
    ]
    assert compare.count_flips(*sides) == 2


def test_other_float32_decisions_are_inconclusive_and_missing_ones_red():
    ours = {"decisions": {"proposals": np.array([[3, 1, -1]]), "roi_labels": np.array([[1, 0, 0]])}}
    theirs = {"decisions": {"proposals": np.array([[3, 2, -1]])}}
    verdicts = {v.node: v for v in compare.compare_decisions_32("c", ours, theirs)}
    assert verdicts["proposals"].status is Status.INCONCLUSIVE
    assert "1 of 3" in verdicts["proposals"].message
    assert verdicts["roi_labels"].status is Status.FAIL
    shorter = {"decisions": {"proposals": np.array([[3, 1]]), "roi_labels": np.array([[1, 0, 0]])}}
    verdicts = {v.node: v.status for v in compare.compare_decisions_32("c", ours, shorter)}
    assert verdicts == {"proposals": Status.FAIL, "roi_labels": Status.PASS}


def test_float64_decisions_must_be_identical():
    same = trace() | {"decisions": {"anchor_labels": np.array([[1, 0, -1]])}}
    other = trace() | {"decisions": {"anchor_labels": np.array([[1, -1, -1]])}}
    assert failures(compare.compare_semantics("c", same, same)) == {}
    assert "float64 decisions/anchor_labels" in failures(
        compare.compare_semantics("c", same, other)
    )


def test_a_loss_of_zero_proves_nothing():
    zero = trace(losses={"loss_ce": np.array(0.0)})
    verdicts = {v.node: v.status for v in compare.compare_losses("c", "k", zero, zero, 1e-12)}
    assert verdicts["loss/loss_ce"] is Status.INCONCLUSIVE
    assert verdicts["loss/total"] is Status.PASS


def test_images_without_detections_agree_but_prove_nothing():
    none = {"scores": np.zeros(0), "labels": np.zeros(0, int), "boxes": np.zeros((0, 4))}
    one = {"scores": np.ones(1), "labels": np.ones(1, int), "boxes": np.ones((1, 4))}
    assert not failures_of(compare.compare_detections("c", "k", [none, one], [none, one], 0.0))
    assert failures_of(compare.compare_detections("c", "k", [none], [none], 0.0))
    assert failures_of(compare.compare_detections("c", "k", [none, one], [one, one], 0.0))


def failures_of(verdicts) -> list:
    return [v for v in verdicts if v.status is Status.FAIL]
