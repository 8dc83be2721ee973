"""Jittor's cross entropy, which takes the mean of its weights in float32 whatever it is given, in float64 where it is
given that. Arguments and results are those of jittor.nn's function.

Before: replacing.py. jittor.py installs it for float64 runs.
"""

from __future__ import annotations

from functools import cache, wraps

import jittor_setup
from parity.backends.replacing import everywhere

jt = jittor_setup.import_jittor()


@cache
def install() -> None:
    """Once for a process; again does nothing."""
    before = jt.nn.cross_entropy_loss

    @wraps(before)
    def cross_entropy_loss(output, target, weight=None, ignore_index=None, reduction="mean"):
        is_wide = isinstance(output, jt.Var) and str(output.dtype) == "float64"
        if not is_wide or output.ndim not in (2, 4):
            return before(output, target, weight, ignore_index, reduction)
        weight = None if weight is None else weight.float64()
        each = before(output, target, weight, ignore_index, "none")
        if reduction != "mean":
            return each.sum() if reduction == "sum" else each
        labels = target.reshape((-1,))
        shares = ((labels >= 0) & (labels < output.shape[1])).float64()
        if weight is not None:
            shares = weight[labels]
        if ignore_index is not None:  # a label that is no index has no weight, but what lies there
            shares = jt.ternary(labels == ignore_index, jt.zeros_like(shares), shares)
        return each.sum() / shares.sum()

    everywhere({before: cross_entropy_loss})
