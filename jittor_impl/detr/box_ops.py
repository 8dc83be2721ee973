"""Box algebra on tensors: the twins of neutral/geometry.py, which is their oracle."""

from __future__ import annotations

from jittor_impl import ops


def cxcywh_to_xyxy(boxes):
    """[..., 4] -> [..., 4]."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return ops.cat([centre - half, centre + half], -1)


def area(boxes):
    """xyxy [..., 4] -> [...]."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def giou(a, b):
    """Generalised IoU of xyxy boxes that broadcast against each other: [..., 4] and [..., 4] -> [...]."""
    inner = ops.clamp_min(
        ops.minimum(a[..., 2:], b[..., 2:]) - ops.maximum(a[..., :2], b[..., :2]), 0
    )
    overlap = inner[..., 0] * inner[..., 1]
    union = area(a) + area(b) - overlap
    outer = ops.maximum(a[..., 2:], b[..., 2:]) - ops.minimum(a[..., :2], b[..., :2])
    hull = outer[..., 0] * outer[..., 1]
    return overlap / union - (hull - union) / hull
