"""How a comparison of two arrays, or of two dictionaries of them, earns a verdict.

A comparison never passes by omission: something present on one side only, another shape or dtype,
a NaN or an infinity that the other side does not have at the same place, or nothing to compare at
all is a FAIL that says so. All arithmetic here is in float64.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping

import numpy as np

from parity.engine import gates, kinds
from parity.engine.arrays import Selection, Size, norm, ratio, sizes
from parity.engine.verdicts import Status, Verdict

SIDES = (
    "torch",
    "jittor",
)  # what verdicts call reference and candidate, where nobody says otherwise


def difference_of_kind(a: np.ndarray | None, b: np.ndarray | None) -> str | None:
    """How arrays a and b differ, their values left out: presence, shape, dtype."""
    if a is None or b is None:
        return None if a is b else f"present on one side only: {'right' if a is None else 'left'}"
    if a.shape != b.shape:
        return f"shapes differ: {a.shape} and {b.shape}"
    if a.dtype != b.dtype:
        return f"dtypes differ: {a.dtype} and {b.dtype}"
    return None


def structural_difference(a: np.ndarray | None, b: np.ndarray | None) -> str | None:
    """Why arrays a and b cannot be compared number by number, or None when they can."""
    return difference_of_kind(a, b) or (None if a is None else not_finite(a, b))


def not_finite(a: np.ndarray, b: np.ndarray) -> str | None:
    """What NaN and infinities there are in two arrays of one shape, or None."""
    if a.dtype.kind == "f" and not (np.isfinite(a).all() and np.isfinite(b).all()):
        for what, test in (("NaN", np.isnan), ("+inf", np.isposinf), ("-inf", np.isneginf)):
            if (test(a) != test(b)).any():
                return f"{what} at {int((test(a) != test(b)).sum())} places on one side only"
        return f"{int((~np.isfinite(a)).sum())} values are not finite on both sides: agreement means nothing there"
    return None


def relative_l2(a: np.ndarray, b: np.ndarray, floor: float = 0.0) -> float:
    """|a - b| / (|b| + floor) in float64; 0 when both are zero, inf when only b is (and floor is 0)."""
    size, difference = sizes(b, a, greatest=False)
    return ratio(difference.norm, size.norm + floor)


def relative_max(a: np.ndarray, b: np.ndarray, floor: float = 0.0) -> float:
    """max |a - b| / (max |b| + floor) in float64."""
    size, difference = sizes(b, a)
    return ratio(difference.greatest, size.greatest + floor)


EMPTY = "empty on both sides"
SCALARS = {(), (1,)}
SCALAR = "a scalar has shape (1,) on one side: Jittor has no other"


INTEGERS = {"int32", "int64"}
INTEGER = "int32 on one side, int64 on the other: Jittor's indices are int32, and the values agree"


def with_scalars(judge_one: Callable) -> Callable:
    """judge_one(case, check, node, a, b, ...) of arrays of shapes () and (1,), which Jittor does not tell apart, and of
    int32 and int64: KNOWN where they agree."""

    @functools.wraps(judge_one)
    def judged(case, check, node, a, b, *rest, **named):
        if a is not None and b is not None and {str(a.dtype), str(b.dtype)} == INTEGERS:
            wide = (x.astype(np.int64) for x in (a, b))
            found = judged(case, check, node, *wide, *rest, **named)
            if found.status is not Status.PASS:
                return found
            return found.but(status=Status.KNOWN, message=INTEGER)
        if a is None or b is None or {a.shape, b.shape} != SCALARS:
            return judge_one(case, check, node, a, b, *rest, **named)
        found = judge_one(case, check, node, a.reshape(1), b.reshape(1), *rest, **named)
        if found.status is not Status.PASS:
            return found
        return found.but(status=Status.KNOWN, message=SCALAR)

    return judged


@with_scalars
def judge(case: str, check: str, node: str, a, b, limit: float, floor: float = 0.0) -> Verdict:
    """PASS when relative_l2(a, b) <= limit; integers and booleans must be equal."""
    problem = difference_of_kind(a, b)
    if problem:
        return Verdict(case, check, node, Status.FAIL, message=problem)
    if a is None:
        return Verdict(
            case, check, node, Status.FAIL, message="nothing to compare: absent on both sides"
        )
    if a.size == 0:
        return Verdict(case, check, node, Status.PASS, 0.0, limit, EMPTY)
    if a.dtype.kind != "f":
        return judge_equal(case, check, node, a, b)
    size, difference = sizes(b, a, greatest=False)
    # a NaN or an infinity in either array is one in a norm: only then they are looked for
    problem = None if math.isfinite(size.norm + difference.norm) else not_finite(a, b)
    if problem:
        return Verdict(case, check, node, Status.FAIL, message=problem)
    measured = ratio(difference.norm, size.norm + floor)
    status = Status.PASS if measured <= limit else Status.FAIL
    return Verdict(case, check, node, status, measured, limit, **told_of(b, size))


def told_of(array: np.ndarray, size: Size) -> dict:
    """What a verdict says of the reference's array."""
    return {"shape": array.shape, "rms": float(f"{size.norm / math.sqrt(array.size):.3g}")}


@with_scalars
def judge_equal(case: str, check: str, node: str, a: np.ndarray, b: np.ndarray) -> Verdict:
    """PASS when bitwise equal (shape and dtype included)."""
    problem = structural_difference(a, b)
    if problem:
        return Verdict(case, check, node, Status.FAIL, message=problem)
    different = int(np.count_nonzero(a != b))
    message = f"{different} of {a.size} elements differ" if different else ""
    return Verdict(
        case, check, node, Status.FAIL if different else Status.PASS, float(different), 0.0, message
    )


def judge_precision(
    case,
    check,
    node,
    torch32,
    jittor32,
    reference,
    factor,
    limit_floor,
    max_factor=None,
    max_floor=None,
    floor=0.0,
    greatest=None,
    sides=SIDES,
):
    """Both float32 sides against the float64 reference: neither may err much more than the other.

    The guilty side is named. `max_factor` and `max_floor`, when given, judge the greatest error too,
    and the worse side's goes into the dictionary `greatest`, by node.
    """
    if jittor32 is not None and reference is not None and jittor32.shape in SCALARS:
        jittor32 = jittor32.reshape(reference.shape) if reference.size == 1 else jittor32
    found = [
        (side, difference_from_reference(values, reference))
        for side, values in zip(sides, (torch32, jittor32))
    ]
    for side, problem in found:
        if problem:
            return unlike(case, check, node, side, problem)
    if torch32 is None:  # all three of one shape and dtype by now, or all absent
        return Verdict(
            case, check, node, Status.FAIL, message="nothing to compare: absent on both sides"
        )
    if torch32.size == 0:
        return Verdict(case, check, node, Status.PASS, 0.0, limit_floor, EMPTY)
    if torch32.dtype.kind != "f":
        return judge_equal(case, check, node, torch32, jittor32)
    size, *found = sizes(reference, torch32, jittor32, greatest=max_factor is not None)
    if not math.isfinite(size.norm + found[0].norm + found[1].norm):
        for side, values in zip(sides, (torch32, jittor32)):
            problem = not_finite(values, reference.astype(values.dtype))
            if problem:
                return unlike(case, check, node, side, problem)
    tests = [("norm", factor, limit_floor, "relative L2")]
    if max_factor is not None:
        tests.append(("greatest", max_factor, max_floor, "greatest"))
    worst, errors = less_precise(size, found, tests, floor, sides)
    if greatest is not None and max_factor is not None:
        greatest[node] = max(ratio(x.greatest, size.greatest + floor) for x in found)
    share, measured, limit, guilty, name = worst
    status = Status.PASS if share <= 1 else Status.FAIL
    message = (
        "" if share <= 1 else f"{guilty} is the less precise side: {name} error against float64"
    )
    return Verdict(
        case,
        check,
        node,
        status,
        measured,
        limit,
        message,
        guilty="" if share <= 1 else guilty,
        sides=errors,
        **told_of(reference, size),
    )


def less_precise(
    size: Size, found: list[Size], tests: list[tuple], floor: float, labels: tuple[str, str]
) -> tuple:
    """((share of its limit, error, limit, side, name) of the test that comes nearest to failing, errors of the first
    test by side); a test is (field of Size, factor over the other side's error, least limit, name)."""
    worst, sides = None, None
    for measure, times, at_least, name in tests:
        whole = getattr(size, measure) + floor
        e_torch, e_jittor = (ratio(getattr(x, measure), whole) for x in found)
        sides = sides or (e_torch, e_jittor)
        for guilty, mine, other in (
            (labels[1], e_jittor, e_torch),
            (labels[0], e_torch, e_jittor),
        ):
            limit = max(times * other, at_least)
            if worst is None or mine / limit > worst[0]:
                worst = (mine / limit, mine, limit, guilty, name)
    return worst, sides


def unlike(case: str, check: str, node: str, side: str, problem: str) -> Verdict:
    message = f"{side} against the float64 reference: {problem}"
    return Verdict(case, check, node, Status.FAIL, message=message)


def difference_from_reference(
    values: np.ndarray | None, reference: np.ndarray | None
) -> str | None:
    """As `difference_of_kind`; the reference may be of another width of the same kind."""
    if values is None or reference is None or values.dtype.kind != reference.dtype.kind:
        return difference_of_kind(values, reference)
    if values.shape == reference.shape:
        return None
    return difference_of_kind(values, np.broadcast_to(values.dtype.type(0), reference.shape))


def judge_nodes(
    case: str,
    check: str,
    reference: Mapping,
    candidate: Mapping,
    judge_one: Callable,
    sides: tuple[str, str] = SIDES,
) -> list[Verdict]:
    """Judges every node of two dictionaries in the order of the first; judge_one(node, a, b).

    Nodes of one side only are FAILs, an empty comparison too.
    """
    if not reference and not candidate:
        message = "nothing to compare: no nodes on either side"
        return [Verdict(case, check, "(all)", Status.FAIL, message=message)]
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is looked at and told
        verdicts = [
            judge_one(node, a, candidate[node])
            if node in candidate
            else only_on_one_side(case, check, node, True, sides)
            for node, a in reference.items()
        ]
    return verdicts + [
        only_on_one_side(case, check, node, False, sides)
        for node in candidate
        if node not in reference
    ]


def only_on_one_side(
    case: str, check: str, node: str, in_reference: bool, sides: tuple[str, str] = SIDES
) -> Verdict:
    """A FAIL: one side has the node, the other has not."""
    has, lacks = sides if in_reference else sides[::-1]
    message = f"{has} has this node, {lacks} has not"
    return Verdict(case, check, node, Status.FAIL, message=message, kind=kinds.MISSING)


def absent_if_zero(gradients: Mapping) -> Selection:
    """No gradient is None in PyTorch and zeros in Jittor: both become None, so that names can be compared."""
    return Selection(gradients, convert=lambda g: None if g is None or not g.any() else g)


def nothing_on_either_side(case: str, check: str, node: str, limit: float) -> Verdict:
    return Verdict(case, check, node, Status.PASS, 0.0, limit, "no gradient on either side")


def judge_gradient(
    case: str, check: str, node: str, a, b, limit: float, floor: float = 0.0
) -> Verdict:
    """As `judge`, but absent on both sides is agreement."""
    if a is None and b is None:
        return nothing_on_either_side(case, check, node, limit)
    return judge(case, check, node, a, b, limit, floor)


def total_norm(gradients: Mapping) -> float:
    return math.sqrt(sum(norm(g) ** 2 for g in gradients.values() if g is not None))


def semantic_gradient_floor(gradients: Mapping) -> float:
    """Added to |b|, it makes one float64 epsilon of the total norm count as no difference."""
    return gates.EPS64 / gates.SEMANTIC_GRADIENT * total_norm(gradients)


def precision_gradient_floor(gradients: Mapping) -> float:
    return gates.U32 / gates.GRADIENT_FLOOR * total_norm(gradients)
