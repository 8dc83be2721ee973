"""Box algebra on tensors [..., 4] xyxy in pixels; neutral/geometry.py is its oracle.

`offset` is 0, or 1 for the legacy convention in which a box from 0 to 9 is 10 pixels wide.
"""

from __future__ import annotations

import numpy as np

from neutral.config.faster_rcnn import BoxLossConfig, CoderConfig
from torch_impl import ops


def sides(boxes, offset: float):
    """[..., 4] -> widths and heights [..., 2]."""
    return boxes[..., 2:] - boxes[..., :2] + offset


def area(boxes, offset: float):
    """[..., 4] -> [...]."""
    extent = sides(boxes, offset)
    return extent[..., 0] * extent[..., 1]


def iou(a, b, offset: float):
    """IoU of every a with every b: [B, N, 4] and [B, M, 4] -> [B, N, M]; 0 where both are empty."""
    a, b = a[:, :, None], b[:, None]
    inner = ops.minimum(a[..., 2:], b[..., 2:]) - ops.maximum(a[..., :2], b[..., :2]) + offset
    inner = ops.clamp_min(inner, 0)
    overlap = inner[..., 0] * inner[..., 1]
    union = area(a, offset) + area(b, offset) - overlap
    empty = union <= 0
    return overlap / (union + ops.cast(empty, union))


def clip(boxes, far):
    """Into [0, far]: boxes [B, N, 4], far [B, 1, 4] the greatest (x, y, x, y)."""
    return ops.minimum(ops.clamp_min(boxes, 0), far)


class BoxCoder:
    """Deltas of boxes against reference boxes and back (Girshick et al. 2014, appendix C)."""

    def __init__(self, config: CoderConfig, order: str, offset: float):
        self.clamp = config.clamp
        self.order = order
        self.offset = offset
        self.scale = np.array(config.scale)
        self.is_weights = config.scale_is == "weights"

    def reorder(self, deltas):
        """(x, y, w, h) <-> (y, x, h, w) when that is the order of the network's outputs."""
        if self.order == "xy":
            return deltas
        return ops.stack([deltas[..., k] for k in (1, 0, 3, 2)], -1)

    def encode(self, boxes, reference):
        """[..., 4] boxes against [..., 4] reference boxes -> deltas [..., 4] in the network's order."""
        size, reference_size = sides(boxes, self.offset), sides(reference, self.offset)
        shift = boxes[..., :2] + size / 2 - (reference[..., :2] + reference_size / 2)
        deltas = ops.cat([shift / reference_size, (size / reference_size).log()], -1)
        scale = ops.array(self.scale, like=deltas)
        return self.reorder(deltas * scale if self.is_weights else deltas / scale)

    def encode_positive(self, matched, boxes, positive):
        """Deltas of positive boxes [..., 4] against their objects; 0 for the others, which may have no area."""
        mask = ops.expand(positive[..., None], *boxes.shape)
        unit = ops.array(np.array([0.0, 0.0, 1.0, 1.0]), like=boxes)
        unit = ops.expand(unit.reshape(*[1] * (len(boxes.shape) - 1), 4), *boxes.shape)
        return self.encode(ops.where(mask, matched, unit), ops.where(mask, boxes, unit))

    def decode(self, deltas, reference):
        """Inverse of `encode`; [..., 4] and [..., 4] that broadcast -> boxes [..., 4]."""
        scale = ops.array(self.scale, like=deltas)
        deltas = self.reorder(deltas)
        deltas = deltas / scale if self.is_weights else deltas * scale
        shift, growth = deltas[..., :2], deltas[..., 2:]
        if self.clamp > 0:
            growth = ops.minimum(growth, ops.array(np.array([self.clamp]), like=growth))
        reference_size = sides(reference, self.offset)
        size = growth.exp() * reference_size
        centre = shift * reference_size + (reference[..., :2] + reference_size / 2)
        return ops.cat([centre - size / 2, centre + size / 2], -1)


def box_loss(deltas, goal, config: BoxLossConfig):
    """Smooth L1 or L1 of every box, summed over its four deltas: [..., 4] and [..., 4] -> [...]."""
    distance = ops.absolute(deltas - goal)
    if config.kind == "smooth_l1" and config.beta > 0:
        beta = ops.scalar(config.beta, deltas)
        squared = distance * distance / beta / 2
        distance = ops.where(distance < beta, squared, distance - beta / 2)
    return distance.sum(-1)
