"""Which anchor answers for which object, and the losses of that."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from models.box_coder import BoxCoder, box_iou

BACKGROUND, IGNORED = -1, -2


def focal_loss(logits, targets, alpha=0.25, gamma=2.0):
    """[N, C] of both -> sum; targets are 0 or 1."""
    p = logits.sigmoid()
    cross_entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    p_t = p * targets + (1 - p) * (1 - targets)
    alpha_t = alpha * targets + (1 - alpha) * (1 - targets)
    return (alpha_t * (1 - p_t) ** gamma * cross_entropy).sum()


def smooth_l1(found, wanted, beta=1 / 9):
    distance = (found - wanted).abs()
    return torch.where(distance < beta, 0.5 * distance**2 / beta, distance - 0.5 * beta).sum()


class Matcher:
    """IoU from `high` on is the object's, below `low` background, between them ignored; every object's best is its."""

    def __init__(self, low=0.4, high=0.5):
        self.low, self.high = low, high

    @torch.no_grad()
    def __call__(self, anchors, boxes):
        """[N, 4], [T, 4] -> int [N], the object, BACKGROUND or IGNORED."""
        if len(boxes) == 0:
            return torch.full((len(anchors),), BACKGROUND)
        overlap = box_iou(anchors, boxes)
        greatest, which = overlap.max(1)
        found = torch.where(greatest >= self.high, which, IGNORED)
        found = torch.where(greatest < self.low, BACKGROUND, found)
        best = overlap == overlap.max(0, keepdim=True).values
        return torch.where(best.any(1), which, found)


class RetinaLoss(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.classes, self.matcher, self.coder = classes, Matcher(), BoxCoder()

    def forward(self, outputs, targets):
        """Targets: per image boxes xyxy [T, 4] in pixels, labels [T]. Losses are divided by the positives of all."""
        anchors, count = outputs["anchors"], 0
        # a batch without objects has a loss of boxes, too
        classes, boxes = [], [outputs["deltas"].sum() * 0]
        for logits, deltas, target in zip(
            outputs["logits"], outputs["deltas"], targets, strict=True
        ):
            matched = self.matcher(anchors, target["boxes"])
            positive, used = matched >= 0, matched != IGNORED
            hot = torch.zeros_like(logits)
            objects = matched[positive]
            hot[positive.nonzero()[:, 0], target["labels"][objects]] = 1.0
            classes.append(focal_loss(logits[used], hot[used]))
            if len(objects):
                goals = self.coder.encode(target["boxes"][objects], anchors[positive])
                boxes.append(smooth_l1(deltas[positive], goals))
            count += len(objects)
        classes, boxes = (torch.stack(x).sum() / max(count, 1) for x in (classes, boxes))
        return {"loss_cls": classes, "loss_box": boxes}
