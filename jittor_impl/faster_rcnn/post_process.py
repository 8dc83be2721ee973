"""Class probabilities and boxes -> detections: threshold, suppression per class, the best of them.

The rules of the public systems' predict functions (config.DetectionConfig). Every choice is settled
by name (see neutral/choices.py): which regions and classes are candidates, their order, which survive.
"""

from __future__ import annotations

import numpy as np

from jittor_impl import ops
from jittor_impl.faster_rcnn.boxes import clip
from jittor_impl.faster_rcnn.rpn import widen
from neutral.choices import relative
from neutral.config.faster_rcnn import FasterRcnnConfig
from neutral.data.coco import Target
from neutral.regret import bounds_regret, nms_regret, order_regret


def post_process(
    probabilities, boxes, filled, targets: tuple[Target, ...], config: FasterRcnnConfig, choices
) -> list[dict[str, np.ndarray]]:
    """probabilities [B, P, K], boxes [B, P, K, 4] in network pixels, filled bool [B, P].

    Per image, best first: scores [D], labels [D] int64 (1, 2, ...), boxes [D, 4] xyxy in pixels of the
    original image, whose size the targets tell.
    """
    rules = config.roi.detections
    batch, places, classes = probabilities.shape
    foreground = slice(1, None) if config.background == "first" else slice(0, classes - 1)
    far = [(t.size[1], t.size[0], t.size[1], t.size[0]) for t in targets]
    far = ops.array(np.array(far, dtype=np.float64) - rules.clip_offset, like=boxes)[:, None]
    boxes = clip(boxes.reshape(batch, -1, 4), far).reshape(batch, places, classes, 4)
    scores, corners = probabilities[:, :, foreground], boxes[:, :, foreground]
    candidates = settle_candidates(scores, corners, filled, rules, choices)
    corners, scores = ops.to_numpy(corners), ops.to_numpy(scores)
    labels = np.broadcast_to(np.arange(1, classes, dtype=np.int32), scores.shape[1:])
    found = []
    for i, target in enumerate(targets):
        chosen = candidates[i]
        score, box, label = scores[i][chosen], corners[i][chosen], labels[chosen]
        if len(score):
            order = settle_order(score, choices, f"detection_order/{i}")
            score, box, label = score[order], box[order], label[order]
            stays = settle_kept(box, label, rules, config.pixel_offset, choices, i)
            stays = np.flatnonzero(stays)[: rules.max_count or None]
            score, box, label = score[stays], box[stays], label[stays]
        height, width = (a / b for a, b in zip(target.original_size, target.size))
        ratio = np.array([width, height, width, height], dtype=box.dtype)
        found.append({"scores": score, "labels": label.astype(np.int64), "boxes": box * ratio})
    return found


def settle_candidates(scores, corners, filled, rules, choices) -> np.ndarray:
    """bool [B, P, K - 1]: scores above the threshold, boxes [B, P, K - 1, 4] of the least size."""
    score, box, empty = ops.to_numpy(scores), ops.to_numpy(corners), ~ops.to_numpy(filled)
    extent = (box[..., 2:] - box[..., :2]).min(axis=-1)  # the shorter side
    empty = np.broadcast_to(empty[:, :, None], score.shape)
    failed = np.stack([score <= rules.score_threshold, extent < rules.min_size, empty])
    good = ~failed.any(axis=0)

    def regret(given):
        margins = [
            relative(score - rules.score_threshold, score),
            relative(extent - rules.min_size, box),
            np.where(empty, -np.inf, np.inf),
        ]
        return bounds_regret(np.stack(margins, axis=-1))

    return ops.to_numpy(choices.settle("detection_candidates", ops.array(good), regret))


def settle_order(score: np.ndarray, choices, name: str) -> np.ndarray:
    """Scores [D] -> their places, best first, equal ones in the order that they had."""
    order = np.argsort(-score, kind="stable")
    settled = choices.settle(
        name,
        ops.array(order[None]),
        lambda given: order_regret(score[None], order[None], given),
    )
    return ops.to_numpy(settled)[0]


def settle_kept(box, label, rules, offset: float, choices, image: int) -> np.ndarray:
    """Boxes [D, 4] best first, labels int [D] -> bool [D], those that suppression per class keeps."""
    wide, allowed = widen(ops.array(box), offset), ops.array(np.ones(len(box), dtype=bool))
    kept = ops.nms(wide, ops.array(label), allowed, rules.nms_threshold)
    settled = choices.settle(
        f"detection_kept/{image}",
        kept[None],
        lambda given: nms_regret(
            ops.to_numpy(wide)[None],
            label[None],
            np.ones((1, len(box)), dtype=bool),
            rules.nms_threshold,
            given,
        ),
    )
    return ops.to_numpy(settled)[0]
