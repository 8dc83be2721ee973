"""The tube: float32 steps against copies of the reference that start one unit in the last place away.

Before: gates.py, how wide. ask/training.py makes the runs (check_tube).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from parity.engine.judge import gates
from parity.engine.judge.gradients import total_norm
from parity.engine.judge.verdicts import Status, Verdict


def compare_tube(
    case: str,
    weights: Mapping,
    names: list[str],
    base: tuple,
    copies: list[tuple],
    other: tuple,
    side: str = "the candidate",
) -> list[Verdict]:
    """The candidate's distance from the reference against that of the reference's copies, for every loss and for the
    way gone.

    weights: where all started, by name; names: of what is trained. base, copies, other: the reference's run, its
    copies' and the candidate's, each (losses by name of every step, weights by name at the end). side: what messages
    call the candidate.

    A tube is TUBE times as wide, at each step, as the furthest copy has been until then.
    """
    if len(copies) < gates.TUBE_COPIES:
        message = f"only {len(copies)} copies make no tube"
        return [Verdict(case, "tube", "copies", Status.INCONCLUSIVE, message=message)]
    verdicts = [judge_loss(case, name, base, copies, other, side) for name in base[0][0]]

    def gone(run: tuple) -> float:
        return total_norm({k: run[1][k].astype(np.float64) - base[1][k] for k in names})

    length = total_norm({k: base[1][k].astype(np.float64) - weights[k] for k in names})
    limit, measured = gates.TUBE * max(map(gone, copies)), gone(other)
    status = Status.PASS if measured <= limit else Status.FAIL
    message = f"of {length:.3g} gone in all"
    return [*verdicts, Verdict(case, "tube", "weights", status, measured, limit, message)]


def width_of(own: np.ndarray, copies: Sequence[np.ndarray]) -> np.ndarray:
    """At each step of a curve [steps], how far the furthest of its copies has been until then."""
    return np.maximum.accumulate(np.abs(np.array(copies) - own).max(axis=0))


def judge_loss(
    case: str, component: str, base: tuple, copies: list[tuple], other: tuple, side: str
) -> Verdict:
    """The step at which one loss comes nearest to the tube's edge, or leaves it furthest."""
    if any(component not in losses for losses in other[0]):
        message = f"missing in {side}'s losses"
        return Verdict(case, "tube", component, Status.FAIL, message=message)

    own, theirs, *rows = (np.array([x[component] for x in r[0]]) for r in (base, other, *copies))
    scale = np.maximum.accumulate(np.abs(own))
    limit = np.maximum(gates.TUBE * width_of(own, rows), gates.TUBE_LEAST * scale)
    reached = np.abs(theirs - own)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(reached == 0, 0.0, reached / limit)
    ratio = np.where(np.isfinite(reached), ratio, np.inf)
    worst = int(np.argmax(ratio))
    inside = bool(ratio[worst] <= 1)
    status = Status.PASS if inside else Status.FAIL
    message = "" if inside else f"leaves the tube at step {int(np.argmax(ratio > 1))}"
    measured = float(reached[worst])
    return Verdict(case, "tube", component, status, measured, float(limit[worst]), message)
