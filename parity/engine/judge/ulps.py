"""Units in the last place.

Before: judging.py. steps.py judges in them, ask/training.py and ask/measure.py start runs so far away.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from door.randomness import neighbours, stream
from parity.engine.judge.judging import structural_difference
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.values import tree


def ulps(a: np.ndarray, b: np.ndarray, *operands: np.ndarray | None) -> np.ndarray:
    """|a - b| in float32 units in the last place of b, or of the greatest operand that it was computed from:
    where these nearly cancel, the last place of what is left says nothing."""
    scale = np.abs(b)
    for operand in operands:
        scale = scale if operand is None else np.maximum(scale, np.abs(operand))
    return np.abs(a.astype(np.float64) - b) / np.spacing(scale.astype(np.float32))


def judge_ulps(case: str, check: str, node: str, a, b, limit: float, *operands) -> Verdict:
    """Greatest distance in units in the last place, see `ulps`."""
    problem = structural_difference(a, b)
    if problem:
        return Verdict(case, check, node, Status.FAIL, message=problem)
    measured = float(ulps(a, b, *operands).max())
    status = Status.PASS if measured <= limit else Status.FAIL
    return Verdict(case, check, node, status, measured, limit, "units in the last place")


def one_ulp_away(weights: Mapping[str, np.ndarray], copy: int) -> dict[str, np.ndarray]:
    """Every element moved to the next float32, up or down as a stream says."""
    return {
        name: neighbours(values.astype(np.float32), stream(copy, "one ulp", name))
        for name, values in weights.items()
    }


def nudged(weights: Mapping[str, np.ndarray], copy: int, share: float) -> dict[str, np.ndarray]:
    """float64: every element changed by that share of itself, up or down as a stream says."""
    return {
        name: values * (1 + share * stream(copy, "nudged", name).choice((-1, 1), values.shape))
        for name, values in weights.items()
    }


def nearby(inputs):
    """A tree of arrays whose floats are all moved to the next float32, but for zeros, which padding may be."""

    def change(path: str, values: np.ndarray) -> np.ndarray:
        if values.dtype.kind != "f":
            return values
        other = neighbours(values.astype(np.float32), stream(0, "floors", path))
        return np.where(values == 0, values, other.astype(values.dtype))

    return tree.replaced(inputs, lambda x: isinstance(x, np.ndarray), change)
