"""By how much the evidence for a choice would have to be other, so that another choice were right.

What a replayed choice is judged by (neutral/choices.py, parity/engine/sides/choices.py): 0 is a tie, infinity a choice
that no evidence makes. Both implementations ask here, with NumPy arrays; tests/test_regret.py holds every function to
brute force, and to mutants of its own.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from neutral.choices import relative
from neutral.config.faster_rcnn import LabelConfig
from neutral.geometry import pairwise_iou


def bounds_regret(margins: np.ndarray) -> np.ndarray:
    """Margins [..., C], of what is taken when none is negative -> [...]: until the other answer is right."""
    lowest = margins.min(axis=-1)
    return np.where(lowest >= 0, lowest, -lowest)


def order_regret(scores: np.ndarray, order: np.ndarray, given: np.ndarray) -> np.ndarray:
    """How much the scores [B, N] at each rank of another order [B, K] differ from those of one's own: [B, K]."""
    mine, others = (np.take_along_axis(scores, x, 1) for x in (order, given))
    regret = relative(np.abs(mine - others), scores)
    ordered = np.sort(given, axis=1)
    repeats = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    return np.where(repeats[:, None], np.inf, regret)


def nms_regret(
    boxes: np.ndarray, level: np.ndarray, good: np.ndarray, threshold: float, given: np.ndarray
) -> np.ndarray:
    """By how much IoUs would have to differ for `given` bool [B, K] to be what suppression keeps: [B, 1].

    boxes [B, K, 4] best first; level int and good bool [B, K].
    """
    regrets = []
    for i, kept in enumerate(given):
        wide = boxes[i].astype(np.float64)
        with np.errstate(invalid="ignore"):  # boxes without area overlap nothing
            overlap = np.nan_to_num(pairwise_iou(wide, wide)[0])
        before = np.tri(len(kept), k=-1, dtype=bool) & kept & (level[i][:, None] == level[i])
        # with a box that is kept and better; where there is none, no IoU takes this one away
        greatest = np.where(before, overlap, -np.inf).max(axis=1)
        excess = np.where(kept, greatest - threshold, threshold - greatest)
        worst = max(0.0, excess[good[i]].max(initial=0))
        regrets.append(np.inf if kept[~good[i]].any() else worst)
    return np.array(regrets)[:, None]


def label_regret(
    overlap: np.ndarray, allowed: np.ndarray, given: np.ndarray, config: LabelConfig
) -> np.ndarray:
    """By how much a box's own overlaps would have to differ for its label to be the given one: [B, N].

    overlap [B, N, T], -1 where a box and an object are no pair; allowed bool and given [B, N], of 1, 0 and -1.
    """
    own = np.where(overlap >= 0, overlap, np.nan)  # no pair takes part in what follows
    # a box at or above its rivals is an object's best, and positive
    rivals = best_of_others(overlap) if config.low_quality else np.full(overlap.shape, np.inf)
    positive = np.maximum(np.minimum(config.positive, rivals) - own, 0)
    positive = np.fmin.reduce(positive, axis=2, initial=np.inf)
    negative = range_regret(own, rivals, config.negative_from, config.negative)
    between = range_regret(own, rivals, config.negative, config.positive)
    below = range_regret(own, rivals, -np.inf, config.negative_from)
    neither = np.minimum(
        between if config.negative < config.positive else np.inf,
        below if config.negative_from > 0 else np.inf,
    )
    regret = np.where(given > 0, positive, np.where(given == 0, negative, neither))
    return np.where(allowed, regret, np.where(given == -1, 0, np.inf))


def best_of_others(overlap: np.ndarray) -> np.ndarray:
    """Of overlaps [B, N, T]: the greatest of each object with another box, -inf where none is a pair."""
    batch, boxes, objects = overlap.shape
    nobody = np.full((batch, 2, objects), -np.inf)
    padded = np.concatenate([overlap, nobody], axis=1)
    best = padded.argmax(axis=1)[:, None]
    second, first = np.split(np.sort(padded, axis=1)[:, -2:], 2, axis=1)
    is_best = np.arange(boxes)[None, :, None] == best
    others = np.where(is_best, second, first)
    return np.where(others >= 0, others, -np.inf)


def range_regret(own: np.ndarray, rivals: np.ndarray, low: float, high: float) -> np.ndarray:
    """Until the greatest of a box's overlaps [B, N, T] lies between low and high, none above its rivals: [B, N]."""
    caps = np.minimum(rivals, high)
    lowered = np.where(caps >= 0, np.maximum(own - caps, 0), np.inf)
    lowered = np.where(np.isnan(own), 0, lowered).max(axis=2, initial=0)
    raised = np.where(caps >= low, np.maximum(low - own, 0), np.inf)
    raised = np.fmin.reduce(raised, axis=2, initial=0.0 if low <= 0 else np.inf)
    return np.maximum(lowered, raised)


def match_regret(overlap: np.ndarray, given: np.ndarray) -> np.ndarray:
    """By how much the object given [B, N] is overlapped less than the best, of overlap [B, N, T]: [B, N]."""
    found = np.take_along_axis(overlap, given[:, :, None].astype(np.int64), axis=2)[:, :, 0]
    return overlap.max(axis=2) - found


def assignment_regret(cost: np.ndarray, given: np.ndarray) -> float:
    """By how much per target an assignment costs more than the best, relative to the greatest cost.

    cost [Q, T]; given: the query of each target, int [T], each at most once.
    """
    if len(np.unique(given)) < len(given):
        return np.inf
    cost = cost.astype(np.float64)
    best = cost[linear_sum_assignment(cost)].sum()
    total = cost[given, np.arange(len(given))].sum()
    return float(total - best) / len(given) / float(np.abs(cost).max())
