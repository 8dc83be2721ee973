"""COCO box AP with pycocotools: the 12 numbers and a table by class.

A detection's label becomes the `category_id` that the data set has for it.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from neutral.data.coco import CocoDataset
from neutral.errors import InputError
from neutral.geometry import xyxy_to_xywh

METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


@dataclass(frozen=True)
class Evaluation:
    """stats: the 12 numbers in COCO's order; per_class: AP and AP50 by category name, NaN if absent."""

    stats: tuple[float, ...]
    per_class: dict[str, tuple[float, float]]

    def __getitem__(self, metric: str) -> float:
        return self.stats[METRICS.index(metric)]


def to_results(dataset: CocoDataset, detections: dict[int, dict[str, np.ndarray]]) -> list[dict]:
    """Detections by image id (scores, labels, boxes xyxy pixels) -> COCO result records (xywh).

    A label that stands for no category of the data set becomes category -1, which matches nothing.
    """
    category_of = {label: category for category, label in dataset.labels.items()}
    return [
        {
            "image_id": image_id,
            "category_id": category_of.get(int(label), -1),
            "bbox": [float(v) for v in box],
            "score": float(score),
        }
        for image_id, found in detections.items()
        for score, label, box in zip(
            found["scores"], found["labels"], xyxy_to_xywh(found["boxes"]), strict=True
        )
    ]


def evaluate(dataset: CocoDataset, detections: dict[int, dict[str, np.ndarray]]) -> Evaluation:
    """AP over the images that have an entry in `detections`; InputError on an unknown image or score NaN."""
    known = {record["id"] for record in dataset.images}
    strangers = sorted(set(detections) - known)
    if strangers:
        raise InputError(
            f"detections name image {strangers[0]}, which {dataset.annotation_file} does not have"
        )
    for image_id, found in detections.items():
        if not (np.isfinite(found["scores"]).all() and np.isfinite(found["boxes"]).all()):
            raise InputError(f"detections of image {image_id} hold NaN or infinite scores or boxes")
    results = to_results(dataset, detections)
    if not results:
        return Evaluation(
            (0.0,) * 12, {name: (float("nan"),) * 2 for name in dataset.categories.values()}
        )
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "info": {},
            "images": list(dataset.images),
            "annotations": [
                a | {"iscrowd": a.get("iscrowd", 0)}
                for group in dataset.annotations.values()
                for a in group
            ],
            "categories": [{"id": k, "name": v} for k, v in dataset.categories.items()],
        }
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(results), "bbox")
        judge.params.imgIds = sorted(detections)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    precision = judge.eval["precision"]  # [IoU, recall, class, area, max detections]
    per_class = {}
    for k, category in enumerate(judge.params.catIds):
        everything, at_50 = precision[:, :, k, 0, -1], precision[0, :, k, 0, -1]
        per_class[dataset.categories[category]] = (_mean(everything), _mean(at_50))
    return Evaluation(
        tuple(max(float(v), 0.0) if v != -1 else float("nan") for v in judge.stats), per_class
    )


def _mean(values: np.ndarray) -> float:
    values = values[values > -1]
    return float(values.mean()) if values.size else float("nan")
