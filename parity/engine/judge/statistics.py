"""Do two sets of training runs, one per side and over seeds, train alike?

"Not significantly different" proves nothing: few and noisy runs never are. Equivalence is shown the other
way round, by two one-sided tests (TOST; Schuirmann 1987): both "the reference is better by the margin or
more" and "the candidate is" must be rejected. The margin is fixed before the runs are looked at (gates.py). When
the runs could hardly have shown equivalence even of equal sides, the verdict is INCONCLUSIVE and says how many
seeds would do. Whole curves are compared at all epochs at once, by the permutation distribution of their
greatest difference (Westfall and Young 1993).

Before: gates.py. It is the library's judge_seeds.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import stats

from door.randomness import stream
from parity.case import ROLES
from parity.engine.judge import gates
from parity.engine.judge.verdicts import Status, Verdict
from parity.errors import InputError

RELABELLINGS = 10_000  # at most, of a permutation test


@dataclass(frozen=True)
class Equivalence:
    """difference: mean of the candidate's values minus the reference's; interval: its confidence interval at
    1 - 2 alpha; power: probability that TOST shows equivalence when the true difference is 0; seeds: how many per side
    give the wanted power."""

    difference: float
    interval: tuple[float, float]
    p: float
    power: float
    seeds: int


def tost(
    reference: np.ndarray, candidate: np.ndarray, margin: float, alpha: float, paired: bool
) -> Equivalence:
    """Two one-sided t tests for |mean difference| < margin.

    paired: run k of both sides had the same seed, weights and data; otherwise Welch's t. At least two runs
    per side; ValueError otherwise.
    """
    reference, candidate = np.asarray(reference, float), np.asarray(candidate, float)
    if min(len(reference), len(candidate)) < 2 or (paired and len(reference) != len(candidate)):
        raise ValueError("TOST needs two runs or more per side, pairs when paired")
    test = stats.ttest_rel if paired else partial(stats.ttest_ind, equal_var=False)
    difference = float(candidate.mean() - reference.mean())
    with warnings.catch_warnings():  # of runs that are all alike
        warnings.simplefilter("ignore", RuntimeWarning)
        found = test(candidate, reference)
    low, high = map(float, found.confidence_interval(1 - 2 * alpha))
    if not low < high:
        inside = abs(difference) < margin
        return Equivalence(difference, (difference,) * 2, 0.0 if inside else 1.0, 1.0, 2)
    error = (high - low) / 2 / stats.t.ppf(1 - alpha, found.df)
    p = max(
        stats.t.sf((difference + margin) / error, found.df),
        stats.t.cdf((difference - margin) / error, found.df),
    )
    count = min(len(reference), len(candidate))
    return Equivalence(
        difference,
        (low, high),
        float(p),
        tost_power(error, found.df, margin, alpha),
        _seeds_needed(error * math.sqrt(count), margin, alpha, paired),
    )


def tost_power(error: float, freedom: float, margin: float, alpha: float) -> float:
    """Probability of showing equivalence of equal means, at a standard error of the difference."""
    room = margin / error - stats.t.ppf(1 - alpha, freedom)
    return float(max(0.0, 2 * stats.t.cdf(room, freedom) - 1))


def _seeds_needed(spread: float, margin: float, alpha: float, paired: bool) -> int:
    for count in range(2, 1000):
        freedom = (count - 1) * (1 if paired else 2)
        if tost_power(spread / math.sqrt(count), freedom, margin, alpha) >= gates.POWER:
            return count
    return 1000


def judge_equivalence(
    case: str,
    metric: str,
    reference: np.ndarray,
    candidate: np.ndarray,
    margin: float,
    paired: bool,
    sides: tuple[str, str] = ROLES,
) -> Verdict:
    """PASS when equivalence is shown, FAIL when a difference of the margin or more is, else INCONCLUSIVE."""
    check = "equivalence over seeds"
    values = np.concatenate([np.ravel(reference), np.ravel(candidate)])
    if not np.isfinite(values).all():
        return Verdict(case, check, metric, Status.FAIL, message="values that are not finite")
    if min(len(reference), len(candidate)) < 2:
        message = "fewer than two seeds per side: nothing is known of the spread"
        return Verdict(case, check, metric, Status.INCONCLUSIVE, message=message)
    found = tost(reference, candidate, margin, gates.ALPHA, paired)
    low, high = found.interval
    message = (
        f"{sides[1]} minus {sides[0]} {found.difference:+.4g}, {100 - 200 * gates.ALPHA:.0f} % "
        f"interval [{low:+.4g}, {high:+.4g}], power {found.power:.2f}"
    )
    measured = max(abs(low), abs(high))
    if found.p <= gates.ALPHA:
        return Verdict(case, check, metric, Status.PASS, measured, margin, message)
    if low > margin or high < -margin:
        return Verdict(case, check, metric, Status.FAIL, measured, margin, message)
    if found.power < gates.POWER:
        message += f": too little, {found.seeds} seeds per side would do"
    return Verdict(case, check, metric, Status.INCONCLUSIVE, measured, margin, message)


@dataclass(frozen=True)
class Band:
    """difference: of the mean curves, per epoch; width: how far it may be from 0 anywhere, once in 1 / alpha
    times, when the sides are alike; p: of the whole curve."""

    difference: np.ndarray
    width: np.ndarray
    p: float
    permutations: int


def permutation_band(
    reference: np.ndarray, candidate: np.ndarray, alpha: float, paired: bool
) -> Band:
    """Curves [seeds, epochs] of both sides: a simultaneous band for the difference of their means.

    Under the null hypothesis a side's name is arbitrary: per seed when paired, over all runs
    otherwise. All relabellings are tried, or RELABELLINGS of them. Epochs count by their own spread.
    """
    observed = candidate.mean(0) - reference.mean(0)
    null = null_distribution(reference, candidate, observed, paired)
    spread = np.sqrt((null**2).mean(0))
    spread = np.where(spread > 0, spread, 1.0)
    greatest = np.abs(null / spread).max(axis=1)
    reached = np.abs(observed / spread).max()
    p = float((greatest >= reached * (1 - 1e-12)).mean())
    width = np.quantile(greatest, 1 - alpha, method="higher") * spread
    return Band(observed, width, p, len(null))


def null_distribution(
    reference: np.ndarray, candidate: np.ndarray, observed: np.ndarray, paired: bool
) -> np.ndarray:
    """Differences of mean curves [relabellings, epochs], `observed` [epochs] among them."""
    if min(len(reference), len(candidate)) < 2:  # a single run tells no more than its sign
        return np.stack([observed, -observed])
    null = stats.permutation_test(
        (reference, candidate),
        lambda a, b, axis: b.mean(axis) - a.mean(axis),
        permutation_type="samples" if paired else "independent",
        vectorized=True,
        n_resamples=RELABELLINGS,
        axis=0,
        rng=stream(0, "curves", *reference.shape, *candidate.shape),
    ).null_distribution
    is_drawn = len(null) == RELABELLINGS  # the actual labels are one more of them
    return np.concatenate([observed[None], null]) if is_drawn else null


def judge_curves(
    case: str, metric: str, reference: np.ndarray, candidate: np.ndarray, paired: bool
) -> Verdict:
    """FAIL when the curves lie outside of the band; never PASS by itself: that is TOST's.

    With few seeds there are too few relabellings for any difference to show.
    """
    check = "curves over seeds"
    if reference.ndim != 2 or reference.shape[1:] != candidate.shape[1:] or reference.size == 0:
        message = f"curves of different length: {reference.shape} and {candidate.shape}"
        return Verdict(case, check, metric, Status.FAIL, message=message)
    if not (np.isfinite(reference).all() and np.isfinite(candidate).all()):
        return Verdict(case, check, metric, Status.FAIL, message="values that are not finite")
    band = permutation_band(reference, candidate, gates.ALPHA, paired)
    # paired relabellings come in mirrored pairs
    smallest = (2 if paired or len(reference) == len(candidate) else 1) / band.permutations
    message = f"p = {band.p:.3g} of {band.permutations} relabellings"
    if smallest > gates.ALPHA:
        message += f"; none can be below {smallest:.2g}: more seeds"
        return Verdict(case, check, metric, Status.INCONCLUSIVE, band.p, gates.ALPHA, message)
    status = Status.FAIL if band.p <= gates.ALPHA else Status.PASS
    if status is Status.FAIL:
        epoch = int(np.argmax(np.abs(band.difference) > band.width))
        message += f"; the band is left at epoch {epoch}"
    # what counts is 1 - p, so that "more than the limit" is what fails
    return Verdict(case, check, metric, status, 1 - band.p, 1 - gates.ALPHA, message)


def judge_seeds(
    case: str,
    metric: str,
    reference: np.ndarray,
    candidate: np.ndarray,
    margin: float,
    paired: bool = True,
    sides: tuple[str, str] = ROLES,
) -> list[Verdict]:
    """Runs of both sides over seeds: values [seeds] at the end, or whole curves [seeds, epochs].

    margin: the difference that would matter, fixed beforehand, in the metric's unit. paired: run k of both sides had
    the same seed. sides: what messages call them. Equivalence at the end, and of curves whether they part anywhere.
    InputError for runs that are no such arrays, or that no pairs can be made of.
    """
    reference, candidate = (np.asarray(x, dtype=np.float64) for x in (reference, candidate))
    shapes = f"{sides[0]}'s runs {reference.shape}, {sides[1]}'s {candidate.shape}"
    if {reference.ndim, candidate.ndim} not in ({1}, {2}) or not reference.size * candidate.size:
        raise InputError(
            f"{metric}: {shapes}: give values [seeds] of both, or curves [seeds, epochs]"
        )
    if paired and len(reference) != len(candidate):
        raise InputError(f"{metric}: {shapes}: pairs need as many of each; or say paired=False")
    ends = [x if x.ndim == 1 else x[:, -1] for x in (reference, candidate)]
    verdicts = [judge_equivalence(case, f"{metric} at the end", *ends, margin, paired, sides)]
    if reference.ndim == 2:
        verdicts.append(judge_curves(case, metric, reference, candidate, paired))
    return verdicts
