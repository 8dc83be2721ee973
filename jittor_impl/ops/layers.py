"""Layers: Jittor's half."""

from __future__ import annotations

import numpy as np

from jittor_impl.ops.tensors import array, cast, scalar
from jittor_impl.runtime import jt
from neutral.geometry import bilinear_weights, nearest_index

Tensor = jt.Var
# added to attention logits of padding: exp gives exactly 0, and no infinity is involved
MASKED = -(2.0**100)


def softmax(x: Tensor, axis: int) -> Tensor:
    powers = jt.exp(x - x.max(axis, keepdims=True).stop_grad())
    return powers / powers.sum(axis, keepdims=True)


def log_softmax(x: Tensor, axis: int) -> Tensor:
    shifted = x - x.max(axis, keepdims=True).stop_grad()
    return shifted - jt.log(jt.exp(shifted).sum(axis, keepdims=True))


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Over the last axis, biased variance."""
    centred = x - _mean_last(x)  # two passes: Jittor's own subtracts squares and cancels
    variance = _mean_last(centred * centred)
    return centred / (variance + scalar(eps, x)).sqrt() * weight + bias


def group_norm(x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """x [B, C, H, W], biased variance over each group of channels."""
    grouped = x.reshape(x.shape[0], groups, -1, x.shape[3])
    centred = grouped - _mean_rows(grouped)
    variance = _mean_rows(centred * centred)
    normed = (centred / (variance + scalar(eps, x)).sqrt()).reshape(x.shape)
    return normed * weight.reshape(1, -1, 1, 1) + bias.reshape(1, -1, 1, 1)


def _mean_last(x: Tensor) -> Tensor:
    """Mean over the last axis, kept. Jittor's mean has a backward that passes through float32."""
    return x.sum(-1, keepdims=True) / x.shape[-1]


def _mean_rows(x: Tensor) -> Tensor:
    """Mean over the last two axes, the last but one repeated: [..., R, C] -> [..., R, 1].

    Row by row first, and spread in two steps so that the backward sums row by row too: one long float32
    sum loses digits.
    """
    mean = x.sum(-1, keepdims=True).sum(-2, keepdims=True) / (x.shape[-1] * x.shape[-2])
    return mean.broadcast([*x.shape[:-1], 1])


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x [..., I], weight [O, I], bias [O] -> [..., O]."""
    return jt.nn.linear(x, weight, bias)


def max_pool(x: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """x [B, C, H, W]; padding never wins."""
    height, width = x.shape[2:]
    if min(height, width) > kernel:
        return jt.nn.max_pool2d(x, kernel, stride, padding)
    # Jittor refuses maps that are no larger than the window: they are filled up with what does not win
    rows, columns = ((n + 2 * padding - kernel) // stride + 1 for n in (height, width))
    for axis in (2, 3):
        shape = list(x.shape)
        shape[axis] = max(0, kernel + 1 - shape[axis])
        if shape[axis]:
            x = jt.concat([x, jt.full(shape, MASKED).cast(x.dtype)], dim=axis)
    return jt.nn.max_pool2d(x, kernel, stride, padding)[:, :, :rows, :columns]


def resize_mask(mask: Tensor, height: int, width: int) -> Tensor:
    """bool [B, H, W] -> bool [B, height, width], nearest as F.interpolate: source = floor(i * H / height)."""
    rows, columns = (_nearest_index(n, m) for n, m in zip(mask.shape[1:], (height, width)))
    return mask[:, rows[:, None], columns[None]]  # jt.nn.interpolate would be bilinear


def upsample_nearest(x: Tensor, height: int, width: int) -> Tensor:
    """x [B, C, H, W] -> [B, C, height, width], nearest as F.interpolate: source = floor(i * H / height)."""
    rows, columns = (_nearest_index(n, m) for n, m in zip(x.shape[2:], (height, width)))
    return x[:, :, rows[:, None], columns[None]]


def _nearest_index(length: int, resized: int) -> Tensor:
    return jt.array(nearest_index(length, resized).astype(np.int32))


def resize_bilinear(x: Tensor, height: int, width: int) -> Tensor:
    """x [B, C, H, W] -> [B, C, height, width], as F.interpolate's bilinear without aligned corners."""
    rows, columns = (
        array(bilinear_weights(n, m), like=x).stop_grad()
        for n, m in zip(x.shape[2:], (height, width))
    )
    flat = jt.matmul(rows, x.reshape(-1, x.shape[2], x.shape[3]))  # [BC, height, W]
    return jt.matmul(flat, columns.transpose()).reshape(*x.shape[:2], height, width)


def attention_bias(mask: Tensor, like: Tensor) -> Tensor:
    """bool [B, S], True on padding -> [B, 1, 1, S] to add to attention logits."""
    return (cast(mask, like) * MASKED)[:, None, None, :].stop_grad()


def random_keep(x: Tensor, rate: float) -> Tensor:
    """The framework's own dropout mask for `x`: 1 where kept (probability 1 - rate), else 0."""
    return (jt.rand(x.shape) >= rate).cast(str(x.dtype))
