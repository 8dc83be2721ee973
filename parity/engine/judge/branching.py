"""How values that reach other branches are judged (probing.py gives them): by what differs there alone.

Limits are wider than elsewhere: constants that a side rounds to float32 are no branch. What is no number in the
reference is no standard.

Before: judging.py, kinds.py. ask/probing.py asks.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from parity.engine.judge import gates, kinds
from parity.engine.judge.checks import BRANCHES
from parity.engine.judge.judging import SCALARS, are_of_two_widths
from parity.engine.judge.verdicts import GIVEN, Status, Verdict
from parity.engine.values import tree
from parity.engine.values.arrays import norm, ratio
from parity.engine.values.nodes import module_of

BETWEEN = ": "  # a place in the code and what is asked there
BACKWARD = ("node_gradients", "gradients")  # sections of a record
RANKED = 4  # values that hardly fall one after another by chance


def differs(a, b) -> bool:
    """Whether two trees of one structure have other arrays."""
    pairs = zip(*(tree.leaves(x, lambda v: isinstance(v, np.ndarray)) for x in (a, b)))
    return any(x.shape != y.shape or (x != y).any() for (_, x), (_, y) in pairs)


def has_ties(arrays: Mapping) -> bool:
    """Whether one of these arrays ranks something and has equal values: any order of them is right."""
    return any(
        x.dtype.kind == "f" and x.ndim == 1 and len(np.unique(x)) < len(x) for x in arrays.values()
    )


def is_ranked(x: np.ndarray | None) -> bool:
    """Whether an array looks like the scores of what was chosen by them: along its last axis all fall."""
    return is_float(x) and x.ndim > 0 and x.shape[-1] >= RANKED and bool((np.diff(x) < 0).all())


def has_equal_neighbours(x: np.ndarray) -> bool:
    return bool((np.diff(x) == 0).any())


def follows(node: str, values: np.ndarray | None, rankings: Mapping[str, np.ndarray]) -> bool:
    """Whether a node has a place for each of these scores, which the same call of a module gives."""
    if values is None or "/in" in node:
        return False
    call = module_of(node), node.partition("#")[2]
    return any(
        (module_of(name), name.partition("#")[2]) == call
        and values.shape[: scores.ndim] == scores.shape
        for name, scores in rankings.items()
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


def is_rounding(exact: np.ndarray, coarse: np.ndarray, measured: float) -> bool:
    """Whether a difference is as great as that between a side's own float64 and float32 values, all of them finite."""
    if exact.shape != coarse.shape or not np.isfinite(coarse).all():
        return False
    error = ratio(norm(coarse - exact), norm(exact))
    return measured <= gates.PRECISION_FACTOR * error


def tells(section: str, node: str, values) -> bool:
    """Whether agreement says anything: not of what was put in, empty arrays, and losses and gradients of 0."""
    if section == "losses" or section in BACKWARD:
        return bool(np.any(values))
    return bool(np.size(values)) and not node.startswith(GIVEN)


def alone(decided: Mapping[str, list[dict]]) -> dict[str, list[str]]:
    """Of each side the branches that the last probe decided in a new way and the other side has nowhere. decided: by
    side and run, which way each "FILE:LINE: what" went."""
    asked = {
        side: {key.rpartition(BETWEEN)[2] for run in runs for key in run}
        for side, runs in decided.items()
    }
    found = {}
    for side, runs in decided.items():
        (other,) = (theirs for name, theirs in asked.items() if name != side)
        found[side] = [
            key
            for key, seen in runs[-1].items()
            if seen != runs[0].get(key) and key.rpartition(BETWEEN)[2] not in other
        ]
    return found


def one_way(case: str, decided: Mapping[str, list[dict]]) -> list[Verdict]:
    """What was decided one way only in all runs."""
    found = []
    for side, runs in decided.items():
        everything: dict[str, list[bool]] = {}
        for run in runs:
            for place, (true, false) in run.items():
                seen = everything.setdefault(place, [False, False])
                seen[0] |= true
                seen[1] |= false
        for place, (true, false) in everything.items():
            if true != false:
                message = f"{side}: {'always' if true else 'never'}, in all inputs tried"
                found.append(Verdict(case, BRANCHES, place, Status.NOT_RUN, message=message))
    return found
