"""Reductions, sorting, indexing: PyTorch's half."""

from __future__ import annotations

import numpy as np

from torch_impl.ops.tensors import array
from torch_impl.runtime import torch

Tensor = torch.Tensor


def cumsum(x: Tensor, axis: int) -> Tensor:
    """Running sum of a float tensor. Cast masks first: a bool's cumsum differs between frameworks."""
    return torch.cumsum(x, dim=axis)


def argmax(x: Tensor, axis: int) -> Tensor:
    """Index of the greatest value; which one at a tie is not defined."""
    return x.argmax(dim=axis)


def max_with_index(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    return tuple(x.max(dim=axis))


def max_first(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Greatest value and the first index that has it, both constants. NaN is not allowed."""
    x = x.detach()
    values = x.amax(axis, keepdim=True)
    shape = [-1 if a == axis % x.dim() else 1 for a in range(x.dim())]
    positions = torch.arange(x.shape[axis]).reshape(shape)
    return values.squeeze(axis), torch.where(x == values, positions, x.shape[axis]).amin(axis)


def sort_descending(x: Tensor) -> tuple[Tensor, Tensor]:
    """Along the last axis: values, and where they were; equal values keep their order, NaN comes last."""
    order = torch.where(x.isnan(), -torch.inf, x).argsort(dim=-1, descending=True, stable=True)
    return x.gather(-1, order), order


def ranks(x: Tensor) -> Tensor:
    """Place of every element in the ascending order of the last axis; equal values keep their order."""
    return x.argsort(dim=-1, stable=True).argsort(dim=-1, stable=True)


def one_hot(index: Tensor, count: int, like: Tensor) -> Tensor:
    """int [...] -> [..., count] in the dtype of `like`; an index outside 0..count-1 gives zeros."""
    return (index[..., None] == torch.arange(count)).to(like.dtype)


def take(x: Tensor, index: Tensor) -> Tensor:
    """x [B, N, ...], index int [B, K] within 0..N-1 -> x[b, index[b, k]] [B, K, ...]."""
    return x[torch.arange(x.shape[0])[:, None], index]


def take_rows(x: Tensor, index: Tensor) -> Tensor:
    """x [N, ...], index int [K] within 0..N-1 -> x[index] [K, ...]."""
    return x[index]


def gather_pairs(x: Tensor, first: np.ndarray, second: np.ndarray) -> Tensor:
    """x[first[k], second[k]] for all k; indices are NumPy and checked, negative ones refused."""
    check_index(first, x.shape[0])
    check_index(second, x.shape[1])
    return x[array(first), array(second)]


def take_last(x: Tensor, index: np.ndarray) -> Tensor:
    """x[..., index[...]]: one value of the last axis per position; shape of `index`."""
    check_index(index, x.shape[-1])
    return x.gather(-1, array(index)[..., None])[..., 0]


def check_index(index: np.ndarray, length: int) -> None:
    """IndexError unless all are in 0..length-1 (Jittor would read foreign memory)."""
    if index.size and (index.min() < 0 or index.max() >= length):
        raise IndexError(f"index {index.min()}..{index.max()} outside 0..{length - 1}")
