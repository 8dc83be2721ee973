"""Jittor's cross entropy, which takes the mean of its weights in float32 whatever it is given, in float64 where it is
given that. Arguments and results are those of jittor.nn's function.

Before: replacing.py. jittor.py installs them for float64 runs.
"""

from __future__ import annotations

from functools import cache, wraps

import jittor_setup
from parity.backends.replacing import everywhere

jt = jittor_setup.import_jittor()
nn = jt.nn
OWN = (nn.cross_entropy_loss,)  # not a name of its own here, which would be replaced, too


def is_wide(x) -> bool:
    return isinstance(x, jt.Var) and str(x.dtype) == "float64"


def cross_entropy_loss(output, target, weight=None, ignore_index=None, reduction="mean"):
    weight = None if weight is None else weight.float64()
    each = OWN[0](output, target, weight, ignore_index, "none")
    if reduction != "mean":
        return each.sum() if reduction == "sum" else each
    labels = target.reshape((-1,))
    counted = ((labels >= 0) & (labels < output.shape[1])).float64()
    shares = counted if weight is None else weight[labels]
    if ignore_index is not None:
        shares = shares * (labels != ignore_index).float64()
    return each.sum() / shares.sum()


def are_logits(output, *_, **__) -> bool:
    return is_wide(output) and output.ndim in (2, 4)


def preferred(own, accepts, before):
    """`own` for the arguments that it accepts, `before` for others."""

    @wraps(before)
    def chosen(*args, **named):
        return (own if accepts(*args, **named) else before)(*args, **named)

    return chosen


@cache
def install() -> None:
    """Once for a process; again does nothing."""
    before = nn.cross_entropy_loss
    everywhere({before: preferred(cross_entropy_loss, are_logits, before)})
