"""The model, its criterion, and what makes detections of its outputs."""

from __future__ import annotations

import itertools

import jittor as jt
from jittor import nn

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

    def execute(self, x):
        for layer in self.layers[:-1]:
            x = nn.relu(layer(x))
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

    def execute(self, samples):
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
        self.empty_weight = jt.ones(classes + 1)
        self.empty_weight[classes] = eos_coef
        self.empty_weight = self.empty_weight.stop_grad()

    def losses(self, outputs, targets, num_boxes):
        logits, boxes = outputs["pred_logits"], outputs["pred_boxes"]
        indices = self.matcher(outputs, targets)
        batch = jt.concat([jt.full_like(q, k) for k, (q, _) in enumerate(indices)])
        query = jt.concat([q for q, _ in indices])
        labels = jt.concat([t["labels"][j] for t, (_, j) in zip(targets, indices)])
        goals = jt.concat([t["boxes"][j] for t, (_, j) in zip(targets, indices)])
        classes = jt.full(logits.shape[:2], self.classes, dtype="int32")
        classes[batch, query] = labels
        weight = self.empty_weight.cast(logits.dtype)
        found = boxes[batch, query]
        overlap = jt.diag(generalized_box_iou(box_cxcywh_to_xyxy(found), box_cxcywh_to_xyxy(goals)))
        return {
            "loss_ce": nn.cross_entropy_loss(
                logits.reshape(-1, logits.shape[-1]), classes.reshape(-1), weight
            ),
            "loss_bbox": (found - goals).abs().sum() / num_boxes,
            "loss_giou": (1 - overlap).sum() / num_boxes,
        }

    def execute(self, outputs, targets):
        num_boxes = max(sum(len(t["labels"]) for t in targets), 1)
        losses = self.losses(outputs, targets, num_boxes)
        for k, aux in enumerate(outputs["aux_outputs"]):
            found = self.losses(aux, targets, num_boxes)
            losses.update({f"{name}_{k}": value for name, value in found.items()})
        return losses


class PostProcess(nn.Module):
    @jt.no_grad()
    def execute(self, outputs, target_sizes):
        """target_sizes [B, 2] as (height, width) -> per image scores, labels (category ids), boxes xyxy."""
        labels, scores = jt.argmax(nn.softmax(outputs["pred_logits"], dim=-1)[..., :-1], -1)
        boxes = box_cxcywh_to_xyxy(outputs["pred_boxes"])
        height, width = target_sizes.unbind(1)
        boxes = boxes * jt.stack([width, height, width, height], 1)[:, None]
        labels = jt.array(CATEGORIES)[labels]
        return [{"scores": s, "labels": c, "boxes": b} for s, c, b in zip(scores, labels, boxes)]


def build_model(classes=4, queries=6):
    """The model, the criterion, the post-processing."""
    model = DETR(Backbone(), Transformer(), classes, queries)
    criterion = SetCriterion(classes, HungarianMatcher())
    criterion.weight_dict = {"loss_ce": 1.0, "loss_bbox": 5.0, "loss_giou": 2.0}
    aux = {f"{k}_0": v for k, v in criterion.weight_dict.items()}
    criterion.weight_dict.update(aux)
    return model, criterion, PostProcess()
