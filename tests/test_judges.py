"""What the harness judges by, asked directly: mutants of it let pass what they should not (docs/breeding.md)."""

from __future__ import annotations

import numpy as np
import pytest

from neutral.data import masks
from parity.engine.judge import checks, gates
from parity.engine.judge.blame import name_the_guilty
from parity.engine.judge.detections import compare_detections
from parity.engine.judge.floors import Floors
from parity.engine.judge.less_precise import judge_precision
from parity.engine.judge.outcomes import same
from parity.engine.judge.precision import PrecisionGate
from parity.engine.judge.semantic import compare_execution
from parity.engine.judge.statistics import judge_seeds
from parity.engine.judge.steps import compare_steps
from parity.engine.judge.ulps import nearby, one_ulp_away
from parity.engine.judge.verdicts import Status, Verdict
from parity.errors import InputError
from parity.suite.regrets import compare_regrets, spoiled
from tests.test_choice_verdicts import float32
from tests.test_verdicts import trace


def seeds(shift: float = 0.0, at: slice = slice(0, 0), count: int = 8) -> np.ndarray:
    """Curves [seeds, epochs] that fall to 1, with noise of 0.01, `shift` more at some epochs."""
    noise = np.random.default_rng(3).standard_normal((count, 6)) * 0.01
    curves = np.linspace(2, 1, 6) + noise
    curves[:, at] += shift
    return curves


def test_curves_over_seeds_may_part_before_they_meet_at_the_end():
    other = seeds(0.5, slice(1, 3)) + np.random.default_rng(4).standard_normal((8, 6)) * 1e-3
    found = {v.check: v.status for v in judge_seeds("case", "loss", seeds(), other, 0.1)}
    assert found["curves over seeds"] is Status.FAIL and len(found) == 2
    ends = judge_seeds("case", "loss", seeds()[:, -1], other[:, -1], 0.1)
    assert len(ends) == 1 and ends[0].status is Status.PASS
    assert ends[0].check in found


def test_too_few_seeds_are_told_to_be_too_few():
    few, other = seeds(count=2), seeds(0.5, slice(0, 6), count=2)
    found = {v.check: v for v in judge_seeds("case", "loss", few, other, 0.1)}
    curves = found["curves over seeds"]
    assert curves.status is Status.INCONCLUSIVE and curves.limit == gates.ALPHA
    # two pairs of runs: 2 * 2 ways to exchange who is who, in mirrored pairs
    assert curves.message == "p = 0.5 of 4 relabellings; none can be below 0.5: more seeds"


def test_seeds_are_told_by_side_and_odd_ones_refused():
    ends = seeds()[:, -1]
    (found,) = judge_seeds("case", "loss", ends, ends + 1e-3, 0.1)
    assert found.message.startswith("candidate minus reference +0.001,")
    (found,) = judge_seeds("case", "loss", ends, ends + 1e-3, 0.1, sides=("GPU", "CPU"))
    assert found.message.startswith("CPU minus GPU +0.001,")
    for other, told in ((ends[:-1], "pairs need as many"), (seeds(), "give values"), (1.0, "give")):
        with pytest.raises(InputError, match=told):
            judge_seeds("case", "loss", ends, other, 0.1)
    assert judge_seeds("case", "loss", ends, ends[:-1], 0.1, paired=False)[0].status is Status.PASS


def test_the_precision_gate_tells_the_floor_that_it_judged_by():
    exact = {"x": np.array([1.0, 2.0]), "y": np.array([3.0])}
    narrow = {k: v.astype(np.float32) for k, v in exact.items()}
    gate = PrecisionGate("case", Floors({"forward": {"x": [100.0, 200.0]}}))
    found = gate.nodes(checks.FORWARD_32, [exact, narrow, narrow], "forward", {})
    floors = {v.node: v.floor for v in found}
    assert floors == {"x": 100 * gates.U32, "y": None}
    limits = {v.node: v.limit for v in found}
    assert limits["x"] == gates.FLOOR_FACTOR * 100 * gates.U32
    assert limits["y"] == gates.PRECISION_LEAST


X, WEIGHT = np.random.default_rng(0).standard_normal((5, 3)), np.arange(6.0).reshape(2, 3) - 2.5
COTANGENT = np.random.default_rng(1).standard_normal((5, 2))


def of_linear(factor: float = 1.0, **layer) -> dict:
    """A trace of one linear layer "fc", what it gives and its argument's gradient times `factor`."""
    return {
        "modules": {"fc": {"type": "Linear", "leaf": True} | layer},
        "nodes": {"fc/in[0]": X, "fc": factor * (X @ WEIGHT.T)},
        "node_gradients": {"fc": COTANGENT, "fc/in[0]": factor * (COTANGENT @ WEIGHT)},
    }


def blamed(node: str, check: str, reference: dict, forced: dict, weights=None) -> Verdict:
    verdict = Verdict("case", check, node, Status.FAIL, message="by much", owner="fc")
    weights = {"fc.weight": WEIGHT, "fc.bias": np.zeros(2)} if weights is None else weights
    return name_the_guilty(verdict, reference, forced, weights)


@pytest.mark.parametrize(
    ("node", "check"),
    [("fc", checks.LOCAL_FORWARD_64), ("fc/in[0]", checks.LOCAL_GRADIENTS_64)],
)
def test_the_oracle_blames_the_side_that_is_wrong(node, check):
    right, wrong, other = of_linear(), of_linear(1.001), of_linear(0.9)
    found = blamed(node, check, right, wrong)
    assert found.guilty == "jittor" and "jittor is wrong" in found.message
    assert found.message.endswith("by much") and found.status is Status.FAIL
    assert blamed(node, check, wrong, right).guilty == "torch"
    for pair in ((wrong, other), (right, right)):
        undecided = blamed(node, check, *pair)
        assert not undecided.guilty and "INCONCLUSIVE" in undecided.message


def test_the_oracle_is_silent_where_it_knows_nothing():
    check, right, wrong = checks.LOCAL_FORWARD_64, of_linear(), of_linear(1.001)
    for reference, forced, weights, why in (
        (of_linear(type="Mine"), of_linear(1.001, type="Mine"), None, "no oracle for Mine"),
        (right, wrong, {}, "weights are not at hand"),
        (right | {"nodes": {"fc": right["nodes"]["fc"]}}, wrong, None, "not recorded"),
        (of_linear(eps=1e-5), of_linear(eps=1e-3), None, "differ in eps: torch 1e-05"),
        (right, wrong, {"fc.bias": np.zeros(2)}, "another one"),
    ):
        found = blamed("fc", check, reference, forced, weights)
        assert not found.guilty and why in found.message
    gradient = blamed("fc/in[0]", checks.LOCAL_GRADIENTS_64, right, of_linear(1 + 5e-7))
    assert not gradient.guilty  # central differences tell no more digits
    alone = Verdict("case", check, "fc", Status.FAIL, message="one side only")
    assert name_the_guilty(alone, right, wrong, {}) is alone


def steps(losses=((3.0, 1.0), (2.0, 0.5)), moved: float = 0.1, names=("a", "b")) -> tuple:
    """What a side's training steps leave (weights at the start, names, losses, state)."""
    weights = {"a": np.array([1.0, 2.0]), "b": np.array([[3.0]])}
    state = {k: v + moved * (k in names) for k, v in weights.items()}
    return weights, list(names), [dict(zip(("loss", "box"), x)) for x in losses], state


def failed_steps(reference: tuple, candidate: tuple) -> list[str]:
    found = compare_steps("case", reference, candidate)
    return [v.node for v in found if v.status is not Status.PASS]


def test_steps_agree_in_losses_and_in_where_they_lead():
    found = compare_steps("case", steps(), steps())
    nodes = [v.node for v in found if v.check in (checks.STEP_LOSSES, checks.DISPLACEMENT)]
    assert nodes == ["step0/loss", "step0/box", "step1/loss", "step1/box", "a", "b"]
    assert not failed_steps(steps(), steps())
    near, far = (((3.0, 1.0), (2.0, 0.5 * (1 + e))) for e in (1e-13, 1e-11))
    assert not failed_steps(steps(), steps(near))
    assert failed_steps(steps(), steps(far)) == ["step1/box"]
    assert failed_steps(steps(), steps(moved=0.1001)) == ["a", "b"]
    assert not failed_steps(steps(), steps(moved=0.1 * (1 + 1e-12)))
    # what hardly moves is told from rounding of the weights themselves
    assert not failed_steps(steps(moved=1e-9), steps(moved=1e-9 + 1e-17))


def test_steps_of_other_parameters_fail():
    alone = failed_steps(steps(), steps(names=("a",)))
    assert "names" in alone and "b" in alone and "a" not in alone


def test_steps_without_anything_trained_are_not_run():
    empty = steps(losses=((), ()), names=())
    found = compare_steps("case", empty, empty)
    (told,) = [v for v in found if v.check == "steps"]
    assert told.status is Status.NOT_RUN
    assert told.message == "nothing is trained, and no loss comes out"
    found = compare_steps("case", empty, steps(losses=((), (2.0,)), names=()))
    assert "step1/loss" in [v.node for v in found if v.status is Status.FAIL]
    late = steps(losses=((), (2.0,)), names=())
    found = compare_steps("case", late, late)
    assert "step1/loss" in [v.node for v in found] and found[-1].check != "steps"
    assert failed_steps(late, steps(losses=((), (2.5,)), names=()))[-1] == "step1/loss"


def test_regrets_of_both_sides_must_agree():
    ledger = {"choices": 4, "different": 2, "ties": 0, "regret": 0.25}

    def failed(other: dict) -> list[str]:
        found = compare_regrets("case", {"order": ledger}, other)
        return [v.node for v in found if v.status.value == "FAIL"]

    assert not failed({"order": dict(ledger)})
    assert failed({"order": ledger | {"regret": 0.0}}) == ["order/regret"]
    assert not failed({"order": ledger | {"regret": 0.25 + 0.9 * 1.25e-9}})
    assert failed({"order": ledger | {"regret": 0.25 + 1.1 * 1.25e-9}}) == ["order/regret"]
    assert failed({"order": ledger | {"regret": None}}) == ["order/regret"]
    assert failed({"order": ledger | {"ties": 1}}) == ["order/counts"]
    assert failed({}) == ["order"]
    (alone,) = compare_regrets("case", {"order": ledger}, {})
    assert alone.message == "torch has this node, jittor has not"
    assert "jittor has" in compare_regrets("case", {}, {"order": ledger})[0].message


def test_spoiled_choices_are_others_and_as_many():
    own = {
        "kept": np.array([[True, False, True]]),
        "order": np.array([[2, 0, 1]]),
        "same": np.zeros((1, 3), int),
    }
    found = spoiled(own)
    assert found["kept"].sum() == 2 and (found["kept"] != own["kept"]).sum() == 2
    assert sorted(found["order"][0]) == [0, 1, 2] and (found["order"] != own["order"]).any()
    assert not found["same"].any()


def test_the_precision_gate_looks_at_detections_and_gradients():
    found = PrecisionGate("case").compare(trace(), *(float32(trace()) | {"ledger": {}},) * 2)
    looked = {v.check for v in found}
    assert {checks.FORWARD_32, checks.LOSSES_32, checks.GRADIENTS_32} <= looked
    assert checks.DETECTIONS_32 in looked
    less = {k: v for k, v in (float32(trace()) | {"ledger": {}}).items() if k != "detections"}
    found = PrecisionGate("case").compare(trace(), float32(trace()) | {"ledger": {}}, less)
    assert checks.DETECTIONS_32 not in {v.check for v in found}


def test_counts_of_masks_have_more_than_32_bits():
    def packed(count: int) -> str:
        digits = [count >> 5 * k & 31 for k in range(7)]
        return "".join(chr(48 + d + 32 * (k < 6)) for k, d in enumerate(digits))

    for count in (3, 2**31 + 5, 2**33):
        assert masks.packed_total(packed(count)) == count


def test_numbers_that_come_out_are_the_same_up_to_rounding():
    assert same(2.0, 2.0) and same(2.0, 2.0 * (1 + 1e-15)) and same(0.0, 0.0) and same(2.0, 2)
    assert not same(2.0, -2.0) and not same(2.0, 2.001) and not same(2, 3) and same("a", "a")


@pytest.mark.parametrize(("error", "failed"), [(1e-13, []), (1e-9, ["[a][0]"])])
def test_other_results_are_compared_array_by_array(error, failed):
    ours = {"a": (np.array([1.0, 2.0]), 3), "b": np.array([4])}
    theirs = {"a": (np.array([1.0, 2.0 + error]), 3), "b": np.array([4])}
    found = compare_detections("case", "check", ours, theirs, 1e-12)
    assert [v.node for v in found] == ["[a][0]", "[a][1]", "[b]"]
    assert [v.node for v in found if v.status is Status.FAIL] == failed


def test_what_nobody_has_is_a_failure_that_says_so():
    found = judge_precision("case", "check", "node", None, None, None, 4, 1e-6)
    assert found.status is Status.FAIL and found.message.startswith("nothing to compare")


def test_the_worse_sides_greatest_error_is_kept():
    exact, kept = np.array([1.0, 2.0, 4.0]), {}
    near, far = ((exact + e).astype(np.float32) for e in (2.0**-20, 2.0**-18))
    for pair in ((near, far), (far, near)):
        judge_precision("case", "check", "node", *pair, exact, 9, 1e-6, 9, 1e-6, greatest=kept)
        assert kept == {"node": 2.0**-20}


def test_copies_start_one_float32_away_everywhere():
    weights = {"w": np.array([[1.0, -2.0], [0.0, 3e-5]], np.float32)}
    first, again, other = (one_ulp_away(weights, k)["w"] for k in (0, 0, 1))
    assert first.dtype == np.float32 and (first == again).all() and (first != other).any()
    steps = np.abs(first.view(np.int32) - weights["w"].view(np.int32))
    assert (first != weights["w"]).all() and (steps.ravel()[[0, 1, 3]] == 1).all()
    tree = {"x": weights["w"].astype(np.float64), "n": np.array([1, 2])}
    moved = nearby(tree)
    assert moved["x"].dtype == np.float64 and (moved["n"] == tree["n"]).all()
    assert ((moved["x"] != tree["x"]) == (tree["x"] != 0)).all()
    assert (np.abs(moved["x"] - tree["x"]) <= 2.0**-22).all()


def test_runs_without_a_node_are_no_agreement():
    nothing = {"nodes": {}, "choices": {}, "order": []}
    one = {"nodes": {"fc": np.ones(2)}, "choices": {}, "order": ["fc"]}

    def found(reference: dict, candidate: dict) -> list[tuple]:
        verdicts = compare_execution("case", reference, candidate)
        return [(v.node, v.status.value, v.message) for v in verdicts]

    ((node, status, message),) = found(nothing, nothing)
    assert (node, status) == ("(all)", "FAIL") and "no nodes on either side" in message
    assert found(one, nothing) == [("fc", "FAIL", "torch has this node, jittor has not")]
    assert found(nothing, one) == [("fc", "FAIL", "jittor has this node, torch has not")]
    assert found(one, one) == [("fc", "PASS", "")]
