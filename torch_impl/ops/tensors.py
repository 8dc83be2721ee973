"""Creation, conversion, shapes: PyTorch's half."""

from __future__ import annotations

import numpy as np

from torch_impl.runtime import torch

Tensor = torch.Tensor


# creation and conversion


def parameter(*shape: int) -> Tensor:
    """A trainable tensor of zeros in the default dtype; values come from the weight layer."""
    return torch.nn.Parameter(torch.zeros(*shape))


def buffer(*shape: int) -> Tensor:
    """A tensor of zeros that is saved with the model and never trained."""
    return torch.zeros(*shape)


def array(values: np.ndarray, like: Tensor | None = None) -> Tensor:
    """NumPy -> tensor on the default device; floats become `like.dtype` when it is given."""
    tensor = torch.as_tensor(np.ascontiguousarray(values), device=torch.get_default_device())
    return tensor.to(like.dtype) if like is not None and tensor.is_floating_point() else tensor


def to_numpy(x: Tensor) -> np.ndarray:
    """Tensor -> a NumPy array of its own, same shape and dtype; a scalar has shape ()."""
    return x.detach().cpu().numpy().copy()


def scalar(value: float, like: Tensor) -> float:
    """A Python number that takes part in arithmetic with `like` at the precision of `like`."""
    return value


def cast(x: Tensor, like: Tensor) -> Tensor:
    """`x` (any dtype, bool included) in the dtype of `like`."""
    return x.to(like.dtype)


def as_index(x: Tensor) -> Tensor:
    """Numbers or booleans as integers, cut toward zero."""
    return x.long()


def as_float(x: Tensor) -> Tensor:
    """Integers or booleans in the default dtype."""
    return x.to(torch.get_default_dtype())


def as_float32(x: Tensor) -> Tensor:
    return x.to(torch.float32)


def full_precision(x: Tensor) -> Tensor:
    """What mixed precision left in bfloat16 as float32; anything else as it is."""
    return x.float() if x.dtype == torch.bfloat16 else x


def frozen(x: Tensor) -> Tensor:
    """`x` as a constant: no gradient flows to it."""
    return x.detach()


def identity(x: Tensor) -> Tensor:
    """A tensor of its own with the values of `x`; gradients pass."""
    return x.clone()


# shapes


def cat(tensors: list[Tensor], axis: int) -> Tensor:
    return torch.cat(tensors, dim=axis)


def stack(tensors: list[Tensor], axis: int) -> Tensor:
    return torch.stack(tensors, dim=axis)


def permute(x: Tensor, *axes: int) -> Tensor:
    return x.permute(*axes)


def expand(x: Tensor, *shape: int) -> Tensor:
    """`x` broadcast to `shape` (axes of length 1 repeat)."""
    return x.expand(*shape)


def arange(count: int, like: Tensor) -> Tensor:
    """0, 1, ..., count - 1 in the dtype of `like`."""
    return torch.arange(count, dtype=like.dtype)
