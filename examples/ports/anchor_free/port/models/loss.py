"""Which location answers for which object, and the losses of that."""

from __future__ import annotations

import jittor as jt
from jittor import nn

RANGES = {8: (-1.0, 24.0), 16: (24.0, 1e8)}  # of the greatest distance that a level regresses
INFINITY = 1e8


def binary_cross_entropy(logits, targets):
    """Of each element."""
    return logits.maximum(0) - logits * targets + (1 + (-logits.abs()).exp()).log()


def sigmoid_focal_loss(logits, targets, alpha=0.25, gamma=2.0):
    """Sum over all locations and classes; targets are 0 or 1."""
    p = logits.sigmoid()
    cross_entropy = binary_cross_entropy(logits, targets)
    p_t = p * targets + (1 - p) * (1 - targets)
    alpha_t = alpha * targets + (1 - alpha) * (1 - targets)
    return (alpha_t * (1 - p_t) ** gamma * cross_entropy).sum()


def iou_loss(distances, goals, weight):
    """-log IoU of boxes [P, 4] around one location each, given by their distances; weighted sum."""
    left, top, right, bottom = distances.unbind(1)
    goal_left, goal_top, goal_right, goal_bottom = goals.unbind(1)
    area = (left + right) * (top + bottom)
    goal_area = (goal_left + goal_right) * (goal_top + goal_bottom)
    width = jt.minimum(left, goal_left) + jt.minimum(right, goal_right)
    height = jt.minimum(top, goal_top) + jt.minimum(bottom, goal_bottom)
    inner = width * height
    iou = (inner + 1.0) / (area + goal_area - inner + 1.0)
    return (-iou.log() * weight).sum()


def centerness_of(goals):
    """Distances [P, 4] -> [P]: 1 in the middle of the box, 0 on its border."""
    across, along = goals[:, [0, 2]], goals[:, [1, 3]]
    across = across.min(1) / across.max(1)
    along = along.min(1) / along.max(1)
    return (across * along).sqrt()


class FCOSLoss(nn.Module):
    def __init__(self, classes, radius=1.5):
        super().__init__()
        self.classes, self.radius = classes, radius

    @jt.no_grad()
    def assign(self, points, strides, boxes, labels):
        """Of one image: label per location, `classes` where background; distances [N, 4] to its box."""
        background = jt.full(points.shape[:1], self.classes)
        if len(boxes) == 0:
            return background, jt.zeros((len(points), 4), dtype=points.dtype)
        x, y = points[:, 0, None], points[:, 1, None]
        sides = [x - boxes[:, 0], y - boxes[:, 1], boxes[:, 2] - x, boxes[:, 3] - y]
        distances = jt.stack(sides, -1)  # [N, T, 4]
        center = (boxes[:, :2] + boxes[:, 2:]) / 2
        reach = strides[:, None] * self.radius
        near = ((x - center[:, 0]).abs() < reach) & ((y - center[:, 1]).abs() < reach)
        greatest = distances.max(2)
        low, high = (
            jt.where(
                strides == 8,
                jt.full_like(strides, RANGES[8][k]),
                jt.full_like(strides, RANGES[16][k]),
            )[:, None]
            for k in (0, 1)
        )
        chosen = near & (distances.min(2) > 0) & (greatest >= low) & (greatest <= high)
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        area = jt.where(chosen, area[None].expand_as(chosen), INFINITY)
        which, least = jt.argmin(area, 1)
        found = jt.where(least < INFINITY, labels[which], background)
        return found, distances[jt.arange(len(points)), which]

    def execute(self, outputs, targets):
        """Targets: per image boxes xyxy [T, 4] in pixels, labels [T]."""
        assigned = [
            self.assign(outputs["points"], outputs["strides"], t["boxes"], t["labels"])
            for t in targets
        ]
        labels, goals = (jt.stack(x) for x in zip(*assigned, strict=True))
        logits = outputs["logits"]
        hot = (labels[..., None] == jt.arange(self.classes)).cast(logits.dtype)
        positive = labels < self.classes
        count = max(int(positive.sum().item()), 1)
        goals = goals[positive]
        weight = centerness_of(goals)
        normaliser = weight.sum().clamp(min_v=1e-6)
        return {
            "loss_cls": sigmoid_focal_loss(logits, hot) / count,
            "loss_box": iou_loss(outputs["distances"][positive], goals, weight) / normaliser,
            "loss_ctr": binary_cross_entropy(outputs["centerness"][positive], weight).sum() / count,
        }
