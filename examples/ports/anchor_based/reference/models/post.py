"""Detections of the model's outputs: best k above a threshold, boxes, suppression class by class."""

from __future__ import annotations

import torch
from torch import nn

from models.box_coder import BoxCoder, box_iou

CATEGORIES = (1, 3, 8)  # the data set's ids of classes 0, 1, ...


def nms(boxes, scores, threshold):
    """Indices of the boxes kept [K], best first."""
    order = scores.argsort(descending=True)
    overlap, kept = box_iou(boxes, boxes), []
    for k in order.tolist():
        if all(overlap[k, j] <= threshold for j in kept):
            kept.append(k)
    return torch.tensor(kept, dtype=torch.int64)


def clip_boxes(boxes, size):
    """xyxy [N, 4] within an image of that size (height, width)."""
    height, width = size
    x, y = boxes[:, 0::2].clamp(0, width), boxes[:, 1::2].clamp(0, height)
    return torch.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], 1)


class PostProcess(nn.Module):
    def __init__(self, threshold=0.05, candidates=20, overlap=0.5, detections=8):
        super().__init__()
        self.threshold, self.candidates = threshold, candidates
        self.overlap, self.detections, self.coder = overlap, detections, BoxCoder()

    @torch.no_grad()
    def forward(self, outputs, size):
        """size (height, width) -> per image boxes xyxy [K, 4], scores [K], labels [K] (category ids)."""
        found = []
        for logits, deltas in zip(outputs["logits"], outputs["deltas"], strict=True):
            scores = logits.sigmoid().reshape(-1)
            places = (scores > self.threshold).nonzero()[:, 0]
            best, order = scores[places].topk(min(self.candidates, len(places)))
            places = places[order]
            anchor, labels = places // logits.shape[1], places % logits.shape[1]
            boxes = clip_boxes(self.coder.decode(deltas[anchor], outputs["anchors"][anchor]), size)
            apart = labels[:, None].to(boxes.dtype) * (max(size) + 1)
            kept = nms(boxes + apart, best, self.overlap)[: self.detections]
            labels = torch.tensor(CATEGORIES)[labels[kept]]
            found.append({"boxes": boxes[kept], "scores": best[kept], "labels": labels})
        return found
