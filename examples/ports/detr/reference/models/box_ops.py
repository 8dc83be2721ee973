"""Boxes [..., 4], relative to the image: cxcywh as predicted, xyxy for overlaps."""

from __future__ import annotations

import torch


def box_cxcywh_to_xyxy(boxes):
    cx, cy, w, h = boxes.unbind(-1)
    return torch.stack([cx - 0.5 * w, cy - 0.5 * h, cx + 0.5 * w, cy + 0.5 * h], -1)


def box_area(boxes):
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def generalized_box_iou(a, b):
    """xyxy [N, 4], [M, 4] -> GIoU [N, M]."""
    low = torch.max(a[:, None, :2], b[None, :, :2])
    high = torch.min(a[:, None, 2:], b[None, :, 2:])
    inner = (high - low).clamp(min=0).prod(-1)
    union = box_area(a)[:, None] + box_area(b)[None] - inner
    low = torch.min(a[:, None, :2], b[None, :, :2])
    high = torch.max(a[:, None, 2:], b[None, :, 2:])
    hull = (high - low).clamp(min=0).prod(-1)
    return inner / union - (hull - union) / hull
