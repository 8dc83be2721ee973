"""Layers: PyTorch's half."""

from __future__ import annotations

import torch.nn.functional as F

from torch_impl.runtime import torch

Tensor = torch.Tensor
# added to attention logits of padding: exp gives exactly 0, and no infinity is involved
MASKED = -(2.0**100)


def softmax(x: Tensor, axis: int) -> Tensor:
    return x.softmax(dim=axis)


def log_softmax(x: Tensor, axis: int) -> Tensor:
    return x.log_softmax(dim=axis)


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Over the last axis, biased variance."""
    return F.layer_norm(x, weight.shape, weight, bias, eps)


def group_norm(x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """x [B, C, H, W], biased variance over each group of channels."""
    return F.group_norm(x, groups, weight, bias, eps)


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x [..., I], weight [O, I], bias [O] -> [..., O]."""
    return F.linear(x, weight, bias)


def max_pool(x: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """x [B, C, H, W]; padding never wins."""
    return F.max_pool2d(x, kernel, stride, padding)


def resize_mask(mask: Tensor, height: int, width: int) -> Tensor:
    """bool [B, H, W] -> bool [B, height, width], nearest as F.interpolate: source = floor(i * H / height)."""
    return F.interpolate(mask[:, None].float(), size=(height, width), mode="nearest")[:, 0].to(
        torch.bool
    )


def upsample_nearest(x: Tensor, height: int, width: int) -> Tensor:
    """x [B, C, H, W] -> [B, C, height, width], nearest as F.interpolate: source = floor(i * H / height)."""
    return F.interpolate(x, size=(height, width), mode="nearest")


def resize_bilinear(x: Tensor, height: int, width: int) -> Tensor:
    """x [B, C, H, W] -> [B, C, height, width], as F.interpolate's bilinear without aligned corners."""
    return F.interpolate(x, size=(height, width), mode="bilinear", align_corners=False)


def attention_bias(mask: Tensor, like: Tensor) -> Tensor:
    """bool [B, S], True on padding -> [B, 1, 1, S] to add to attention logits."""
    return (mask.to(like.dtype) * MASKED)[:, None, None, :]


def random_keep(x: Tensor, rate: float) -> Tensor:
    """The framework's own dropout mask for `x`: 1 where kept (probability 1 - rate), else 0."""
    return (torch.rand(x.shape) >= rate).to(x.dtype)
