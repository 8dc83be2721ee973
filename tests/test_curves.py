"""The tests over seeds: right on made-up runs whose answer is known, honest about what they cannot tell."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from neutral.data.batching import Batch
from neutral.data.chain import DataChain
from neutral.data.coco import Target
from parity.engine.judge import gates
from parity.engine.judge.statistics import (
    judge_curves,
    judge_equivalence,
    permutation_band,
    tost,
    tost_power,
)
from parity.engine.judge.verdicts import Status
from parity.suite import gates as own_gates
from parity.suite.runs import compare_streams

MARGIN = 0.02


def runs(seed: int, count: int, mean: float, spread: float) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, spread, count)


def judged(a, b, paired=False) -> Status:
    return judge_equivalence("case", "AP", a, b, MARGIN, paired).status


def test_tost_is_two_one_sided_t_tests():
    a, b = runs(1, 6, 0.5, 0.01), runs(2, 7, 0.505, 0.02)
    found = tost(a, b, MARGIN, 0.05, paired=False)
    lower = stats.ttest_ind(b + MARGIN, a, equal_var=False, alternative="greater").pvalue
    upper = stats.ttest_ind(b - MARGIN, a, equal_var=False, alternative="less").pvalue
    assert found.p == pytest.approx(max(lower, upper))
    paired = tost(a, b[:6], MARGIN, 0.05, paired=True)
    lower = stats.ttest_rel(b[:6] + MARGIN, a, alternative="greater").pvalue
    upper = stats.ttest_rel(b[:6] - MARGIN, a, alternative="less").pvalue
    assert paired.p == pytest.approx(max(lower, upper))


def test_equal_different_and_unknown():
    assert judged(runs(1, 8, 0.5, 0.005), runs(2, 8, 0.502, 0.005)) is Status.PASS
    assert judged(runs(1, 8, 0.5, 0.005), runs(2, 8, 0.56, 0.005)) is Status.FAIL
    # not significantly different, and not shown to be equivalent either
    wide = judge_equivalence("c", "AP", runs(1, 3, 0.5, 0.05), runs(2, 3, 0.5, 0.05), MARGIN, False)
    assert wide.status is Status.INCONCLUSIVE
    assert "power 0.00" in wide.message
    assert "seeds per side would do" in wide.message
    assert judged(np.array([0.5]), np.array([0.5])) is Status.INCONCLUSIVE
    assert judged(np.array([0.5, np.nan]), np.array([0.5, 0.5])) is Status.FAIL


def test_errors_happen_as_often_as_they_may():
    """At a true difference of exactly the margin, TOST passes in 5 % of experiments and no more."""
    generator = np.random.default_rng(0)
    passed = [
        tost(generator.normal(0, 0.01, 8), generator.normal(MARGIN, 0.01, 8), MARGIN, 0.05, False).p
        <= 0.05
        for _ in range(2000)
    ]
    assert 0.03 < np.mean(passed) < 0.07


def test_power_is_what_simulation_says():
    generator, count, spread = np.random.default_rng(1), 8, 0.014
    passed = [
        tost(*generator.normal(0, spread, (2, count)), MARGIN, 0.05, False).p <= 0.05
        for _ in range(2000)
    ]
    expected = tost_power(spread * np.sqrt(2 / count), 2 * count - 2, MARGIN, 0.05)
    assert np.mean(passed) == pytest.approx(expected, abs=0.06)


def curves(seed: int, count: int, shift=0.0) -> np.ndarray:
    """Curves that fall with noise that is alike from epoch to epoch; a shift in the middle."""
    generator = np.random.default_rng(seed)
    epochs = np.arange(20)
    noise = generator.normal(0, 0.02, (count, 20)).cumsum(1) / np.sqrt(epochs + 1)
    return 3 * np.exp(-epochs / 8) + noise + shift * ((epochs > 8) & (epochs < 12))


def test_a_band_holds_over_all_epochs_at_once():
    """Sound pairs leave a 5 % band at any epoch in about 5 % of experiments, not at each."""
    left = [
        permutation_band(curves(2 * k, 5), curves(2 * k + 1, 5), 0.05, False).p <= 0.05
        for k in range(200)
    ]
    assert np.mean(left) < 0.09


def test_a_difference_in_the_middle_is_named():
    verdict = judge_curves("c", "loss", curves(1, 6), curves(2, 6, shift=0.3), False)
    assert verdict.status is Status.FAIL
    assert "at epoch 9" in verdict.message or "at epoch 10" in verdict.message
    assert judge_curves("c", "loss", curves(1, 6), curves(2, 6), False).status is Status.PASS
    few = judge_curves("c", "loss", curves(1, 3), curves(2, 3, shift=0.3), True)
    assert few.status is Status.INCONCLUSIVE, "three pairs have only eight relabellings"
    assert judge_curves("c", "k", curves(1, 6), curves(2, 6)[:, :9], False).status is Status.FAIL


def batch(ids, value=0.0) -> Batch:
    targets = tuple(
        Target(np.zeros((1, 4), "f4"), np.ones(1, int), np.ones(1, "f4"), i, (4, 4), (4, 4))
        for i in ids
    )
    images = np.full((len(ids), 3, 4, 4), value, dtype=np.float32)
    return Batch(images, np.zeros((len(ids), 4, 4), bool), targets)


def chain(batches) -> list[dict]:
    links = DataChain()
    return [links.add(b, 0, k) for k, b in enumerate(batches)]


def test_the_first_batch_that_differs_is_named():
    same = [batch([1, 2]), batch([3, 4]), batch([5, 6])]
    assert compare_streams("c", chain(same), chain(same)).status is Status.PASS
    other = [same[0], batch([3, 4], 0.5), same[2]]
    verdict = compare_streams("c", chain(same), chain(other))
    assert verdict.status is Status.FAIL
    assert verdict.node == "epoch0/batch1"
    assert "differ in images" in verdict.message
    # the same batches in another order part at the first, though the last is the same again
    swapped = compare_streams("c", chain(same), chain([same[1], same[0], same[2]]))
    assert swapped.node == "epoch0/batch0"
    assert "[1, 2]" in swapped.message
    assert compare_streams("c", chain(same), chain(same[:2])).status is Status.FAIL
    assert compare_streams("c", [], []).status is Status.FAIL


def test_margins_are_fixed_beforehand():
    assert own_gates.AP_MARGIN == 0.02
    assert (gates.ALPHA, gates.POWER) == (0.05, 0.8)
