"""How a comparison of two arrays, or of two dictionaries of them, earns a verdict.

A comparison never passes by omission: something present on one side only, another shape or dtype,
a NaN or an infinity that the other side does not have at the same place, or nothing to compare at
all is a FAIL that says so. All arithmetic here is in float64.

Before: verdicts.py, gates.py. Every gate asks here; float32 pairs against float64 are less_precise.py's.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping

import numpy as np

from parity.backends import base
from parity.engine.judge import gates, kinds
from parity.engine.judge.verdicts import EMPTY, Status, Verdict
from parity.engine.values.arrays import Size, ratio, sizes

# what verdicts call reference and candidate, where nobody says otherwise
SIDES = base.NAMES
SHAPES, DTYPES = "shapes differ", "dtypes differ"
REPEATED = "the same values, repeated along axes before"
ONE_SIDE = "present on one side only"
WIDTHS = {"float32", "float64"}


def difference_of_kind(values: np.ndarray | None, reference: np.ndarray | None) -> str | None:
    """How an array differs from the reference's, its values left out: presence, shape, dtype."""
    if values is None or reference is None:
        whose = "the reference's" if values is None else "not the reference's"
        return None if values is reference else f"{ONE_SIDE}: {whose}"
    if values.shape != reference.shape:
        more = f"; {REPEATED}" if is_repeated(values, reference) else ""
        return f"{SHAPES}: {values.shape}, the reference's {reference.shape}{more}"
    if values.dtype != reference.dtype:
        return dtypes_told(values, reference)
    return None


def is_repeated(values: np.ndarray, reference: np.ndarray) -> bool:
    """Whether one of two arrays of several numbers is the other along further axes before its own, as where one side
    copies a table for every image."""
    less, more = sorted((values, reference), key=lambda x: x.ndim)
    if less.size < 2 or less.ndim == more.ndim or less.shape != more.shape[more.ndim - less.ndim :]:
        return False
    return less.dtype.kind == "f" == more.dtype.kind and bool(
        relative_l2(more, np.broadcast_to(less, more.shape)) <= gates.ROUNDED
    )


def dtypes_told(values: np.ndarray, reference: np.ndarray) -> str:
    return f"{DTYPES}: {values.dtype}, the reference's {reference.dtype}"


def structural_difference(values: np.ndarray | None, reference: np.ndarray | None) -> str | None:
    """Why two arrays cannot be compared number by number, or None when they can."""
    found = difference_of_kind(values, reference)
    return found or (None if values is None else not_finite(values, reference))


UNFIT = "values are not finite on both sides: agreement means nothing there"
NOTHING = "nothing to compare: no nodes on either side"


def not_finite(a: np.ndarray, b: np.ndarray) -> str | None:
    """What NaN and infinities there are in two arrays of one shape, or None."""
    if a.dtype.kind == "f" and not (np.isfinite(a).all() and np.isfinite(b).all()):
        for what, test in (("NaN", np.isnan), ("+inf", np.isposinf), ("-inf", np.isneginf)):
            if (test(a) != test(b)).any():
                return f"{what} at {int((test(a) != test(b)).sum())} places on one side only"
        return f"{int((~np.isfinite(a)).sum())} {UNFIT}"
    return None


def relative_l2(a: np.ndarray, b: np.ndarray, scale: float = 0.0) -> float:
    """|a - b| / (|b| + scale) in float64; 0 when both are zero, inf when only b is (and scale is 0)."""
    size, difference = sizes(b, a, greatest=False)
    return ratio(difference.norm, size.norm + scale)


def relative_max(a: np.ndarray, b: np.ndarray, scale: float = 0.0) -> float:
    """max |a - b| / (max |b| + scale) in float64."""
    size, difference = sizes(b, a)
    return ratio(difference.greatest, size.greatest + scale)


ABSENT = "nothing to compare: absent on both sides"
SCALARS = {(), (1,)}
SCALAR = "a scalar has shape (1,) on one side: Jittor has no other"


INTEGERS = {"int32", "int64"}
INTEGER = "int32 on one side, int64 on the other: Jittor's indices are int32, and the values agree"


def with_scalars(judge_one: Callable) -> Callable:
    """judge_one(case, check, node, a, b, ...) of arrays of shapes () and (1,), which Jittor does not tell apart, and of
    int32 and int64: KNOWN where they agree."""

    @functools.wraps(judge_one)
    def judged(case, check, node, a, b, *rest, **named):
        a, b = (None if x is None else np.asarray(x) for x in (a, b))  # numbers, too
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
def judge(
    case: str, check: str, node: str, values, reference, limit: float, scale: float = 0.0
) -> Verdict:
    """PASS when relative_l2(values, reference) <= limit; integers and booleans must be equal.

    Of a float32 and a float64 array a FAIL says by how much they differ besides: known.py may know why.
    """
    problem = difference_of_kind(values, reference)
    if problem and are_of_two_widths(values, reference):
        wide = (x.astype(np.float64) for x in (values, reference))
        return narrowed(judge(case, check, node, *wide, limit, scale), values, reference)
    if problem:
        return Verdict(case, check, node, Status.FAIL, message=problem)
    if values is None:
        return Verdict(case, check, node, Status.FAIL, message=ABSENT)
    if values.size == 0:
        return Verdict(case, check, node, Status.PASS, 0.0, limit, EMPTY)
    if values.dtype.kind != "f":
        return judge_equal(case, check, node, values, reference)
    size, difference = sizes(reference, values, greatest=False)
    # a NaN or an infinity in either array is one in a norm: only then they are looked for
    is_finite = math.isfinite(size.norm + difference.norm)
    problem = None if is_finite else not_finite(values, reference)
    if problem:
        return Verdict(case, check, node, Status.FAIL, message=problem)
    measured = ratio(difference.norm, size.norm + scale)
    status = Status.PASS if measured <= limit else Status.FAIL
    return Verdict(case, check, node, status, measured, limit, **told_of(reference, size))


def are_of_two_widths(a, b) -> bool:
    return (
        a is not None
        and b is not None
        and {str(a.dtype), str(b.dtype)} == WIDTHS
        and (a.shape == b.shape)
    )


def narrowed(found: Verdict, values: np.ndarray, reference: np.ndarray) -> Verdict:
    """The verdict on the values of two arrays, as a FAIL because one of them is a float32."""
    text = "; ".join(filter(None, (dtypes_told(values, reference), found.message)))
    return found.but(status=Status.FAIL, message=text)


def is_narrowed(verdict: Verdict) -> bool:
    """Whether one of two arrays that were compared is a float32, and the other a float64."""
    return DTYPES in verdict.message and verdict.measured is not None


def told_of(array: np.ndarray, size: Size) -> dict:
    """What a verdict says of the reference's array."""
    return {"shape": array.shape, "rms": float(f"{size.norm / math.sqrt(array.size):.3g}")}


@with_scalars
def judge_equal(
    case: str, check: str, node: str, values: np.ndarray, reference: np.ndarray
) -> Verdict:
    """PASS when bitwise equal (shape and dtype included)."""
    problem = structural_difference(values, reference)
    if problem:
        return Verdict(case, check, node, Status.FAIL, message=problem)
    different = int(np.count_nonzero(values != reference))
    message = f"{different} of {values.size} elements differ" if different else ""
    status = Status.FAIL if different else Status.PASS
    return Verdict(
        *(case, check, node, status, float(different), 0.0), message if values.size else EMPTY
    )


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
        return [Verdict(case, check, "(all)", Status.FAIL, message=NOTHING)]
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
