"""Element by element: PyTorch's half."""

from __future__ import annotations

import torch.nn.functional as F

from torch_impl.runtime import torch

Tensor = torch.Tensor


def relu(x: Tensor) -> Tensor:
    return F.relu(x)


def sigmoid(x: Tensor) -> Tensor:
    return x.sigmoid()


def power(base: float, exponent: Tensor) -> Tensor:
    return base**exponent


def absolute(x: Tensor) -> Tensor:
    """|x| with gradient 0 at 0."""
    return x.abs()


def maximum(a: Tensor, b: Tensor) -> Tensor:
    """Element-wise; at a tie each side gets half of the gradient."""
    return torch.maximum(a, b)


def minimum(a: Tensor, b: Tensor) -> Tensor:
    """Element-wise; at a tie each side gets half of the gradient."""
    return torch.minimum(a, b)


def clamp_min(x: Tensor, low: float) -> Tensor:
    return x.masked_fill(x <= low, low)  # the gradient of clamp at `low` is 1 or 0, by version


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)), with gradient 1/2 at 0."""
    return -F.logsigmoid(-x)  # F.softplus itself is x from 20 on


def where(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """a where `condition` is True, else b; all of one shape."""
    return torch.where(condition, a, b)


def round_half_even(x: Tensor) -> Tensor:
    return x.round()


def quotient(x: Tensor, n: int) -> Tensor:
    """x // n, for floats that hold integers from 0 to 2^21; half a unit keeps a rounded division off the integers."""
    return ((x + 0.5) / n).floor()


def logical_not(mask: Tensor) -> Tensor:
    return ~mask


def logical_and(a: Tensor, b: Tensor) -> Tensor:
    """Of two bool tensors, which may broadcast."""
    return a & b


def logical_or(a: Tensor, b: Tensor) -> Tensor:
    """Of two bool tensors, which may broadcast."""
    return a | b
