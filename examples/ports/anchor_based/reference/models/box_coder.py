"""Boxes as differences from anchors, in units of `std`."""

from __future__ import annotations

import torch


class BoxCoder:
    def __init__(self, std=(0.1, 0.1, 0.2, 0.2), limit=4.135):
        self.std, self.limit = std, limit

    def encode(self, boxes, anchors):
        """xyxy [N, 4] of both -> [N, 4]."""
        width, height, x, y = self.measured(anchors)
        box_width, box_height, box_x, box_y = self.measured(boxes)
        return torch.stack(
            [
                (box_x - x) / width / self.std[0],
                (box_y - y) / height / self.std[1],
                (box_width / width).log() / self.std[2],
                (box_height / height).log() / self.std[3],
            ],
            1,
        )

    def decode(self, deltas, anchors):
        """deltas [N, 4], anchors xyxy [N, 4] -> xyxy [N, 4]."""
        width, height, x, y = self.measured(anchors)
        dx, dy, dw, dh = (deltas[:, k] * self.std[k] for k in range(4))
        dw, dh = dw.clamp(max=self.limit), dh.clamp(max=self.limit)
        x, y = x + dx * width, y + dy * height
        width, height = width * dw.exp(), height * dh.exp()
        return torch.stack(
            [x - 0.5 * width, y - 0.5 * height, x + 0.5 * width, y + 0.5 * height], 1
        )

    def measured(self, boxes):
        width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
        return width, height, boxes[:, 0] + 0.5 * width, boxes[:, 1] + 0.5 * height


def box_iou(a, b):
    """xyxy [N, 4], [M, 4] -> IoU [N, M]."""
    low = torch.max(a[:, None, :2], b[None, :, :2])
    high = torch.min(a[:, None, 2:], b[None, :, 2:])
    sides = (high - low).clamp(min=0)
    inner = sides[..., 0] * sides[..., 1]
    area_a = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1])
    area_b = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    return inner / (area_a[:, None] + area_b[None] - inner)
