"""The harness's own meta-tests: a comparison must never pass by omission."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from parity.engine.judge import gates
from parity.engine.judge.gradients import absent_if_zero, judge_gradient
from parity.engine.judge.judging import judge, judge_equal, judge_nodes, relative_l2
from parity.engine.judge.less_precise import judge_precision
from parity.engine.judge.semantic import compare_losses, compare_semantics
from parity.engine.judge.verdicts import Status, Verdict, first_divergence
from parity.engine.judge.weights import compare_names, compare_state
from parity.report.report import Report

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


@pytest.mark.parametrize(
    ("values", "reference", "told"),
    [
        (None, A, "one side only: the reference's"),
        (A, None, "one side only: not the reference's"),
        (A[:1], A, f"{A[:1].shape}, the reference's {A.shape}"),
        (A.astype(np.float32), A, "float32, the reference's float64"),
    ],
)
def test_whose_is_what_is_told(values, reference, told):
    for judge_one in (partial(judge, limit=1e9), judge_equal):
        assert told in judge_one("case", "check", "node", values, reference).message
    (found,) = compare_state("case", "jittor", {"w": A}, {"w": A[:1]})
    assert f"{A[:1].shape}, the reference's {A.shape}" in found.message


def test_nothing_to_compare_is_a_failure():
    empty = np.zeros((0, 3))
    assert status(empty, empty) is Status.PASS, "an image without objects is one on both sides"
    assert status(empty, empty[:, :2]) is Status.FAIL
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


def test_what_other_rules_miss():
    """Each of these passes a rule that some tool uses; docs/parity.md lists them."""
    # equal means, another order: mean(a) against mean(b)
    assert status(A[::-1].copy(), A) is Status.FAIL
    # one element off in ten million: a relative L2 of 3e-4 of its size alone would drown
    many = np.ones(10**7, dtype=np.float32)
    off = many.copy()
    off[1234567] += 1e-3
    verdict = judge_precision("c", "k", "n", many, off, many.astype(np.float64), 4, 1e-6, 8, 4e-6)
    assert verdict.status is Status.FAIL
    assert "greatest" in verdict.message
    # NaN > limit is False
    assert status(np.where(A == 2, np.nan, A), A, limit=1e9) is Status.FAIL
    # both infinities zeroed before comparing
    assert status(np.where(A == 2, np.inf, A), np.where(A == 2, -np.inf, A)) is Status.FAIL
    # NaN everywhere on both sides agrees, and proves nothing
    assert status(np.full(3, np.nan), np.full(3, np.nan)) is Status.FAIL
    # a shape that would broadcast, an empty array, another dtype
    assert status(A[:1], A) is Status.FAIL
    assert status(A[:0], A) is Status.FAIL
    assert status(A.astype(np.float32), A) is Status.FAIL
    # -0 and 0 are one value, though not one bit pattern
    zero = np.array([0.0, 1.0])
    assert status(-zero * [1, -1], zero) is Status.PASS
    assert judge_equal("c", "k", "n", np.array([-0.0]), np.array([0.0])).status is Status.PASS


def precision(torch32, jittor32):
    return judge_precision(
        "c", "k", "n", torch32, jittor32, A, gates.PRECISION_FACTOR, gates.PRECISION_LEAST
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
    base = {
        "nodes": {"x.bn1": A, "y": 2 * A},
        "total": np.array(3.0),
        "losses": {"loss_ce": np.array(1.0)},
        "errors": {"class_error": 50.0},
        "choices": {"matches/layer0/image0": np.array([1, 2])},
        "ledger": {},
        "evidence": [],
        "detections": [
            {"scores": np.array([0.5]), "labels": np.array([1]), "boxes": A[:1].repeat(2, 1)}
        ],
        "node_gradients": {"x.bn1": A, "y": A},
        "gradients": {"w": A, "b": None},
    }
    found = base | changes
    nodes = list(found["nodes"])
    return {"order": [*nodes, *(f"choice {name}" for name in found["choices"])]} | found


def failures(verdicts) -> dict[str, str]:
    return {f"{v.check}/{v.node}": v.message for v in verdicts if v.status is Status.FAIL}


def test_a_correct_pair_raises_no_alarm():
    assert failures(compare_semantics("c", trace(), trace(total=np.array([3.0])))) == {}


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"nodes": {"x.bn1": A, "y": 2 * A + 1e-9}}, "float64 forward/y"),
        ({"nodes": {"x.bn1": A}}, "float64 forward/y"),
        ({"losses": {"loss_ce": np.array(1.0 + 1e-9)}}, "float64 losses/loss/loss_ce"),
        ({"errors": {"class_error": 49.0}}, "float64 losses/error/class_error"),
        (
            {"choices": {"matches/layer0/image0": np.array([1, 3])}},
            "float64 choices/matches/layer0/image0",
        ),
        ({"gradients": {"w": A * 1.001, "b": None}}, "float64 gradients/w"),
        ({"gradients": {"w": A, "b": A}}, "float64 gradients/b"),
        ({"gradients": {"w": 0 * A, "b": None}}, "float64 gradients/w"),
        ({"node_gradients": {"x.bn1": 2 * A, "y": 2 * A}}, "float64 node gradients/y"),
    ],
)
def test_every_kind_of_difference_is_found_where_it_is(changes, where):
    verdicts = compare_semantics("c", trace(), trace(**changes))
    found = first_divergence(verdicts)
    assert f"{found.check}/{found.node}" == where


def test_trained_parameters_must_be_the_same():
    assert compare_names("c", ["a"], ["a"]).status is Status.PASS
    assert "b" in compare_names("c", ["a"], ["a", "b"]).message
    assert compare_names("c", [], []).status is Status.INCONCLUSIVE


def test_report_counts_and_writes_everything(tmp_path):
    report = Report(tmp_path)
    report.add(
        [Verdict("case <1>", "check", f"node{i}", Status.PASS, 1e-13, 1e-12) for i in range(12)]
    )
    report.add([Verdict("case <1>", "check", "bad", Status.FAIL, 1.0, 1e-12, "why & how")])
    report.add([Verdict("other", "case", "(all)", Status.NOT_RUN, message="no GPU")])
    steps = [{"loss": 3.0}, {"loss": 2.0}]
    report.curves["some steps"] = {"torch": steps, "jittor": steps, "copies": [steps] * 8}
    assert report.counts() == {"PASS": 12, "FAIL": 1, "INCONCLUSIVE": 0, "NOT_RUN": 1, "KNOWN": 0}
    json_path, html_path = report.write()
    page = html_path.read_text()
    assert "why &amp; how" in page
    assert "case &lt;1&gt;" in page
    assert '"curves":{"some steps":' in page
    assert "src=" not in page.partition("</style>")[2].partition("<script")[0], "one file"
    assert json_path.stat().st_size > 500


def test_a_loss_of_zero_proves_nothing():
    zero = trace(losses={"loss_ce": np.array(0.0)})
    verdicts = {v.node: v.status for v in compare_losses("c", "k", zero, zero, 1e-12)}
    assert verdicts["loss/loss_ce"] is Status.INCONCLUSIVE
    assert verdicts["loss/total"] is Status.PASS


def failures_of(verdicts) -> list:
    return [v for v in verdicts if v.status is Status.FAIL]
