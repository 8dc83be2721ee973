"""In what way two arrays that should be equal differ: told by numbers, for the table of causes (causes.py).

Before: values/arrays.py. judging.py and localise.py ask here; tell/causes.py makes sentences of it.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

import numpy as np

from parity.engine.judge import gates
from parity.engine.values.arrays import norm, ratio

CRASH = "crash"
SHAPE, DTYPE, MISSING, LESS = "shape", "dtype", "missing on one side", "fewer values"
CONSTANT, TERM, SIGN = "different constant", "missing term", "sign"
ORDER, AXIS, BRANCH = "different order", "wrong axis", "other branch"
FORMULA, PRECISION, NOT_FINITE = "another formula", "precision only", "not finite"
BACKWARD, DETACHED = "backward only", "no gradient"
FROZEN, MODE = "frozen or not", "mode"
NAMES = "other names"
WEIGHTS, CHOICE, INITIAL, RATE = "weights", "choice", "initial value", "learning rate"
STILL = "does not move"
UNCALLED = "a call left out"
IN_PLACE = "inputs changed in place"
DATA = "data"
TURNED = "the same with its axes as"
MOST = 1 << 22  # elements that are looked at
EXACT = (
    1e-9  # what is left of a difference that an explanation explains, as a fraction of the array
)


def tell(reference: np.ndarray | None, candidate: np.ndarray | None) -> tuple[str, str]:
    """(kind, text) of how the candidate's array differs from the reference's, which are not alike."""
    if reference is None or candidate is None:
        return MISSING, ""
    if {reference.shape, candidate.shape} == {(), (1,)}:  # Jittor does not tell them apart
        reference, candidate = reference.reshape(1), candidate.reshape(1)
    if reference.shape != candidate.shape:
        return _shapes(reference, candidate)
    if reference.dtype.kind != candidate.dtype.kind:
        return DTYPE, f"{reference.dtype} and {candidate.dtype}"
    if not reference.size or reference.size > MOST:
        return FORMULA, ""
    a, b = (np.asarray(x, dtype=np.float64) for x in (reference, candidate))
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        alike = np.array_equal(np.isfinite(a), np.isfinite(b))
        return NOT_FINITE, f"NaN or infinity on {'both sides' if alike else 'one side'}"
    error = ratio(norm(a - b), norm(a))
    if reference.dtype.kind == "f" and error <= gates.ROUNDED:
        return PRECISION, f"by {error:.1e}: as if a constant had been rounded to float32"
    for explain in (_zero, _scale, _permuted, _along, _rows, _few):
        found = explain(a, b, error)
        if found:
            return found
    return FORMULA, f"by {error:.1e} of its size"


def _shapes(a: np.ndarray, b: np.ndarray) -> tuple[str, str]:
    text = f"{a.shape} and {b.shape}"
    shared = _rows(a, b, 0.0) if a.ndim == b.ndim == 2 and a.dtype.kind == "f" else None
    if shared:
        return SHAPE, f"{text}: {shared[1]}"
    if sorted(a.shape) != sorted(b.shape) or a.ndim < 2:
        return SHAPE, text
    for axes in permutations(range(a.ndim)) if a.ndim <= 5 and a.size <= MOST else ():
        turned = a.transpose(axes)
        if turned.shape == b.shape and _left(b - turned, a, 0.0):
            return AXIS, f"shapes {text}: {TURNED} {axes}"
    return AXIS, f"shapes {text}: axes in another order"


def _zero(a: np.ndarray, b: np.ndarray, error: float):
    if not b.any():
        return TERM, "the candidate's is 0 everywhere"
    if not a.any():
        return TERM, "the reference's is 0 everywhere"
    return None


def _left(difference: np.ndarray, a: np.ndarray, error: float) -> bool:
    """Whether next to nothing is left of the difference."""
    return norm(difference) <= max(EXACT, 1e-7 * min(error, 1.0)) * norm(a)


def _scale(a: np.ndarray, b: np.ndarray, error: float):
    if a.size < 2:
        return _two(float(a.flat[0]), float(b.flat[0])) if a.size else None
    factor = float((a * b).sum() / (a * a).sum())
    if _left(b - factor * a, a, error):
        if abs(factor + 1) < EXACT:
            return SIGN, "the candidate's has the other sign"
        return CONSTANT, f"the candidate's is {_number(factor)} times the reference's"
    offset = float((b - a).mean())
    if _left(b - a - offset, a, error):
        return TERM, f"the candidate's is the reference's plus {_number(offset)}"
    return None


MOST_ROWS = 2000  # that are compared with each other
SIMPLE = 16  # of a simple factor the greatest numerator and denominator


def _two(a: float, b: float) -> tuple[str, str]:
    """Of two numbers: a factor is claimed only where it is simple, for any two have one."""
    factor = b / a
    if abs(factor + 1) < EXACT:
        return SIGN, "the candidate's has the other sign"
    nearest = Fraction(factor).limit_denominator(SIMPLE)
    simple = 0 < abs(nearest.numerator) <= SIMPLE
    if simple and abs(factor - float(nearest)) <= EXACT * abs(factor):
        return CONSTANT, f"{_number(b)} for {_number(a)}: {nearest} times"
    return FORMULA, f"{_number(b)} for {_number(a)}"


def _number(x: float) -> str:
    """To six digits, and as a fraction or its root where it is one of small numbers."""
    if abs(x - round(x)) < 1e-9 * abs(x):
        return f"{x:.6g}"
    for power, text in ((1, "{}"), (2, "sqrt({})")):
        for below in range(1, 65):
            above = abs(x) ** power * below
            if 0 < round(above) <= 4096 and abs(above - round(above)) < 1e-7 * above:
                fraction = f"{round(above)}/{below}" if below > 1 else f"{round(above)}"
                return f"{x:.6g} ({'-' if x < 0 else ''}{text.format(fraction)})"
    return f"{x:.6g}"


def _permuted(a: np.ndarray, b: np.ndarray, error: float):
    """The same values at other places."""
    if not np.allclose(np.sort(a, None), np.sort(b, None), rtol=1e-9, atol=EXACT * np.abs(a).max()):
        return None
    if 1 < a.ndim <= 5:
        for axes in permutations(range(a.ndim)):
            turned = a.transpose(axes)
            if turned.shape == a.shape and _left(b - turned, a, error):
                return AXIS, f"the candidate's is the reference's with its axes as {axes}"
        for axes in permutations(range(a.ndim)):
            if _left(b - a.transpose(axes).reshape(a.shape), a, error):
                return AXIS, f"reshaped from the reference's with its axes as {axes}"
    for axis in range(a.ndim):
        if _left(b - np.flip(a, axis), a, error):
            return ORDER, f"axis {axis} runs the other way"
        alone = np.moveaxis(a, axis, 0).reshape(a.shape[axis], -1)
        other = np.moveaxis(b, axis, 0).reshape(a.shape[axis], -1)
        if a.shape[axis] > 1 and np.allclose(
            alone[np.lexsort(alone.T)], other[np.lexsort(other.T)], rtol=1e-9
        ):
            return ORDER, f"the same along axis {axis}, in another order"
    return ORDER, "the same values at other places"


def _rows(a: np.ndarray, b: np.ndarray, error: float):
    """Sets of boxes or points: which rows both have, and whether in one order."""
    if a.ndim != 2 or a.shape[1] != b.shape[1] or a.shape[1] < 2 or min(len(a), len(b)) < 3:
        return None
    if max(len(a), len(b)) > MOST_ROWS or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return None
    near = np.abs(a[None] - b[:, None]).max(2) <= 1e-6 * max(np.abs(a).max(), 1e-30)  # (b, a)
    if a.shape == b.shape and near.diagonal().any():
        return None  # told better element by element
    places = [int(k) for k in near.argmax(1)[near.any(1)]]
    if len(places) < max(3, 0.2 * len(b)) or len(set(places)) < len(places):
        return None
    order = places == sorted(places)
    words = "in the same order" if order else "in another order"
    text = f"{len(places)} of {len(b)} rows are among the reference's {len(a)}, {words}"
    return (BRANCH if order else ORDER), text


def _few(a: np.ndarray, b: np.ndarray, error: float):
    """Some elements only: a clamp, a mask, a border, a tie."""
    different = np.abs(a - b) > EXACT * np.abs(a).max()
    count = int(different.sum())
    if not 0 < count <= 0.9 * a.size:
        return None
    for who, x, y in (("the candidate's", b, a), ("the reference's", a, b)):
        held = np.unique(x[different])
        if len(held) == 1 and count > 1:
            value = float(held[0])
            beyond = y[different] > value
            if beyond.all() or not beyond.any():
                return BRANCH, f"{count} of {a.size} elements: {who} are held at {value:.6g}"
            return BRANCH, f"{count} of {a.size} elements: {who} are {value:.6g}"
    where = _region(different)
    return BRANCH, f"{count} of {a.size} elements differ{where}, all others agree"


def _region(different: np.ndarray) -> str:
    """What the places of the differences have in common: an index of one axis."""
    for axis, length in enumerate(different.shape):
        hit = different.any(tuple(k for k in range(different.ndim) if k != axis))
        if length > 1 and hit.sum() <= max(1, length // 3):
            listed = ", ".join(map(str, np.flatnonzero(hit)[:4]))
            more = ", ..." if hit.sum() > 4 else ""
            return f", all at index {listed}{more} of axis {axis}"
    return ""


def _along(a: np.ndarray, b: np.ndarray, error: float):
    """A term or a factor that depends on one axis only, as a bias does."""
    for axis in range(a.ndim) if a.ndim > 1 else ():
        others = tuple(k for k in range(a.ndim) if k != axis)
        term = (b - a).mean(others, keepdims=True)
        if a.size > a.shape[axis] and _left(b - a - term, a, error):
            return TERM, f"a term by axis {axis}, as of a bias, is on one side only"
        below = (a * a).sum(others, keepdims=True)
        factor = (a * b).sum(others, keepdims=True) / np.where(below, below, 1)
        if a.size > a.shape[axis] and _left(b - factor * a, a, error):
            return CONSTANT, f"a factor by axis {axis}"
    return None
