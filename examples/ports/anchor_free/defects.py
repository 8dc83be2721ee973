"""What ports of anchor-free detectors get wrong."""

from examples.ports.defect import Defect
from parity.engine.judge import kinds

ROOT = "(model)"
OTHER = (kinds.FORMULA, kinds.BRANCH)

DEFECTS = [
    Defect(
        "focal loss over positives only",
        "models/loss.py",
        old='"loss_cls": sigmoid_focal_loss(logits, hot) / count',
        new='"loss_cls": sigmoid_focal_loss(logits[positive], hot[positive]) / count',
        where=ROOT,
        node="(model)[loss_cls]",
        kind=(kinds.CONSTANT, *OTHER),
        case="criterion",
        fast=True,
    ),
    Defect(
        "no gradient to the box loss",
        "models/loss.py",
        old='iou_loss(outputs["distances"][positive], goals, weight)',
        new='iou_loss(outputs["distances"][positive].stop_grad(), goals, weight)',
        where=ROOT,
        node="(model)[loss_box]",
        kind=(kinds.DETACHED, kinds.BACKWARD),
        case="criterion",
    ),
    Defect(
        "centre sampling with half the radius",
        "models/loss.py",
        old="reach = strides[:, None] * self.radius",
        new="reach = strides[:, None] * self.radius / 2",
        where=ROOT,
        node="(model)[loss_cls]",
        kind=(kinds.CONSTANT, kinds.SHAPE, *OTHER),
        case="criterion",
    ),
    Defect(
        "half a stride missing",
        "models/fcos.py",
        old="x = (jt.arange(columns) * stride + stride // 2)",
        new="x = (jt.arange(columns) * stride)",
        where=ROOT,
        node="(model)[points]",
        kind=(kinds.TERM, *OTHER),
    ),
    Defect(
        "distances not in pixels",
        "models/fcos.py",
        old="scale(self.bbox_pred(box)).exp() * stride",
        new="scale(self.bbox_pred(box)).exp()",
        where="head",
        kind=(kinds.CONSTANT, *OTHER),
        fast=True,
    ),
    Defect(
        "levels enlarged bilinearly",
        "models/backbone.py",
        old='mode="nearest"',
        new='mode="bilinear"',
        where="pyramid",
        kind=OTHER,
    ),
    Defect(
        "frozen stage is trained",
        "models/backbone.py",
        old="self.stages[:freeze_at]",
        new="self.stages[: freeze_at - 1]",
        where=("backbone.stages.0*", "names"),
        kind=kinds.FROZEN,
    ),
    Defect(
        "NMS with +1",
        "models/post.py",
        old="np.clip(high - low, 0, None)",
        new="np.clip(high - low + 1, 0, None)",
        where=ROOT,
        node="(model)",
        kind=(kinds.SHAPE, kinds.ORDER, kinds.CHOICE, *OTHER),
        case="nms",
    ),
    Defect(
        "threshold on the product with centreness",
        "models/post.py",
        old="places = (chance > self.threshold)",
        new="places = (chance * weight[:, None] > self.threshold)",
        where=ROOT,
        node="(model)[?][boxes]",
        kind=(kinds.SHAPE, kinds.ORDER, kinds.CHOICE, *OTHER),
        case="post",
    ),
]
