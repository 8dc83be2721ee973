"""DETR's losses: classification, L1 and GIoU of the matched boxes, for every decoder layer.

Follows facebookresearch/detr models/detr.py:83-258. Losses are returned unweighted under the
reference's names (`loss_ce`, `loss_bbox`, `loss_giou`, with `_0`, `_1`, ... for the auxiliary
layers); `class_error` and `cardinality_error` are for the log only.

B images, Q queries, C classes, M matched pairs in the batch.
"""

from __future__ import annotations

import numpy as np

from neutral.choices import Choices
from neutral.config import CriterionConfig, MatcherConfig
from neutral.data.coco import Target
from torch_impl import ops
from torch_impl.detr.box_ops import cxcywh_to_xyxy, giou
from torch_impl.detr.matcher import match
from torch_impl.detr.segmentation import mask_losses


def classification_loss(logits, classes: np.ndarray, config: CriterionConfig):
    """Cross entropy as a weighted mean: logits [B, Q, C + 1], classes int64 [B, Q] -> scalar."""
    no_object = logits.shape[2] - 1
    eos = np.float32(config.eos_coef)  # the reference keeps class weights in float32 (detr.py:103)
    weights = ops.array(np.where(classes == no_object, eos, np.float32(1)), like=logits)
    negative = -ops.take_last(ops.log_softmax(logits, 2), classes)
    return (weights * negative).sum() / weights.sum()


def box_losses(boxes, goal, num_boxes: float):
    """boxes and goal [M, 4] relative cxcywh, M > 0 -> L1 and GIoU losses, scalars."""
    loss_bbox = ops.absolute(boxes - goal).sum() / num_boxes
    loss_giou = (1 - giou(cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(goal))).sum() / num_boxes
    return loss_bbox, loss_giou


def class_error(logits, classes: np.ndarray, image: np.ndarray, query: np.ndarray) -> float:
    """Percentage of matched queries whose greatest logit is another class; 100 without matches."""
    if len(image) == 0:
        return 100.0
    predicted = ops.to_numpy(ops.argmax(ops.gather_pairs(logits, image, query), 1))
    return 100.0 - 100.0 * float((predicted == classes[image, query]).mean())


def cardinality_error(logits, targets: tuple[Target, ...]) -> float:
    """Mean absolute difference between the number of predicted objects and of targets."""
    predicted = (ops.to_numpy(ops.argmax(logits, 2)) != logits.shape[2] - 1).sum(axis=1)
    return float(np.abs(predicted - np.array([len(t.labels) for t in targets])).mean())


def criterion(
    outputs,
    targets: tuple[Target, ...],
    matcher: MatcherConfig,
    config: CriterionConfig,
    choices: Choices,
    num_boxes: float,
    masks=None,
):
    """Losses of the model's outputs, and of the last layer's `masks` where it makes any.

    Which query is matched to which target is settled by `choices`; num_boxes: by how many objects losses are divided.

    Returns the weighted total (a scalar tensor), the unweighted losses by name (scalar tensors),
    the logged errors by name (floats) and the matches per layer, last decoder layer last.
    """
    total, losses, errors, matches = None, {}, {}, []
    num_boxes = ops.scalar(num_boxes, outputs[0][1])
    for k, (logits, boxes) in enumerate(outputs):
        is_last = k == len(outputs) - 1
        suffix = "" if is_last else f"_{k}"
        pairs = match(logits, boxes, targets, matcher, choices, f"matches/layer{k}")
        image = np.concatenate([np.full(len(q), i) for i, (q, _) in enumerate(pairs)]).astype(
            np.int64
        )
        query = np.concatenate([q for q, _ in pairs])
        classes = np.full((logits.shape[0], logits.shape[1]), logits.shape[2] - 1, dtype=np.int64)
        classes[image, query] = np.concatenate([t.labels[j] for t, (_, j) in zip(targets, pairs)])
        loss_ce = classification_loss(logits, classes, config)
        if len(image):
            goal = np.concatenate([t.boxes[j] for t, (_, j) in zip(targets, pairs)])
            matched = ops.gather_pairs(boxes, image, query)
            loss_bbox, loss_giou = box_losses(matched, ops.array(goal, like=boxes), num_boxes)
        else:
            loss_bbox, loss_giou = boxes.sum() * 0, boxes.sum() * 0
        found = {"loss_ce": loss_ce, "loss_bbox": loss_bbox, "loss_giou": loss_giou}
        if is_last and masks is not None:
            segmented = mask_losses(masks, targets, pairs, num_boxes, config)
            found |= dict(zip(("loss_mask", "loss_dice"), segmented))
        for name, loss in found.items():
            losses[name + suffix] = loss
            weighted = loss * ops.scalar(getattr(config, name), loss)
            total = weighted if total is None else total + weighted
        errors["cardinality_error" + suffix] = cardinality_error(logits, targets)
        if is_last:
            errors["class_error"] = class_error(logits, classes, image, query)
        matches.append(pairs)
    return total, losses, errors, matches
