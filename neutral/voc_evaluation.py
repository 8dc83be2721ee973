"""VOC mean average precision: the devkit's rules, 11-point (2007) and area (2010 on), and trzy/FasterRCNN's variant.

Detections of a class over all images, best first, are matched one after the other to the object of their image that
they overlap most. With the object still free it is a true positive, with the object taken a false one; one that
overlaps a difficult object most counts for nothing (VOCdevkit, VOCevaldet.m; chainercv's eval_detection_voc).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neutral import undefined
from neutral.data.coco import CocoDataset
from neutral.geometry import pairwise_iou, xywh_to_xyxy


@dataclass(frozen=True)
class VocRules:
    """How detections are matched, and how the curve is averaged."""

    points: int = 0  # 11: mean of the precision at 11 recalls; 0: area under the interpolated curve
    iou: float = 0.5
    strict: bool = False  # whether an overlap must be greater than `iou`, or may be equal
    pixel_offset: float = 1.0  # a box from 0 to 9 is 10 pixels wide
    # "ignore": what finds a difficult object counts for nothing; "drop": difficult objects do not exist, so
    # it counts as wrong (trzy)
    difficult: str = "ignore"


VOC_RULES = {
    "voc07": VocRules(points=11),
    "voc": VocRules(),
    "trzy": VocRules(strict=True, pixel_offset=0.0, difficult="drop"),
}


@dataclass(frozen=True)
class VocEvaluation:
    """mean: of the classes that occur, NaN if none does; per_class: AP by category (CocoDataset.titles), NaN where it
    does not occur.

    curves: recall and precision after every detection, likewise.
    """

    mean: float
    per_class: dict[str, float]
    curves: dict[str, tuple[np.ndarray, np.ndarray]]


def evaluate_voc(
    dataset: CocoDataset, detections: dict[int, dict[str, np.ndarray]], rules: VocRules
) -> VocEvaluation:
    """mAP over the images that have an entry in `detections` (scores, labels, boxes xyxy pixels).

    Objects that the data set marks as crowds are VOC's difficult ones.
    """
    per_class, curves = {}, {}
    for category, name in dataset.titles.items():
        scores, outcomes, objects = match_class(dataset, detections, category, rules)
        if not objects:
            per_class[name] = float("nan")
            continue
        order = np.argsort(-scores, kind="stable")
        found, missed = (np.cumsum(outcomes[order] == kind) for kind in (1, 0))
        recall, precision = found / objects, found / np.maximum(found + missed, 1)
        curves[name] = recall, precision
        per_class[name] = average_precision(recall, precision, rules.points)
    return VocEvaluation(undefined.mean(per_class.values()), per_class, curves)


def match_class(
    dataset: CocoDataset, detections: dict, category: int, rules: VocRules
) -> tuple[np.ndarray, np.ndarray, int]:
    """Scores [D], outcomes [D] (1 right, 0 wrong, -1 counts for nothing), and how many objects there are to find."""
    scores, outcomes, objects = [], [], 0
    for image_id, found in detections.items():
        truth = [a for a in dataset.annotations[image_id] if a["category_id"] == category]
        if rules.difficult == "drop":
            truth = [a for a in truth if not a.get("iscrowd", 0)]
        difficult = np.array([bool(a.get("iscrowd", 0)) for a in truth], dtype=bool)
        objects += int((~difficult).sum())
        mine = found["labels"] == dataset.labels[category]
        order = np.argsort(-found["scores"][mine], kind="stable")
        boxes = found["boxes"][mine][order].astype(np.float64)
        scores.append(found["scores"][mine][order].astype(np.float64))
        corners = np.array([a["bbox"] for a in truth], dtype=np.float64).reshape(-1, 4)
        outcomes.append(match_image(boxes, xywh_to_xyxy(corners), difficult, rules))
    if not scores:
        return np.zeros(0), np.zeros(0), objects
    return np.concatenate(scores), np.concatenate(outcomes), objects


def match_image(
    boxes: np.ndarray, truth: np.ndarray, difficult: np.ndarray, rules: VocRules
) -> np.ndarray:
    """Outcomes [D] of boxes [D, 4], best first, among objects [N, 4] of one class in one image."""
    outcomes = np.zeros(len(boxes), dtype=np.int64)
    if not len(truth):
        return outcomes
    wide = np.array([0.0, 0.0, rules.pixel_offset, rules.pixel_offset])
    overlaps = pairwise_iou(boxes + wide, truth + wide)[0]
    taken = np.zeros(len(truth), dtype=bool)
    for i, row in enumerate(overlaps):
        best = int(row.argmax())
        if row[best] < rules.iou or (rules.strict and row[best] == rules.iou):
            continue
        if difficult[best]:
            outcomes[i] = -1
        elif not taken[best]:
            taken[best], outcomes[i] = True, 1
    return outcomes


def average_precision(recall: np.ndarray, precision: np.ndarray, points: int) -> float:
    """Of a curve in the order of scores; `points` as in VocRules."""
    if points:
        steps = np.linspace(0, 1, points)
        # recalls are fractions: 0.1 must be reached by 1 of 10, whatever the last digit says
        reached = [precision[recall >= step - 1e-12] for step in steps]
        return float(np.mean([p.max() if p.size else 0.0 for p in reached]))
    recall = np.concatenate([[0.0], recall, [1.0]])
    precision = np.concatenate([[0.0], precision, [0.0]])
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall) * envelope[1:]).sum())
