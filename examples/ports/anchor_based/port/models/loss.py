"""Which anchor answers for which object, and the losses of that."""

from __future__ import annotations

import jittor as jt
from jittor import nn

from models.box_coder import BoxCoder, box_iou

BACKGROUND, IGNORED = -1, -2


def binary_cross_entropy(logits, targets):
    """Of each element."""
    return logits.maximum(0) - logits * targets + (1 + (-logits.abs()).exp()).log()


def focal_loss(logits, targets, alpha=0.25, gamma=2.0):
    """[N, C] of both -> sum; targets are 0 or 1."""
    p = logits.sigmoid()
    cross_entropy = binary_cross_entropy(logits, targets)
    p_t = p * targets + (1 - p) * (1 - targets)
    alpha_t = alpha * targets + (1 - alpha) * (1 - targets)
    return (alpha_t * (1 - p_t) ** gamma * cross_entropy).sum()


def smooth_l1(found, wanted, beta=1 / 9):
    distance = (found - wanted).abs()
    return jt.where(distance < beta, 0.5 * distance**2 / beta, distance - 0.5 * beta).sum()


class Matcher:
    """IoU from `high` on is the object's, below `low` background, between them ignored; every object's best is its."""

    def __init__(self, low=0.4, high=0.5):
        self.low, self.high = low, high

    @jt.no_grad()
    def __call__(self, anchors, boxes):
        """[N, 4], [T, 4] -> int [N], the object, BACKGROUND or IGNORED."""
        if len(boxes) == 0:
            return jt.full((len(anchors),), BACKGROUND)
        overlap = box_iou(anchors, boxes)
        which, greatest = jt.argmax(overlap, 1)
        found = jt.where(greatest >= self.high, which, IGNORED)
        found = jt.where(greatest < self.low, BACKGROUND, found)
        best = overlap == overlap.max(0, keepdims=True)
        return jt.where((best.sum(1) > 0), which, found)


class RetinaLoss(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.classes, self.matcher, self.coder = classes, Matcher(), BoxCoder()

    def execute(self, outputs, targets):
        """Targets: per image boxes xyxy [T, 4] in pixels, labels [T]. Losses are divided by the positives of all."""
        anchors, count = outputs["anchors"], 0
        # a batch without objects has a loss of boxes, too
        classes, boxes = [], [outputs["deltas"].sum() * 0]
        for logits, deltas, target in zip(
            outputs["logits"], outputs["deltas"], targets, strict=True
        ):
            matched = self.matcher(anchors, target["boxes"])
            positive, used = matched >= 0, matched != IGNORED
            hot = jt.zeros_like(logits)
            objects = matched[positive]
            hot[positive.nonzero()[:, 0], target["labels"][objects]] = 1.0
            classes.append(focal_loss(logits[used], hot[used]))
            if len(objects):
                goals = self.coder.encode(target["boxes"][objects], anchors[positive])
                boxes.append(smooth_l1(deltas[positive], goals))
            count += len(objects)
        classes, boxes = (jt.concat(x).sum() / max(count, 1) for x in (classes, boxes))
        return {"loss_cls": classes, "loss_box": boxes}
