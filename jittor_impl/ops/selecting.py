"""Reductions, sorting, indexing: Jittor's half."""

from __future__ import annotations

import numpy as np

from jittor_impl import kernels
from jittor_impl.ops.tensors import array, as_float, frozen
from jittor_impl.runtime import jt

Tensor = jt.Var


def cumsum(x: Tensor, axis: int) -> Tensor:
    """Running sum of a float tensor. Cast masks first: a bool's cumsum differs between frameworks."""
    return jt.cumsum(x, dim=axis)


def argmax(x: Tensor, axis: int) -> Tensor:
    """Index of the greatest value; which one at a tie is not defined."""
    return jt.argmax(x, dim=axis)[0]  # a pair in Jittor


def max_with_index(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    index, values = jt.argmax(x, dim=axis)
    return values, index


def max_first(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Greatest value and the first index that has it, both constants. NaN is not allowed."""
    x, axis = frozen(x), axis % x.ndim
    values = x.max(axis, keepdims=True)
    positions = jt.arange(x.shape[axis]).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    positions = positions.broadcast(x.shape)
    first = jt.ternary(x == values, positions, positions * 0 + x.shape[axis]).min(axis)
    return values.reshape(first.shape).stop_grad(), first


def sort_descending(x: Tensor) -> tuple[Tensor, Tensor]:
    """Along the last axis: values, and where they were; equal values keep their order, NaN comes last."""
    order = kernels.order_descending(x.reshape(-1, x.shape[-1])).reshape(x.shape)
    return jt.gather(x, x.ndim - 1, order), order  # Jittor's own sort is not stable


def ranks(x: Tensor) -> Tensor:
    """Place of every element in the ascending order of the last axis; equal values keep their order."""
    order = kernels.order_descending(-x.reshape(-1, x.shape[-1]))
    return kernels.order_descending(-as_float(order)).reshape(x.shape)


def one_hot(index: Tensor, count: int, like: Tensor) -> Tensor:
    """int [...] -> [..., count] in the dtype of `like`; an index outside 0..count-1 gives zeros."""
    return (index.unsqueeze(-1) == jt.arange(count)).cast(str(like.dtype)).stop_grad()


def take(x: Tensor, index: Tensor) -> Tensor:
    """x [B, N, ...], index int [B, K] within 0..N-1 -> x[b, index[b, k]] [B, K, ...]."""
    rows = index + (jt.arange(x.shape[0]) * x.shape[1]).unsqueeze(1)
    found = x.reshape(-1, *x.shape[2:])[rows.reshape(-1)]
    return found.reshape(*index.shape, *x.shape[2:])


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
    flat = x.reshape(-1, x.shape[-1])
    rows = np.arange(index.size, dtype=index.dtype)
    return flat[array(rows), array(index.reshape(-1))].reshape(index.shape)


def check_index(index: np.ndarray, length: int) -> None:
    """IndexError unless all are in 0..length-1 (Jittor would read foreign memory)."""
    if index.size and (index.min() < 0 or index.max() >= length):
        raise IndexError(f"index {index.min()}..{index.max()} outside 0..{length - 1}")
