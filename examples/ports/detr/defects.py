"""What ports of DETR get wrong."""

from examples.ports.defect import Defect
from parity.engine.judge import kinds

ROOT = "(model)"
OTHER = (kinds.FORMULA, kinds.BRANCH)

DEFECTS = [
    Defect(
        "eps of the frozen batch norm",
        "models/backbone.py",
        old="self.running_var + 1e-5",
        new="self.running_var + 1e-3",
        where="backbone.norms.0",
        kind=(kinds.CONSTANT, *OTHER),
        fast=True,
    ),
    Defect(
        "positions not normalised by the image",
        "models/backbone.py",
        old="y / (y[:, -1:, :] + 1e-6)",
        new="y / y.shape[1]",
        where="position_embedding",
        kind=OTHER,
    ),
    Defect(
        "polarity of the mask",
        "models/transformer.py",
        old="padding[:, None, None, :], -1e9",
        new="padding.logical_not()[:, None, None, :], -1e9",
        where="transformer.encoder.0.self_attn",
        kind=OTHER,
    ),
    Defect(
        "auxiliary outputs detached",
        "models/detr.py",
        old='{"pred_logits": a, "pred_boxes": b}',
        new='{"pred_logits": a.detach(), "pred_boxes": b.detach()}',
        where=ROOT,
        node="*_embed",
        kind=(kinds.DETACHED, kinds.BACKWARD),
    ),
    Defect(
        "sigmoid twice",
        "models/detr.py",
        old="self.bbox_embed(queries).sigmoid()",
        new="self.bbox_embed(queries).sigmoid().sigmoid()",
        where=ROOT,
        node="(model)[pred_boxes]",
        kind=OTHER,
    ),
    Defect(
        "class cost of the matcher missing",
        "models/matcher.py",
        old="self.cost_bbox * cost_bbox + self.cost_class * cost_class",
        new="self.cost_bbox * cost_bbox",
        where=ROOT,
        node="(model)[?][?]",
        kind=(kinds.CHOICE, kinds.ORDER, *OTHER),
        case="matcher",
        fast=True,
    ),
    Defect(
        "divided by the images",
        "models/detr.py",
        old='max(sum(len(t["labels"]) for t in targets), 1)',
        new="len(targets)",
        where=ROOT,
        node="(model)[loss_bbox]",
        kind=kinds.CONSTANT,
        case="criterion",
    ),
    Defect(
        "no gradient through GIoU",
        "models/detr.py",
        old="generalized_box_iou(box_cxcywh_to_xyxy(found), ",
        new="generalized_box_iou(box_cxcywh_to_xyxy(found.detach()), ",
        where=ROOT,
        node="(model)[loss_giou]",
        kind=(kinds.DETACHED, kinds.BACKWARD),
        case="criterion",
    ),
    Defect(
        "category ids off by one",
        "models/detr.py",
        old="labels = jt.array(CATEGORIES)[labels]",
        new="labels = labels + 1",
        where=ROOT,
        node="(model)[?][labels]",
        kind=OTHER,
        case="post",
    ),
]
