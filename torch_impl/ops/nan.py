"""NaN, which Jittor's own kernels do not see: PyTorch's half."""

from __future__ import annotations

from torch_impl.runtime import torch

Tensor = torch.Tensor


def is_finite(x: Tensor) -> Tensor:
    """bool of the shape of `x`: neither NaN nor infinite."""
    return torch.isfinite(x)


def nan_to_num(x: Tensor, value: float) -> Tensor:
    """`x` with `value` for NaN; no gradient flows there."""
    return torch.where(x.isnan(), torch.full_like(x, value), x)


def nanmean(x: Tensor) -> Tensor:
    """x [..., N] -> [...]: the mean over the last axis of what is not NaN; NaN where there is nothing else."""
    return torch.nanmean(x, dim=-1)
