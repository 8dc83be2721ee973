"""Outputs -> detections: one per query, its best class, boxes in pixels of the original image.

Follows facebookresearch/detr models/detr.py:258-286, for masks models/segmentation.py:219-242.
"""

from __future__ import annotations

import numpy as np

from neutral.config import MaskConfig
from neutral.data.batching import Batch
from neutral.data.coco import Target
from neutral.geometry import resize_nearest
from torch_impl import ops
from torch_impl.detr.box_ops import cxcywh_to_xyxy


def post_process(logits, boxes, targets: tuple[Target, ...]) -> list[dict[str, np.ndarray]]:
    """logits [B, Q, C + 1], boxes [B, Q, 4] relative cxcywh; sizes are taken from the targets.

    Per image: scores [Q], labels [Q] int64, boxes [Q, 4] xyxy in pixels.
    """
    scores, labels = ops.max_with_index(ops.softmax(logits, 2)[:, :, :-1], 2)
    sizes = [(width, height, width, height) for height, width in (t.original_size for t in targets)]
    scale = ops.array(np.array(sizes, dtype=np.float64), like=boxes)[:, None]  # [B, 1, 4]
    corners = ops.to_numpy(cxcywh_to_xyxy(boxes) * scale)
    scores, labels = ops.to_numpy(scores), ops.to_numpy(labels).astype(np.int64)
    return [
        {"scores": scores[i], "labels": labels[i], "boxes": corners[i]} for i in range(len(targets))
    ]


def post_process_masks(logits, batch: Batch, target: Target, config: MaskConfig) -> np.ndarray:
    """logits [Q, h, w] of one image of the batch -> bool [Q, H, W] at the image's original size."""
    logits = ops.resize_bilinear(logits[None], batch.images.shape[2], batch.images.shape[3])[0]
    height, width = target.size
    found = ops.to_numpy(ops.sigmoid(logits[:, :height, :width])) > config.threshold
    return resize_nearest(found, *target.original_size)
