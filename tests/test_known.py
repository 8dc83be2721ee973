"""Differences that are no defects: told apart, counted, and FAILs again when asked."""

from __future__ import annotations

import numpy as np

from parity.engine.ask.by_loss import compare_by_loss
from parity.engine.judge import checks, kinds
from parity.engine.judge.blame import name_the_guilty
from parity.engine.judge.detections import array_at
from parity.engine.judge.judging import judge, judge_equal
from parity.engine.judge.less_precise import judge_precision
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.judge.weights import compare_names
from parity.engine.tell.known import strictly, with_known
from parity.engine.values.aligned import aligned


def verdict(check: str, node: str, measured: float | None, **more) -> Verdict:
    passes = measured is not None and measured <= 1e-12
    status = Status.PASS if passes else Status.FAIL
    return Verdict("pair", check, node, status, measured, 1e-12, **more)


OF_ROUNDING = [
    verdict(checks.FORWARD_64, "a", 3e-8),
    verdict(checks.GRADIENTS_64, "a.bias", 3e-4),
    verdict(checks.LOCAL_FORWARD_64, "a", 3e-8, owner="a"),
    verdict(checks.LOCAL_FORWARD_64, "b", 1e-15, owner="b"),
    Verdict("pair", checks.LOCAL_FORWARD_32, "a", Status.PASS, 1e-8, 1e-6),
    Verdict("pair: training steps", checks.DISPLACEMENT, "a.bias", Status.FAIL, 1e-7, 1e-10),
]


def statuses(verdicts) -> list[str]:
    return [v.status.value for v in verdicts]


def test_rounded_constants_and_what_comes_of_them():
    found = with_known(OF_ROUNDING)
    assert statuses(found) == ["KNOWN", "KNOWN", "KNOWN", "PASS", "PASS", "KNOWN"]
    assert statuses(with_known(found)) == statuses(found), "asked again, nothing changes"
    assert statuses(strictly(found)).count("FAIL") == 4


def test_what_float32_sees_is_no_rounded_constant():
    seen = Verdict("pair", checks.LOCAL_FORWARD_32, "a", Status.FAIL, 1e-4, 1e-6)
    found = with_known([*OF_ROUNDING[:4], seen])
    assert "KNOWN" not in statuses(found)


def test_another_constant_is_none_however_little_it_does():
    found = with_known([v.but(kind=kinds.CONSTANT) for v in OF_ROUNDING])
    assert "KNOWN" not in statuses(found)


def test_other_causes_leave_only_the_local_one_known():
    other = verdict(checks.LOCAL_FORWARD_64, "c", 0.1, owner="c")
    found = with_known([*OF_ROUNDING, other])
    assert statuses(found).count("KNOWN") == 1 and found[2].status is Status.KNOWN


def missing(check: str, node: str) -> Verdict:
    return verdict(check, node, None, kind=kinds.MISSING)


def test_a_module_of_one_side_only_is_a_name_while_all_else_agrees():
    agrees = verdict(checks.LOCAL_FORWARD_64, "b", 1e-15)
    extra = [missing(checks.FORWARD_64, "act"), missing(checks.LOCAL_FORWARD_64, "act")]
    assert statuses(with_known([agrees, *extra])) == ["PASS", "KNOWN", "KNOWN"]
    assert "KNOWN" not in statuses(with_known(extra)), "nothing else was compared"
    wrong = verdict(checks.LOSSES_64, "loss/total", 0.1)
    assert "KNOWN" not in statuses(with_known([agrees, *extra, wrong]))
    lost = missing(checks.LOSSES_64, "loss/aux")
    assert "KNOWN" not in statuses(with_known([agrees, *extra, lost]))


def test_a_module_of_one_side_only_where_float64_was_left_out():
    """`parity run --quick`."""
    passes = Verdict("pair", checks.FORWARD_32, "b", Status.PASS, 1e-8, 1e-6)
    alone = Verdict("pair", checks.FORWARD_32, "a", Status.FAIL, kind=kinds.MISSING)
    assert statuses(with_known([passes, alone])) == ["PASS", "KNOWN"]
    assert statuses(with_known([alone])) == ["FAIL"]


def test_scalars_of_one_axis():
    one, none = np.array([2.0]), np.array(2.0)
    assert judge("c", "k", "n", one, none, 1e-12).status is Status.KNOWN
    assert judge("c", "k", "n", one + 1, none, 1e-12).status is Status.FAIL
    assert judge_equal("c", "k", "n", np.array([1]), np.array(1)).status is Status.KNOWN
    narrow = [x.astype("f4") for x in (none, one)]
    assert judge_precision("c", "k", "n", *narrow, none, 4, 1e-6).status is Status.PASS
    assert judge("c", "k", "n", np.ones((1, 1)), np.ones(1), 1e-12).status is Status.FAIL


def test_arguments_given_by_name_on_one_side():
    ours = {"nodes": {"a/in[0]": 1, "a/in[1]": 2}, "arguments": {}, "order": []}
    ours["arguments"]["a"] = [[{"node": "a/in[0]"}, {"node": "a/in[1]"}], {}]
    theirs = {"nodes": {"a/in[0]": 1, "a/in[pos]": 2}, "arguments": {}, "order": ["a/in[pos]"]}
    theirs["arguments"]["a"] = [[{"node": "a/in[0]"}], {"pos": {"node": "a/in[pos]"}}]
    found = aligned(ours, theirs)
    assert dict(found["nodes"]) == {"a/in[0]": 1, "a/in[1]": 2}
    assert found["order"] == ["a/in[1]"]
    assert aligned(ours, ours) is ours


def group_norm_verdict(spread: float, error: float) -> Verdict:
    """A group norm over two elements that are `spread` apart, the candidate's result off by `error`."""
    x = np.array([[1.0, 1.0 + spread]]).reshape(1, 2, 1, 1)
    weights = {"norm.weight": np.ones(2), "norm.bias": np.zeros(2)}
    layer = {"type": "GroupNorm", "leaf": True, "num_groups": 1, "eps": 1e-30}
    centred = x - x.mean()
    exact = centred / np.sqrt((centred**2).mean())
    nodes = {"norm/in[0]": x, "norm": exact}
    ours = {"nodes": nodes, "modules": {"norm": layer}}
    theirs = {"nodes": nodes | {"norm": exact * (1 + error)}, "modules": {"norm": layer}}
    given = verdict(checks.LOCAL_FORWARD_64, "norm", error, owner="norm")
    return name_the_guilty(given, ours, theirs, weights)


def test_the_oracle_blames_beyond_its_own_error_only():
    wrong = group_norm_verdict(1.0, 1e-9)
    assert wrong.guilty == "jittor" and wrong.status is Status.FAIL
    noise = np.array([[1.0, 1.0 + 1e-9]])
    assert noise[0, 1] > 1
    within = group_norm_verdict(1e-9, 2e-12)
    assert not within.guilty


def test_a_gradient_that_nearly_cancels_is_known_where_float32_differs_by_rounding_alone():
    """As that of a bias before a batch norm, which is 0."""
    local = verdict(checks.LOCAL_FORWARD_64, "norm", 3e-12, owner="norm")
    agrees = verdict(checks.LOCAL_FORWARD_32, "norm", 0.0, owner="norm")
    bias = verdict(checks.GRADIENTS_64, "conv.bias", 1.3e-5)
    narrow = verdict(checks.GRADIENTS_32, "conv.bias", 7e-6).but(limit=4e-6)
    assert statuses(with_known([local, agrees, bias, narrow])) == [
        "KNOWN",
        "PASS",
        "KNOWN",
        "KNOWN",
    ]
    wrong = narrow.but(measured=9e-6)
    assert statuses(with_known([local, agrees, bias, wrong])) == ["KNOWN", "PASS", "FAIL", "FAIL"]


def test_the_order_of_parameters_is_no_defect():
    assert compare_names("c", ["a", "b"], ["b", "a"]).status is Status.KNOWN
    assert compare_names("c", ["a"], ["a", "b"]).kind == kinds.FROZEN


def test_integers_of_another_width_are_known_where_they_agree():
    narrow = np.arange(4, dtype=np.int32)
    found = judge("pair", "detections", "labels", narrow, narrow.astype(np.int64), 0.0)
    assert found.status is Status.KNOWN and "int32" in found.message
    other = judge("pair", "detections", "labels", narrow, narrow.astype(np.int64) + 1, 0.0)
    assert other.status is Status.FAIL
    short = judge("pair", "detections", "labels", narrow[:3], narrow.astype(np.int64), 0.0)
    assert short.status is Status.FAIL


def test_local_detections_have_their_arrays():
    boxes = np.ones((2, 4))
    images = [{"boxes": boxes, "labels": np.arange(2), "scores": np.ones(2)}]
    assert array_at(images, "image0/boxes") is boxes
    assert array_at(images, "image1/boxes") is None and array_at(images, "images") is None
    assert array_at({"ids": boxes}, "[ids]") is boxes


def test_a_module_of_one_side_only_is_a_name_where_what_holds_it_agrees():
    """Whatever differs elsewhere."""
    holder = verdict(checks.LOCAL_FORWARD_64, "body.act/in[0]", 1e-15, owner="body")
    wrong = verdict(checks.LOCAL_FORWARD_64, "head", 0.1, owner="head")
    extra = [missing(c, "body.flat.0/in[0]") for c in (checks.FORWARD_64, checks.LOCAL_FORWARD_64)]
    found = with_known([holder, wrong, *extra])
    assert statuses(found) == ["PASS", "FAIL", "KNOWN", "KNOWN"]
    other = verdict(checks.LOCAL_FORWARD_64, "body", 0.1, owner="body")
    assert "KNOWN" not in statuses(with_known([holder, wrong, other, *extra]))
    lacking = [missing(checks.LOCAL_FORWARD_64, "body.act[1]")]
    assert "KNOWN" not in statuses(with_known([holder, wrong, *lacking])), "a call gives less"
    elsewhere = [missing(checks.FORWARD_64, "head.act")]
    assert "KNOWN" not in statuses(with_known([holder, wrong, *elsewhere]))


def test_an_output_that_nothing_reads_may_have_another_shape():
    """Attention weights, averaged on one side: no gradient of theirs, and all that comes of the module agrees."""

    def of(check: str, node: str, message: str = "", status=Status.FAIL, **more) -> Verdict:
        measured = 0.0 if status is Status.PASS else None
        return Verdict("pair", check, node, status, measured, 1e-6, message, **more)

    missing = {"kind": kinds.MISSING, "owner": "(outside)"}
    found = [
        of(checks.LOCAL_FORWARD_32, "a", status=Status.PASS, owner="a"),
        of(checks.LOCAL_FORWARD_32, "a[1]", "torch: shapes differ: (2,) and (3,)", owner="a"),
        of(checks.LOCAL_FORWARD_32, "a.q", "jittor has this node, torch has not", **missing),
        of(checks.LOCAL_GRADIENTS_32, "a[1]", "no gradient on either side", Status.PASS),
        of(checks.GRADIENTS_32, "a.weight", "present on one side only: right"),
    ]
    assert statuses(with_known(found)) == ["PASS", "KNOWN", "KNOWN", "PASS", "FAIL"]
    behind = of(checks.FORWARD_32, "b", "torch: shapes differ: (2,) and (3,)")
    assert statuses(with_known([*found, behind])).count("KNOWN") == 0
    assert statuses(with_known([*found[:3], found[4]])).count("KNOWN") == 0, "it has a gradient"


def test_an_output_that_nothing_reads_may_be_none():
    """Attention weights that one side does not give, in a whole run with a constant rounded to float32."""

    def weights(check: str, what: str, kind: str) -> Verdict:
        return Verdict("pair", check, f"{what}[1]", Status.FAIL, kind=kind, owner=what)

    def none(what: str) -> list[Verdict]:
        plain = weights(checks.LOCAL_PLAIN_64, what, kinds.DTYPE)
        plain = plain.but(
            message="which side is INCONCLUSIVE; None in jittor, no plain value in torch"
        )
        return [weights(checks.LOCAL_FORWARD_64, what, kinds.MISSING), plain]

    inside, outside = none("attention"), none("(model)")
    assert set(statuses(with_known([*OF_ROUNDING, *inside]))) == {"PASS", "KNOWN"}
    assert "FAIL" in statuses(with_known([*OF_ROUNDING, *outside])), (
        "the user reads what the model gives"
    )
    wrong = verdict(checks.LOCAL_FORWARD_64, "b", 0.1, owner="b")
    assert statuses(with_known([*inside, wrong])).count("FAIL") >= 2


def test_rounding_adds_up_in_whole_runs():
    def free(measured: float) -> Verdict:
        return Verdict("pair", checks.FORWARD_32, "deep", Status.FAIL, measured, 9.5e-7)

    local = Verdict(
        "pair", checks.LOCAL_FORWARD_32, "deep", Status.PASS, 2e-7, 9.5e-7, owner="deep"
    )
    assert statuses(with_known([local, free(1.1e-6)])) == ["PASS", "KNOWN"]
    assert statuses(with_known([local, free(2.1e-6)])) == ["PASS", "FAIL"]
    wrong = local.but(status=Status.FAIL, measured=1.1e-6)
    assert statuses(with_known([wrong, free(1.1e-6)])) == ["FAIL", "FAIL"]


def test_a_gradient_that_is_no_number_on_both_sides_is_judged_by_nobody():
    labels = np.array([[np.nan, 1.0], [2.0, np.inf]])
    found = judge("pair", checks.LOCAL_GRADIENTS_64, "(model)/in[1]", labels, labels, 1e-11)
    assert found.status is Status.FAIL
    assert with_known([found])[0].status is Status.INCONCLUSIVE
    forward = found.but(check=checks.LOCAL_FORWARD_64)
    assert with_known([forward])[0].status is Status.FAIL, "what is made is wanted"
    one = judge("pair", checks.LOCAL_GRADIENTS_64, "w", labels, np.nan_to_num(labels), 1e-11)
    assert with_known([one])[0].status is Status.FAIL
    whole = found.but(owner="(model)", node="(model)")
    assert not compare_by_loss(whole, {"loss/a": {"x": labels}}, {"loss/a": {"x": labels}})
    (wrong,) = compare_by_loss(whole, {"loss/a": {"x": labels}}, {"loss/a": {"x": np.ones((2, 2))}})
    assert wrong.kind == kinds.NOT_FINITE
