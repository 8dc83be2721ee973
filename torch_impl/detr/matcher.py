"""Hungarian matching of predictions and targets, per image.

Follows facebookresearch/detr models/matcher.py: cost = class * (-p) + bbox * L1 + giou * (-GIoU),
solved by SciPy on the CPU.

Q queries, C classes, T targets of an image.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from neutral.choices import Choices
from neutral.config import MatcherConfig
from neutral.data.coco import Target
from neutral.errors import NonFinite
from neutral.regret import assignment_regret
from torch_impl import ops
from torch_impl.detr.box_ops import cxcywh_to_xyxy, giou


def match_cost(logits, boxes, target: Target, config: MatcherConfig):
    """logits [Q, C + 1], boxes [Q, 4] relative cxcywh -> cost [Q, T], T > 0."""
    ops.check_index(target.labels, logits.shape[1] - 1)
    probability = ops.softmax(logits, 1)[:, ops.array(target.labels)]
    goal = ops.array(target.boxes, like=boxes)[None]  # [1, T, 4]
    distance = ops.absolute(boxes[:, None] - goal).sum(2)
    overlap = giou(cxcywh_to_xyxy(boxes)[:, None], cxcywh_to_xyxy(goal))
    cost_class = ops.scalar(config.cost_class, logits)
    cost_bbox = ops.scalar(config.cost_bbox, logits)
    cost_giou = ops.scalar(config.cost_giou, logits)
    return cost_bbox * distance - cost_class * probability - cost_giou * overlap


def match(
    logits,
    boxes,
    targets: tuple[Target, ...],
    config: MatcherConfig,
    choices: Choices,
    name: str,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """logits [B, Q, C + 1], boxes [B, Q, 4] -> per image (query indices, target indices), int64.

    Settled as `name`/image0, ...: the query of every target, int [T].
    """
    pairs = []
    with ops.no_grad():
        for i, target in enumerate(targets):
            if len(target.labels) == 0:
                pairs.append((np.zeros(0, np.int64), np.zeros(0, np.int64)))
                continue
            cost = ops.to_numpy(match_cost(logits[i], boxes[i], target, config))
            if not np.isfinite(cost).all():
                raise NonFinite(f"image {target.image_id}: the outputs or boxes are not finite")
            query, chosen = linear_sum_assignment(cost)
            queries = query[np.argsort(chosen)]  # in the order of the targets
            settled = choices.settle(
                f"{name}/image{i}",
                ops.array(queries),
                lambda given, cost=cost: assignment_regret(cost, given),
            )
            queries = ops.to_numpy(settled).astype(np.int64)
            order = np.argsort(queries)
            pairs.append((queries[order], order.astype(np.int64)))
    return pairs
