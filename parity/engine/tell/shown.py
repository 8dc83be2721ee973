"""What a reader is shown of two arrays that were compared: summaries, the worst elements, a small picture and a
histogram of their difference. All of it is small enough for a page, whatever the arrays' size.

Before: judge/verdicts.py. ask/examination.py adds it, report/payload.py hands it to the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from parity.engine.judge import checks
from parity.engine.judge.verdicts import Status, Verdict

PICTURE = 24  # cells of a picture's longer side
WORST = 5  # elements that are listed
FAILED, NEAREST = 12, 2  # verdicts of one check of one examination whose values are kept
DECADES = 12  # of the histogram, below the greatest difference
SECTIONS = {  # of a record, where a check's nodes are
    checks.FORWARD_64: ("nodes",),
    checks.LOCAL_FORWARD_64: ("nodes",),
    checks.FORWARD_32: ("nodes",),
    checks.LOCAL_FORWARD_32: ("nodes",),
    checks.CHOICES_64: ("choices",),
    checks.NODE_GRADIENTS_64: ("node_gradients",),
    checks.GRADIENTS_64: ("gradients",),
    checks.LOCAL_GRADIENTS_64: ("node_gradients", "gradients"),
    checks.GRADIENTS_32: ("gradients",),
    checks.LOCAL_GRADIENTS_32: ("node_gradients", "gradients"),
}


def with_values(verdicts: list[Verdict], reference: Mapping, candidate: Mapping) -> list[Verdict]:
    """The same verdicts; those that a reader will ask about first (the first that fail of each check, and those
    nearest to their limits) with `values`, taken from the two records that they are about."""
    wanted = {id(v) for v in _chosen(verdicts)}
    return [
        v.but(values=_look(v, reference, candidate)) if id(v) in wanted else v for v in verdicts
    ]


def _chosen(verdicts: Iterable[Verdict]) -> list[Verdict]:
    by_check: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.check in SECTIONS:
            by_check.setdefault(verdict.check, []).append(verdict)
    chosen = []
    for found in by_check.values():
        chosen += [v for v in found if v.status is Status.FAIL][:FAILED]
        close = [v for v in found if v.status is Status.PASS and v.measured and v.limit]
        chosen += sorted(close, key=lambda v: v.measured / v.limit)[-NEAREST:]
    return chosen


def _look(verdict: Verdict, reference: Mapping, candidate: Mapping) -> dict | None:
    both = []
    for record in (reference, candidate):
        parts = (record.get(name) for name in SECTIONS[verdict.check])
        both.append(next((p[verdict.node] for p in parts if p and verdict.node in p), None))
    return look(*both)


def look(ours: np.ndarray | None, theirs: np.ndarray | None) -> dict:
    """{"sides": a summary each, "worst": [[index, ours, theirs]], "picture": rows of digits, "decades": histogram}.

    A digit tells log10 of a cell's greatest difference, two a decade: 9 is the greatest, 0 is none. "decades":
    [log10 of the greatest, counts of elements per decade below it, and last those that do not differ]. Without what
    cannot be computed: arrays that are absent, empty, or of two shapes.
    """
    found: dict = {"sides": [None if x is None else summary(x) for x in (ours, theirs)]}
    if ours is None or theirs is None or ours.shape != theirs.shape or not ours.size:
        return found
    a, b = (np.asarray(x, dtype=np.float64) for x in (ours, theirs))
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(b - a)
    apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, apart)
    apart = np.nan_to_num(apart, nan=np.finfo(float).max, posinf=np.finfo(float).max)
    greatest = float(apart.max())
    if greatest == 0:
        return found
    flat = apart.reshape(-1)
    count = min(WORST, int(np.count_nonzero(flat)))
    places = np.argpartition(flat, -count)[-count:]
    found["worst"] = [
        [[int(i) for i in np.unravel_index(p, a.shape)], *(number(x.flat[p]) for x in (a, b))]
        for p in places[np.argsort(-flat[places], kind="stable")]
    ]
    found["picture"] = picture(apart, greatest)
    steps = np.floor(np.log10(greatest) - np.log10(flat[flat > 0]))
    counts = np.bincount(np.minimum(steps, DECADES - 1).astype(int), minlength=DECADES)
    equal = int(flat.size - np.count_nonzero(flat))
    found["decades"] = [number(np.log10(greatest)), [*map(int, counts), equal]]
    return found


def summary(x: np.ndarray) -> dict:
    """Shape, dtype, and of the finite values mean, standard deviation, least and greatest."""
    found = {"shape": list(x.shape), "dtype": str(x.dtype)}
    values = x[np.isfinite(x)] if x.dtype.kind == "f" else x
    if values.size < x.size:
        found["not finite"] = int(x.size - values.size)
    if values.size:
        with np.errstate(over="ignore", invalid="ignore"):
            told = {
                "mean": values.mean(dtype=np.float64),
                "std": values.std(dtype=np.float64),
                "min": values.min(),
                "max": values.max(),
            }
        found |= {name: number(value) for name, value in told.items()}
    return found


def picture(apart: np.ndarray, greatest: float) -> list[str]:
    """The last two axes, others folded away by the greatest, in PICTURE cells at most each way."""
    flat = apart.reshape(-1, *apart.shape[-2:]).max(axis=0) if apart.ndim > 1 else apart[None]
    if flat.ndim == 1:
        flat = flat[None]
    for axis in (0, 1):
        size = flat.shape[axis]
        starts = np.unique(np.arange(min(size, PICTURE)) * size // min(size, PICTURE))
        flat = np.maximum.reduceat(flat, starts, axis=axis)
    with np.errstate(divide="ignore"):
        levels = 9 + np.floor(2 * np.log10(flat / greatest))
    digits = np.where(flat > 0, np.clip(levels, 1, 9), 0).astype(int)
    return ["".join(map(str, row)) for row in digits]


def number(x) -> float | str:
    """To six digits; what is not finite as text, since JSON has no such number."""
    value = float(x)
    return float(f"{value:.6g}") if np.isfinite(value) else str(value)
