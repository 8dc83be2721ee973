"""COCO AP of boxes and masks with pycocotools: the 12 numbers and a table by class.

A detection's label becomes the `category_id` that the data set has for it.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from door import schema
from neutral import panoptic
from neutral.data.coco import CocoDataset
from neutral.data.masks import check_code, encode_mask
from neutral.errors import InputError, NonFinite
from neutral.geometry import xywh_to_xyxy, xyxy_to_xywh
from neutral.schemas import ANNOTATIONS_LIMIT, Detections

METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


@dataclass(frozen=True)
class Evaluation:
    """stats: the 12 numbers in COCO's order; per_class: AP and AP50 by category (CocoDataset.titles).

    curves: precision at 101 recalls, mean over the classes: {"recall": [101], "AP": all thresholds, "AP50", "AP75"}.
    What cannot be told, for want of objects, is NaN, in curves None.
    """

    stats: tuple[float, ...]
    per_class: dict[str, tuple[float, float]]
    curves: dict[str, list[float | None]] = field(default_factory=dict)

    def __getitem__(self, metric: str) -> float:
        return self.stats[METRICS.index(metric)]


def to_results(dataset: CocoDataset, detections: dict[int, dict[str, np.ndarray]]) -> list[dict]:
    """Detections by image id (scores, labels, boxes xyxy pixels) -> COCO result records (xywh).

    A label that stands for no category of the data set becomes category -1, which matches nothing. Masks, as `compact`
    has them, become "segmentation".
    """
    category_of = {label: category for category, label in dataset.labels.items()}
    return [
        record | {"image_id": image_id, "category_id": category_of.get(record["category_id"], -1)}
        for image_id, found in detections.items()
        for record in plain_results(found)
    ]


def plain_results(found: dict) -> list[dict]:
    """Result records of one image's detections, without its id; `category_id` is the label."""
    boxes = xyxy_to_xywh(found["boxes"])
    masks = [{"segmentation": code} for code in found.get("masks", ())] or [{}] * len(boxes)
    return [
        {"category_id": int(label), "bbox": [float(v) for v in box], "score": float(score)} | mask
        for score, label, box, mask in zip(
            found["scores"], found["labels"], boxes, masks, strict=True
        )
    ]


def compact(found: dict) -> dict:
    """Detections of an image; masks, where it has any, as run-length codes, and its segments as a PNG file."""
    changed = dict(found)
    if "masks" in found:
        changed["masks"] = [encode_mask(mask) for mask in found["masks"]]
    if "panoptic" in found:
        changed["panoptic"] = panoptic.encode(found["panoptic"])
    return changed


def from_results(
    dataset: CocoDataset, path: Path, limit: int | None = None
) -> dict[int, dict[str, np.ndarray]]:
    """Detections by image id from a file of COCO results: the inverse of `to_results`, also for images without any.

    `limit`: only of the first images. InputError when a record is not one, or names an unknown image.
    """
    records = schema.read(path, Detections, ANNOTATIONS_LIMIT)
    rows, images = {r["id"]: [] for r in dataset.images}, {r["id"]: r for r in dataset.images}
    for number, record in enumerate(records):
        image = images.get(record["image_id"])
        if image is None:
            raise InputError(
                f"{path}: [{number}] names image {record['image_id']}, which {dataset.source} does not have"
            )
        if min(record["bbox"][2:]) < 0:
            raise InputError(f"{path}: [{number}].bbox: {record['bbox']} has a negative size")
        if record.get("segmentation"):
            check_code(
                record["segmentation"], image["height"], image["width"], f"{path}: [{number}]"
            )
        label = dataset.labels.get(record["category_id"], -1)
        rows[record["image_id"]].append(record | {"category_id": label})
    return {image_id: from_plain_results(found) for image_id, found in list(rows.items())[:limit]}


def from_plain_results(records: list[dict]) -> dict:
    """Detections of one image again: the inverse of `plain_results`."""
    found = {
        "scores": np.array([r["score"] for r in records], dtype=np.float64),
        "labels": np.array([r["category_id"] for r in records], dtype=np.int64),
        "boxes": xywh_to_xyxy(np.array([r["bbox"] for r in records], float).reshape(-1, 4)),
    }
    if records and all(r.get("segmentation") for r in records):
        found["masks"] = [r["segmentation"] for r in records]
    return found


def evaluate(
    dataset: CocoDataset, detections: dict[int, dict], kind: Literal["bbox", "segm"] = "bbox"
) -> Evaluation:
    """AP of boxes or masks over the images that have an entry in `detections`.

    InputError on an unknown image or score NaN.
    """
    known = {record["id"] for record in dataset.images}
    strangers = sorted(set(detections) - known)
    if strangers:
        raise InputError(
            f"detections name image {strangers[0]}, which {dataset.source} does not have"
        )
    for image_id, found in detections.items():
        if not (np.isfinite(found["scores"]).all() and np.isfinite(found["boxes"]).all()):
            raise NonFinite(f"detections of image {image_id} hold NaN or infinite scores or boxes")
    results = to_results(dataset, detections)
    if kind == "segm":  # without boxes, so that pycocotools sizes an object by its mask
        results = [{k: v for k, v in r.items() if k != "bbox"} for r in results]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = _indexed(
            dataset,
            [
                a | {"iscrowd": a.get("iscrowd", 0), "id": number}
                for number, a in enumerate(chain(*dataset.annotations.values()), start=1)
            ],
        )
        found = truth.loadRes(results) if results else _indexed(dataset, [])
        judge = COCOeval(truth, found, kind)
        judge.params.imgIds = sorted(detections)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    precision = judge.eval["precision"]  # [IoU, recall, class, area, max detections]
    titles, per_class = dataset.titles, {}
    for k, category in enumerate(judge.params.catIds):
        everything, at_50 = precision[:, :, k, 0, -1], precision[0, :, k, 0, -1]
        per_class[titles[category]] = (_mean(everything), _mean(at_50))
    stats = tuple(float(v) if v > -1 else float("nan") for v in judge.stats)
    seen = precision[..., 0, -1]
    seen = seen[:, :, (seen > -1).all(axis=(0, 1))]  # classes that occur
    recalls = judge.params.recThrs.tolist()
    curves = {"recall": recalls}
    for name, rows in (("AP", seen), ("AP50", seen[:1]), ("AP75", seen[5:6])):
        curves[name] = rows.mean(axis=(0, 2)).tolist() if seen.size else [None] * len(recalls)
    return Evaluation(stats, per_class, curves)


def _indexed(dataset: CocoDataset, annotations: list[dict]) -> COCO:
    """pycocotools' form of the data set's images and categories with these annotations."""
    made = COCO()
    made.dataset = {
        "info": {},
        "images": list(dataset.images),
        "annotations": annotations,
        "categories": [{"id": k, "name": v} for k, v in dataset.categories.items()],
    }
    made.createIndex()
    return made


def _mean(values: np.ndarray) -> float:
    values = values[values > -1]
    return float(values.mean()) if values.size else float("nan")
