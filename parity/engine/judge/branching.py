"""How values that reach other branches are judged (probing.py gives them): by what differs there alone.

Limits are wider than elsewhere: constants that a side rounds to float32 are no branch. What is no number in the
reference is no standard.

Before: judging.py, kinds.py. ask/probing.py asks.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from parity.engine.judge import gates, kinds
from parity.engine.judge.judging import SCALARS, are_of_two_widths
from parity.engine.values import tree
from parity.engine.values.arrays import norm, ratio


def differs(a, b) -> bool:
    """Whether two trees of one structure have other arrays."""
    pairs = zip(*(tree.leaves(x, lambda v: isinstance(v, np.ndarray)) for x in (a, b)))
    return any(x.shape != y.shape or (x != y).any() for (_, x), (_, y) in pairs)


def has_ties(arrays: Mapping) -> bool:
    """Whether one of these arrays ranks something and has equal values: any order of them is right."""
    return any(
        x.dtype.kind == "f" and x.ndim == 1 and len(np.unique(x)) < len(x) for x in arrays.values()
    )


def is_float(x: np.ndarray | None) -> bool:
    return x is not None and x.dtype.kind == "f"


def size_of(x: np.ndarray | None) -> float:
    return norm(np.nan_to_num(x, posinf=0, neginf=0)) if is_float(x) else 0.0


def is_number(x: np.ndarray | None) -> bool:
    """Whether it says anything: not where it has floats of which none is finite."""
    return not is_float(x) or not x.size or bool(np.isfinite(x).any())


def difference(
    a, b, size: float, ties: bool, backward: bool = False
) -> tuple[str, str, float] | None:
    """(kind, text, how much) of what a probe shows, None for nothing; `size`: of the node with the values as they are;
    `ties`: there are equal values, which may be put in any order."""
    if backward and (a is None) != (b is None):
        given = np.zeros_like(b if a is None else a)
        a, b = given if a is None else a, given if b is None else b
    if a is None or b is None:
        return None
    if {a.shape, b.shape} == SCALARS:
        a, b = a.reshape(1), b.reshape(1)
    if a.shape != b.shape or a.dtype.kind != b.dtype.kind:
        return None if ties else (*kinds.tell(a, b), 1.0)
    if a.dtype.kind != "f":
        return None if ties or (a == b).all() else (*kinds.tell(a, b), 1.0)
    most = gates.BRANCH
    if are_of_two_widths(a, b):  # where float32 has no such number, the other side need have none
        with np.errstate(over="ignore"):
            a, b, most = a.astype(np.float32), b.astype(np.float32), gates.COARSE
    fine = np.isfinite(a), np.isfinite(b)
    odd = (fine[0] != fine[1]) & ~np.isnan(a)  # a reference that is no number is no standard
    if (np.isinf(a) & (a == -b)).any():
        return kinds.BRANCH, "infinite on both sides, of the other sign", 1.0
    if odd.any():
        side = "the candidate" if fine[0][odd].all() else "the reference"
        return kinds.BRANCH, f"not finite in {side} only", 1.0
    a, b = (np.where(fine[0] & fine[1], x, 0.0) for x in (a, b))
    # gradients of what is saturated are differences of numbers near 1
    noise = gates.BRANCH_SATURATED if backward else gates.BRANCH_NOISE
    if norm(a - b) <= gates.BRANCH_CANCELLED * size:
        return None
    error = ratio(norm(a - b), norm(a) + max(gates.BRANCH_LEAST, noise * size))
    return (*kinds.tell(a, b), error) if error > most else None
