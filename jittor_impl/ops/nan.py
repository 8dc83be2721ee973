"""NaN, which Jittor's own kernels do not see: Jittor's half."""

from __future__ import annotations

from jittor_impl import kernels
from jittor_impl.runtime import jt

Tensor = jt.Var


def is_finite(x: Tensor) -> Tensor:
    """bool of the shape of `x`: neither NaN nor infinite."""
    return kernels.is_finite(x)


def nan_to_num(x: Tensor, value: float) -> Tensor:
    """`x` with `value` for NaN; no gradient flows there."""
    return kernels.NanToNum.apply(x, value)


def nanmean(x: Tensor) -> Tensor:
    """x [..., N] -> [...]: the mean over the last axis of what is not NaN; NaN where there is nothing else."""
    return kernels.NanMean.apply(x)
