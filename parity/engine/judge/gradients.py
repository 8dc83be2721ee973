"""How gradients are judged: what neither side has agrees, and what is small beside the whole counts little.

Before: judging.py. semantic.py, precision.py and localise.py ask here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from parity.engine.judge import gates
from parity.engine.judge.judging import judge
from parity.engine.judge.verdicts import NO_GRADIENT, Status, Verdict
from parity.engine.values.arrays import Selection, is_zero, norm


def absent_if_zero(gradients: Mapping) -> Selection:
    """No gradient is None in PyTorch and zeros in Jittor: both become None, so that names can be compared."""
    return Selection(gradients, convert=lambda g: None if g is None or is_zero(g) else g)


def nothing_on_either_side(case: str, check: str, node: str, limit: float) -> Verdict:
    return Verdict(case, check, node, Status.PASS, 0.0, limit, NO_GRADIENT)


def judge_gradient(
    case: str, check: str, node: str, values, reference, limit: float, scale: float = 0.0
) -> Verdict:
    """As `judge`, but absent on both sides is agreement."""
    if values is None and reference is None:
        return nothing_on_either_side(case, check, node, limit)
    return judge(case, check, node, values, reference, limit, scale)


def total_norm(gradients: Mapping) -> float:
    return math.hypot(*norms(gradients))


def norms(gradients: Mapping) -> list[float]:
    return [norm(g) for g in gradients.values() if g is not None]


def finite_norm(gradients: Mapping) -> float:
    """Of all that are numbers: one that is not finite says so itself, and nothing of the others."""
    return math.hypot(*filter(math.isfinite, norms(gradients)))


def semantic_gradient_scale(gradients: Mapping) -> float:
    """Added to the norm of the reference's, it makes one float64 epsilon of the total norm count as no difference."""
    return gates.EPS64 / gates.SEMANTIC_GRADIENT * finite_norm(gradients)


def precision_gradient_scale(gradients: Mapping) -> float:
    return gates.U32 / gates.GRADIENT_LEAST * finite_norm(gradients)
