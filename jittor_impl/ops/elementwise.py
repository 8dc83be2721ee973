"""Element by element: Jittor's half."""

from __future__ import annotations

import numpy as np

from jittor_impl.runtime import jt

Tensor = jt.Var


def relu(x: Tensor) -> Tensor:
    return jt.nn.relu(x)


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + jt.exp(-x))  # Jittor's own has another gradient far from 0


def power(base: float, exponent: Tensor) -> Tensor:
    return (
        jt.array(np.array([base], dtype=str(exponent.dtype))).broadcast(exponent.shape) ** exponent
    )


def absolute(x: Tensor) -> Tensor:
    """|x| with gradient 0 at 0."""
    return x * _sign(x)  # Jittor's abs has gradient 1 at 0


def _sign(x: Tensor) -> Tensor:
    """-1, 0 or 1, a constant."""
    return ((x > 0).cast(str(x.dtype)) - (x < 0).cast(str(x.dtype))).stop_grad()


def maximum(a: Tensor, b: Tensor) -> Tensor:
    """Element-wise; at a tie each side gets half of the gradient."""
    share = (1 + _sign(a - b)) / 2  # Jittor's maximum gives the whole gradient to one side
    return a * share + b * (1 - share)


def minimum(a: Tensor, b: Tensor) -> Tensor:
    """Element-wise; at a tie each side gets half of the gradient."""
    share = (1 - _sign(a - b)) / 2
    return a * share + b * (1 - share)


def clamp_min(x: Tensor, low: float) -> Tensor:
    return jt.clamp(x, min_v=low)


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)), with gradient 1/2 at 0."""
    power = jt.exp(-absolute(x))
    # log(1 + p) = 2 artanh(p / (2 + p)), which keeps its digits where p is small
    return maximum(x, x * 0) + 2 * jt.arctanh(power / (power + 2))


def where(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """a where `condition` is True, else b; all of one shape."""
    return jt.ternary(condition, a, b)


def round_half_even(x: Tensor) -> Tensor:
    nearest = (x + 0.5).floor()  # Jittor's own rounds halves away from zero
    tie = (x + 0.5 == nearest).cast(str(x.dtype))
    return nearest - tie * (nearest - (nearest / 2).floor() * 2)


def quotient(x: Tensor, n: int) -> Tensor:
    """x // n, for floats that hold integers from 0 to 2^21; half a unit keeps a rounded division off the integers."""
    return ((x + 0.5) / n).floor()


def logical_not(mask: Tensor) -> Tensor:
    return mask.logical_not()  # ~ is missing on bool


def logical_and(a: Tensor, b: Tensor) -> Tensor:
    """Of two bool tensors, which may broadcast."""
    return a.logical_and(b)


def logical_or(a: Tensor, b: Tensor) -> Tensor:
    """Of two bool tensors, which may broadcast."""
    return a.logical_or(b)
