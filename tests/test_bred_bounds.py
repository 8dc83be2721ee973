"""Edges of what judges, which bred mutants of another seed showed to be open."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from parity.engine.ask import again
from parity.engine.judge import checks, kinds
from parity.engine.judge.ledger import compare_ledgers
from parity.engine.judge.precision import inherited_error
from parity.engine.judge.statistics import tost
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.sides.layers import fitted
from parity.engine.sides.probes import are_boxes
from parity.engine.tell.causes import causes_of
from parity.errors import WorkerError
from parity.suite import gates
from parity.suite.average_precision import compare_ap


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("counts", [(1, 1), (1, 3), (3, 1)])
def test_one_run_of_a_side_is_none_to_judge_by(counts, paired):
    runs = (np.arange(count, dtype=float) for count in counts)
    with pytest.raises(ValueError, match="two runs or more"):
        tost(*runs, 0.5, 0.05, paired)


def test_an_ap_that_is_as_far_away_as_may_be_is_no_fail():
    names, margin = ("AP", "AP50", "AP75"), gates.AP_MARGIN
    # beside 0, from which nothing is rounded away, but which is too low to tell anything
    for gap, status in ((margin, Status.INCONCLUSIVE), (margin * 1.01, Status.FAIL)):
        found = compare_ap("case", dict.fromkeys(names, gap), dict.fromkeys(names, 0.0))
        assert {v.status for v in found} == {status}


def test_another_number_of_choices_is_one_that_is_missing():
    entry = {"choices": 2, "different": 0, "ties": 0, "regret": None}
    ledgers = ({"ledger": {"relu": entry}}, {"ledger": {}})
    for two in (ledgers, ledgers[::-1]):
        *_, last = compare_ledgers("case", {}, *two)
        assert (last.check, last.status, last.kind) == (
            checks.CHOICES_32,
            Status.FAIL,
            kinds.MISSING,
        )


@pytest.mark.parametrize(
    ("boxes", "are"),
    [
        ([[0, 0, 2, 2], [1, 1, 1, 3]], True),  # one without an area
        ([[0, 0, 2, 2], [1, 1, 0, 3]], False),
        ([[1, 1, 1, 1], [2, 2, 2, 2]], False),
        ([[0, 0, 2, 2]], False),
    ],
)
def test_several_corners_are_boxes_whatever_has_no_area(boxes, are):
    assert are_boxes(np.array(boxes, dtype=float)) == are
    assert not are_boxes(np.array(boxes))


@pytest.mark.parametrize(
    ("theirs", "reads", "idle"),
    [
        (set(), None, {"a"}),
        ({"lacking"}, None, {"a"}),
        ({"b"}, True, {"a"}),
        ({"b"}, False, {"a", "b"}),
        ({"b"}, WorkerError("gone", ""), {"a"}),
    ],
)
def test_what_the_candidate_alone_trains_is_idle_where_nothing_reads_it(
    monkeypatch, theirs, reads, idle
):
    def asked(examination, names):
        assert reads is not None and names == theirs
        if isinstance(reads, Exception):
            raise reads
        return reads

    monkeypatch.setattr(again, "reads", asked)
    idle_names = {"ours": {"a"}, "theirs": theirs}
    examination = SimpleNamespace(
        idle=idle_names, sides=("ours", "theirs"), weights=dict.fromkeys("ab")
    )
    assert again.idle_of(examination) == idle


def test_what_decides_errs_by_the_greatest_of_its_outputs():
    errors = {"head": 1.0, "head[1]": 3.0, "head#2": 2.0, "header": 9.0, "rpn.head": 9.0}
    assert inherited_error(errors, ["head"]) == 3.0
    assert inherited_error(errors, ["absent"]) == 0.0 == inherited_error(errors, [])


@pytest.mark.parametrize(
    ("check", "message", "guilty", "confidence"),
    [
        (checks.LOCAL_FORWARD_64, "", "", "likely"),
        (checks.LOCAL_FORWARD_64, "", "ours", "sure"),
        (checks.LOCAL_FORWARD_64, "the layers differ in eps", "", "sure"),
        (checks.FORWARD_64, "", "", "a guess"),
        (checks.FORWARD_64, "the layers differ in eps", "", "a guess"),
    ],
)
def test_a_cause_is_sure_where_a_side_or_an_attribute_is_told(check, message, guilty, confidence):
    verdict = Verdict(
        "pair", check, "fc", Status.FAIL, 0.5, 1e-9, message, owner="fc", guilty=guilty
    )
    (cause,) = causes_of([verdict])
    assert cause.confidence == confidence


def test_a_gradient_fits_what_was_repeated_along_axes_before_or_is_summed_over_them():
    rng = np.random.default_rng(0)
    whole = rng.normal(size=(2, 3, 4))
    assert fitted(None, (4,)) is None and fitted(whole, (2, 3, 4)) is whole
    for shape in ((3, 4), (4,)):
        parts = fitted(whole, shape)  # the sum of what each copy gets
        np.testing.assert_allclose(parts, whole.reshape(-1, *shape).sum(0))
        shared = fitted(parts, (2, 3, 4))
        assert shared.shape == (2, 3, 4)
        np.testing.assert_allclose(shared.reshape(-1, *shape).sum(0), parts)
    assert fitted(whole, (3,)) is None and fitted(whole, (2, 3)) is None
    assert fitted(rng.normal(size=(1,)), ()).shape == ()
