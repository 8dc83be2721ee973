"""The model, its criterion, and what makes detections of its outputs."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import nn

from models.backbone import Backbone, PositionEmbeddingSine
from models.box_ops import box_cxcywh_to_xyxy, generalized_box_iou
from models.matcher import HungarianMatcher
from models.transformer import Transformer

CATEGORIES = (1, 2, 3, 7)  # the data set's ids of classes 0, 1, ...


class MLP(nn.Module):
    def __init__(self, dim, hidden, outputs):
        super().__init__()
        sizes = (dim, hidden, hidden, outputs)
        self.layers = nn.ModuleList([nn.Linear(a, b) for a, b in itertools.pairwise(sizes)])

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


class DETR(nn.Module):
    def __init__(self, backbone, transformer, classes, queries):
        super().__init__()
        dim = transformer.dim
        self.backbone, self.transformer = backbone, transformer
        self.position_embedding = PositionEmbeddingSine(dim // 2)
        self.input_proj = nn.Conv2d(backbone.num_channels, dim, 1)
        self.query_embed = nn.Embedding(queries, dim)
        self.class_embed, self.bbox_embed = nn.Linear(dim, classes + 1), MLP(dim, dim, 4)

    def forward(self, samples):
        """NestedTensor -> pred_logits [B, Q, C + 1], pred_boxes [B, Q, 4] cxcywh, aux_outputs."""
        x, mask = self.backbone(samples)
        pos = self.position_embedding(x, mask)
        queries = self.transformer(self.input_proj(x), mask, self.query_embed.weight, pos)
        logits, boxes = self.class_embed(queries), self.bbox_embed(queries).sigmoid()
        aux = [{"pred_logits": a, "pred_boxes": b} for a, b in zip(logits[:-1], boxes[:-1])]
        return {"pred_logits": logits[-1], "pred_boxes": boxes[-1], "aux_outputs": aux}


class SetCriterion(nn.Module):
    """Losses of matched queries; eos_coef is the weight of "no object", the last class."""

    def __init__(self, classes, matcher, eos_coef=0.1):
        super().__init__()
        self.classes, self.matcher = classes, matcher
        weight = torch.ones(classes + 1)
        weight[-1] = eos_coef
        self.register_buffer("empty_weight", weight)

    def losses(self, outputs, targets, num_boxes):
        logits, boxes = outputs["pred_logits"], outputs["pred_boxes"]
        indices = self.matcher(outputs, targets)
        batch = torch.cat([torch.full_like(q, k) for k, (q, _) in enumerate(indices)])
        query = torch.cat([q for q, _ in indices])
        labels = torch.cat([t["labels"][j] for t, (_, j) in zip(targets, indices)])
        goals = torch.cat([t["boxes"][j] for t, (_, j) in zip(targets, indices)])
        classes = torch.full(logits.shape[:2], self.classes, dtype=torch.int64)
        classes[batch, query] = labels
        weight = self.empty_weight.to(logits.dtype)
        found = boxes[batch, query]
        overlap = generalized_box_iou(box_cxcywh_to_xyxy(found), box_cxcywh_to_xyxy(goals)).diag()
        return {
            "loss_ce": F.cross_entropy(logits.transpose(1, 2), classes, weight),
            "loss_bbox": F.l1_loss(found, goals, reduction="sum") / num_boxes,
            "loss_giou": (1 - overlap).sum() / num_boxes,
        }

    def forward(self, outputs, targets):
        num_boxes = max(sum(len(t["labels"]) for t in targets), 1)
        losses = self.losses(outputs, targets, num_boxes)
        for k, aux in enumerate(outputs["aux_outputs"]):
            found = self.losses(aux, targets, num_boxes)
            losses.update({f"{name}_{k}": value for name, value in found.items()})
        return losses


class PostProcess(nn.Module):
    @torch.no_grad()
    def forward(self, outputs, target_sizes):
        """target_sizes [B, 2] as (height, width) -> per image scores, labels (category ids), boxes xyxy."""
        scores, labels = outputs["pred_logits"].softmax(-1)[..., :-1].max(-1)
        boxes = box_cxcywh_to_xyxy(outputs["pred_boxes"])
        height, width = target_sizes.unbind(1)
        boxes = boxes * torch.stack([width, height, width, height], 1)[:, None]
        labels = torch.tensor(CATEGORIES)[labels]
        return [{"scores": s, "labels": c, "boxes": b} for s, c, b in zip(scores, labels, boxes)]


def build_model(classes=4, queries=6):
    """The model, the criterion, the post-processing."""
    model = DETR(Backbone(), Transformer(), classes, queries)
    criterion = SetCriterion(classes, HungarianMatcher())
    criterion.weight_dict = {"loss_ce": 1.0, "loss_bbox": 5.0, "loss_giou": 2.0}
    aux = {f"{k}_0": v for k, v in criterion.weight_dict.items()}
    criterion.weight_dict.update(aux)
    return model, criterion, PostProcess()
