"""Detections of the model's outputs: threshold, best k, boxes, suppression class by class."""

from __future__ import annotations

import torch
from torch import nn


def nms(boxes, scores, threshold):
    """Indices of the boxes kept [K], best first."""
    order, kept = scores.argsort(descending=True).tolist(), []
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    while order:
        best, rest = order[0], order[1:]
        kept.append(best)
        low = torch.max(boxes[best, :2], boxes[rest, :2])
        high = torch.min(boxes[best, 2:], boxes[rest, 2:])
        inner = (high - low).clamp(min=0).prod(1)
        iou = inner / (area[best] + area[rest] - inner)
        order = [k for k, overlap in zip(rest, iou.tolist(), strict=True) if overlap <= threshold]
    return torch.tensor(kept, dtype=torch.int64)


class PostProcess(nn.Module):
    def __init__(self, threshold=0.05, candidates=20, overlap=0.5, detections=8):
        super().__init__()
        self.threshold, self.candidates = threshold, candidates
        self.overlap, self.detections = overlap, detections

    @torch.no_grad()
    def forward(self, outputs, size):
        """size (height, width) -> per image boxes xyxy [K, 4], scores [K], labels [K] from 1."""
        chances = outputs["logits"].sigmoid()
        weights = outputs["centerness"].sigmoid()
        found = []
        for chance, weight, distances in zip(chances, weights, outputs["distances"], strict=True):
            found.append(self.of_one(chance, weight, distances, outputs["points"], size))
        return found

    def of_one(self, chance, weight, distances, points, size):
        classes = chance.shape[1]
        places = (chance > self.threshold).reshape(-1).nonzero()[:, 0]
        scores = (chance * weight[:, None]).reshape(-1)[places]
        scores, order = scores.topk(min(self.candidates, len(places)))
        places = places[order]
        point, labels = places // classes, places % classes
        x, y = points[point].unbind(1)
        left, top, right, bottom = distances[point].unbind(1)
        height, width = size
        boxes = torch.stack(
            [
                (x - left).clamp(0, width),
                (y - top).clamp(0, height),
                (x + right).clamp(0, width),
                (y + bottom).clamp(0, height),
            ],
            1,
        )
        shifted = boxes + labels[:, None].to(boxes.dtype) * (max(size) + 1)
        kept = nms(shifted, scores, self.overlap)[: self.detections]
        return {"boxes": boxes[kept], "scores": scores[kept].sqrt(), "labels": labels[kept] + 1}
