"""Two float32 sides against the float64 reference: which of them errs more, and whether by too much.

Before: judging.py, the same for float64. precision.py and ask/functions.py ask here.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from parity.engine.judge.judging import (
    ABSENT,
    EMPTY,
    SCALARS,
    SIDES,
    difference_of_kind,
    judge_equal,
    not_finite,
    told_of,
)
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.values.arrays import Size, ratio, sizes


def judge_precision(
    case,
    check,
    node,
    reference32,
    candidate32,
    reference,
    factor,
    least,
    max_factor=None,
    least_max=None,
    scale=0.0,
    greatest=None,
    sides=SIDES,
):
    """Both float32 sides against the float64 reference: neither may err much more than the other.

    The guilty side is named. `max_factor` and `least_max`, when given, judge the greatest error too,
    and the worse side's goes into the dictionary `greatest`, by node.
    """
    if candidate32 is not None and reference is not None and candidate32.shape in SCALARS:
        candidate32 = candidate32.reshape(reference.shape) if reference.size == 1 else candidate32
    here = (case, check, node)
    both = list(zip(sides, (reference32, candidate32)))
    problem = first_problem(both, lambda x: difference_from_reference(x, reference))
    if problem:
        return Verdict(*here, Status.FAIL, message=problem)
    if reference32 is None:  # all three of one shape and dtype by now, or all absent
        return Verdict(*here, Status.FAIL, message=ABSENT)
    if reference32.size == 0:
        return Verdict(*here, Status.PASS, 0.0, least, EMPTY)
    if reference32.dtype.kind != "f":
        return judge_equal(*here, reference32, candidate32)
    size, *found = sizes(reference, reference32, candidate32, greatest=max_factor is not None)
    if not math.isfinite(size.norm + found[0].norm + found[1].norm):
        problem = first_problem(both, lambda x: not_finite(x, reference.astype(x.dtype)))
        if problem:
            return Verdict(*here, Status.FAIL, message=problem)
    tests = [("norm", factor, least, "relative L2")]
    if max_factor is not None:
        tests.append(("greatest", max_factor, least_max, "greatest"))
    worst, errors = less_precise(size, found, tests, scale, sides)
    if greatest is not None and max_factor is not None:
        greatest[node] = max(ratio(x.greatest, size.greatest + scale) for x in found)
    share, measured, limit, guilty, name = worst
    told = told_of(reference, size) | {"sides": errors}
    if share <= 1:
        return Verdict(*here, Status.PASS, measured, limit, **told)
    message = f"{guilty} is the less precise side: {name} error against float64"
    return Verdict(*here, Status.FAIL, measured, limit, message, guilty=guilty, **told)


def less_precise(
    size: Size, found: list[Size], tests: list[tuple], scale: float, labels: tuple[str, str]
) -> tuple:
    """((share of its limit, error, limit, side, name) of the test that comes nearest to failing, errors of the first
    test by side); a test is (field of Size, factor over the other side's error, least limit, name)."""
    worst, sides = None, None
    for measure, times, at_least, name in tests:
        whole = getattr(size, measure) + scale
        e_reference, e_candidate = (ratio(getattr(x, measure), whole) for x in found)
        sides = sides or (e_reference, e_candidate)
        for guilty, mine, other in (
            (labels[1], e_candidate, e_reference),
            (labels[0], e_reference, e_candidate),
        ):
            limit = max(times * other, at_least)
            if worst is None or mine / limit > worst[0]:
                worst = (mine / limit, mine, limit, guilty, name)
    return worst, sides


def first_problem(both: list[tuple[str, np.ndarray | None]], problem_of: Callable) -> str | None:
    """What problem_of(array) says of the first side that has one."""
    for side, values in both:
        problem = problem_of(values)
        if problem:
            return f"{side} against the float64 reference: {problem}"
    return None


def difference_from_reference(
    values: np.ndarray | None, reference: np.ndarray | None
) -> str | None:
    """As `difference_of_kind`; the reference may be of another width of the same kind."""
    if values is None or reference is None or values.dtype.kind != reference.dtype.kind:
        return difference_of_kind(values, reference)
    if values.shape == reference.shape:
        return None
    return difference_of_kind(values, np.broadcast_to(values.dtype.type(0), reference.shape))
