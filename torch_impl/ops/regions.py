"""Boxes and what lies in them: boxes are xyxy [N, 4] in the pixels of the image, images int [N] says whose.

No gradient flows to boxes.
"""

from __future__ import annotations

import importlib

from torch_impl.runtime import torch

Tensor = torch.Tensor


def _vision():
    """torchvision, imported when it is first needed: it brings PyTorch's compiler along, which takes seconds."""
    return importlib.import_module("torchvision")


def nms(boxes: Tensor, groups: Tensor, allowed: Tensor, threshold: float) -> Tensor:
    """Greedy suppression among boxes [N, 4] that lie in order of score, best first -> bool [N], those kept.

    A box goes when its IoU with a kept one of its group (int [N]) is greater than `threshold`; boxes that
    are not `allowed` (bool [N]) neither stay nor suppress.
    """
    keep = torch.zeros_like(allowed)
    for group in groups[allowed].unique():
        members = torch.nonzero(allowed & (groups == group))[:, 0]
        order = torch.arange(len(members), 0, -1, dtype=boxes.dtype)  # scores that keep the order
        keep[members[_vision().ops.nms(boxes[members], order, threshold)]] = True
    return keep


def roi_align(
    x: Tensor,
    boxes: Tensor,
    images: Tensor,
    size: int,
    scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """x [B, C, H, W] -> [N, C, size, size]: means of bilinear samples (He et al. 2017).

    `scale` is that of the map (1/16, ...); sampling_ratio 0 takes as many samples as a bin is wide; without
    `aligned` boxes are shifted by half a pixel and at least 1 wide, as in the first publication.
    """
    align = _vision().ops.roi_align
    return align(x, _regions(boxes, images), size, scale, sampling_ratio, aligned)


def roi_pool(
    x: Tensor, boxes: Tensor, images: Tensor, size: int, scale: float
) -> tuple[Tensor, Tensor]:
    """x [B, C, H, W] -> [N, C, size, size]: the greatest value of each bin, 0 for an empty one (Girshick 2015),
    and its cell, row * W + column, -1 for an empty one; the first of equals.
    """
    _vision()
    return torch.ops.torchvision.roi_pool(x, _regions(boxes, images), scale, size, size)


def crop_and_resize(x: Tensor, boxes: Tensor, images: Tensor, size: int, scale: float) -> Tensor:
    """x [B, C, H, W] -> [N, C, size, size]: one bilinear sample per point of a grid from corner to corner.

    As tf.image.crop_and_resize: samples outside the map are 0. torchvision has no such operator.
    """
    corners = boxes * scale
    steps = torch.arange(size, dtype=x.dtype) / max(size - 1, 1)
    columns, rows = (
        corners[:, a, None] + steps * (corners[:, a + 2] - corners[:, a])[:, None] for a in (0, 1)
    )
    crops = 0
    for row, row_weight in _bilinear(rows, x.shape[2]):
        for column, column_weight in _bilinear(columns, x.shape[3]):
            values = x[images[:, None, None], :, row[:, :, None], column[:, None, :]]
            weight = row_weight[:, :, None] * column_weight[:, None, :]
            crops = crops + values.permute(0, 3, 1, 2) * weight[:, None]
    return crops


def _bilinear(position: Tensor, length: int) -> list[tuple[Tensor, Tensor]]:
    """The two neighbours of each position and their weights, both 0 outside 0..length-1."""
    inside = ((position >= 0) & (position <= length - 1)).to(position.dtype)
    low = position.floor().clamp(0, length - 1)
    share = position - low
    high = (low + 1).clamp(max=length - 1)
    return [(low.long(), (1 - share) * inside), (high.long(), share * inside)]


def _regions(boxes: Tensor, images: Tensor) -> Tensor:
    return torch.cat([images.to(boxes.dtype)[:, None], boxes], dim=1)
