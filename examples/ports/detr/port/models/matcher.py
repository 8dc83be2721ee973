"""Which query is which object: the cheapest assignment, image by image."""

from __future__ import annotations

import jittor as jt
from jittor import nn
from scipy.optimize import linear_sum_assignment

from models.box_ops import box_cxcywh_to_xyxy, generalized_box_iou


class HungarianMatcher(nn.Module):
    def __init__(self, cost_class=1.0, cost_bbox=5.0, cost_giou=2.0):
        super().__init__()
        self.cost_class, self.cost_bbox, self.cost_giou = cost_class, cost_bbox, cost_giou

    @jt.no_grad()
    def execute(self, outputs, targets):
        """pred_logits [B, Q, C + 1], pred_boxes [B, Q, 4] -> per image (queries [T], objects [T])."""
        indices = []
        for logits, boxes, target in zip(outputs["pred_logits"], outputs["pred_boxes"], targets):
            cost_class = -nn.softmax(logits, dim=-1)[:, target["labels"]]  # [Q, T]
            cost_bbox = (boxes[:, None] - target["boxes"][None]).abs().sum(-1)
            cost_giou = -generalized_box_iou(
                box_cxcywh_to_xyxy(boxes), box_cxcywh_to_xyxy(target["boxes"])
            )
            cost = self.cost_bbox * cost_bbox + self.cost_class * cost_class
            cost = cost + self.cost_giou * cost_giou
            queries, objects = linear_sum_assignment(cost.numpy())
            indices.append((jt.array(queries), jt.array(objects)))
        return indices
