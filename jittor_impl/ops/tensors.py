"""Creation, conversion, shapes: Jittor's half."""

from __future__ import annotations

import numpy as np

from jittor_impl.runtime import jt

Tensor = jt.Var


# creation and conversion


def parameter(*shape: int) -> Tensor:
    """A trainable tensor of zeros in the default dtype; values come from the weight layer."""
    return jt.array(np.zeros(shape, dtype=_default_dtype()))


def buffer(*shape: int) -> Tensor:
    """A tensor of zeros that is saved with the model and never trained."""
    return jt.array(np.zeros(shape, dtype=_default_dtype()))


def _default_dtype() -> str:
    return "float32" if jt.flags.auto_convert_64_to_32 else "float64"


def array(values: np.ndarray, like: Tensor | None = None) -> Tensor:
    """NumPy -> tensor on the default device; floats become `like.dtype` when it is given."""
    values = np.ascontiguousarray(values)
    if like is not None and values.dtype.kind == "f":
        values = values.astype(str(like.dtype))
    return jt.array(values)


def to_numpy(x: Tensor) -> np.ndarray:
    """Tensor -> a NumPy array of its own, same shape and dtype; a scalar has shape (1,) in Jittor."""
    return x.numpy().copy()


def scalar(value: float, like: Tensor) -> Tensor | float:
    """A Python number that takes part in arithmetic with `like` at the precision of `like`."""
    if str(like.dtype) != "float64":
        return value
    return jt.array(
        np.array([value], dtype=np.float64)
    )  # a bare Python float would pass through float32


def cast(x: Tensor, like: Tensor) -> Tensor:
    """`x` (any dtype, bool included) in the dtype of `like`."""
    cast = x.cast(str(like.dtype))
    return cast.stop_grad() if str(x.dtype) == "bool" else cast


def as_index(x: Tensor) -> Tensor:
    """Numbers or booleans as integers, cut toward zero."""
    return x.int32()


def as_float(x: Tensor) -> Tensor:
    """Integers or booleans in the default dtype."""
    return x.cast(_default_dtype()).stop_grad()


def as_float32(x: Tensor) -> Tensor:
    return x.float32()


def full_precision(x: Tensor) -> Tensor:
    """What mixed precision left in bfloat16 as float32; anything else as it is."""
    return x


def frozen(x: Tensor) -> Tensor:
    """`x` as a constant: no gradient flows to it."""
    return x.detach().stop_grad()


def identity(x: Tensor) -> Tensor:
    """A tensor of its own with the values of `x`; gradients pass."""
    return x.clone()


# shapes


def cat(tensors: list[Tensor], axis: int) -> Tensor:
    return jt.concat(tensors, dim=axis)


def stack(tensors: list[Tensor], axis: int) -> Tensor:
    return jt.stack(tensors, dim=axis)


def permute(x: Tensor, *axes: int) -> Tensor:
    return jt.core.ops.transpose(x, list(axes))  # Var.permute(0, 1) would swap the axes of a matrix


def expand(x: Tensor, *shape: int) -> Tensor:
    """`x` broadcast to `shape` (axes of length 1 repeat)."""
    return x.broadcast(list(shape))


def arange(count: int, like: Tensor) -> Tensor:
    """0, 1, ..., count - 1 in the dtype of `like`."""
    return jt.array(np.arange(count, dtype=str(like.dtype))).stop_grad()
