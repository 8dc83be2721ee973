"""Class probabilities and boxes -> detections: threshold, suppression per class, the best of them.

The rules of the public systems' predict functions (config.DetectionConfig).
"""

from __future__ import annotations

import numpy as np

from jittor_impl import ops
from jittor_impl.faster_rcnn.boxes import clip
from jittor_impl.faster_rcnn.rpn import widen
from neutral.config.faster_rcnn import FasterRcnnConfig
from neutral.data.coco import Target


def post_process(
    probabilities, boxes, filled, targets: tuple[Target, ...], config: FasterRcnnConfig
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
    corners, scores = ops.to_numpy(boxes[:, :, foreground]), ops.to_numpy(probabilities)
    scores, filled = scores[:, :, foreground], ops.to_numpy(filled)
    labels = np.broadcast_to(np.arange(1, classes), scores.shape[1:])
    found = []
    for i, target in enumerate(targets):
        keep = (scores[i] > rules.score_threshold) & filled[i][:, None]
        keep &= (corners[i][..., 2:] - corners[i][..., :2] >= rules.min_size).all(axis=-1)
        order = np.argsort(-scores[i][keep], kind="stable")
        score, box = scores[i][keep][order], corners[i][keep][order]
        label = labels[keep][order].astype(np.int32)
        if len(score):
            stays = ops.to_numpy(
                ops.nms(
                    widen(ops.array(box), config.pixel_offset),
                    ops.array(label),
                    ops.array(np.ones(len(box), dtype=bool)),
                    rules.nms_threshold,
                )
            )
            stays = np.flatnonzero(stays)[: rules.max_count or None]
            score, box, label = score[stays], box[stays], label[stays]
        height, width = (a / b for a, b in zip(target.original_size, target.size))
        ratio = np.array([width, height, width, height], dtype=box.dtype)
        found.append({"scores": score, "labels": label.astype(np.int64), "boxes": box * ratio})
    return found
