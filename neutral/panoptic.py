"""Panoptic segmentation: every pixel of an image belongs to one segment, of a thing or of stuff.

Post-processing follows facebookresearch/detr models/segmentation.py:245-358; the quality is that of Kirillov et al.
2019 as COCO's panopticapi counts it. A prediction is one array, int64 [H, W]: at every pixel its segment's
category times OFFSET plus its number, -1 where there is none.

Q queries, C classes, S segments.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from door.files import replacing, write_json
from neutral.config import MaskConfig
from neutral.data.coco import CocoDataset
from neutral.data.panoptic import PanopticDataset, read_segments
from neutral.geometry import bilinear_weights

OFFSET = 1000  # more than there are segments in an image
VOID = 0  # what the PNG files have where nothing is annotated
MATCHED = 0.5  # IoU above which two segments of a category are the same


def segment_image(
    probabilities: np.ndarray,
    masks: np.ndarray,
    size: tuple[int, int],
    padded: tuple[int, int],
    original: tuple[int, int],
    config: MaskConfig,
) -> np.ndarray:
    """probabilities [Q, C + 1] and mask logits [Q, h, w] of an image -> its prediction, of the size `original`.

    The masks cover the `padded` image, of which `size` is the image's own part (the reference stretches all of it).
    Segments of a few pixels go, and their pixels to the next best. Segments of the same stuff are joined to the first,
    which leaves the others without pixels, so that they go too: as in the reference, the first may not get them all.
    """
    labels, scores = probabilities.argmax(1), probabilities.max(1)
    keep = (labels != probabilities.shape[1] - 1) & (scores > config.panoptic_threshold)
    labels, masks = labels[keep], masks[keep].astype(np.float64)
    rows, columns = (bilinear_weights(n, m) for n, m in zip(masks.shape[1:], padded, strict=True))
    masks = rows[: size[0]] @ masks @ columns[: size[1]].T
    same = join_stuff(labels, config.things_below)  # only at first, as in the reference
    while len(labels):
        owner = same[masks.argmax(0)].astype(np.int32)
        resized = Image.fromarray(owner).resize(original[::-1], Image.Resampling.NEAREST)
        owner = np.asarray(resized).astype(np.int64)
        small = np.bincount(owner.ravel(), minlength=len(labels)) < config.panoptic_min_area
        if not small.any():
            return labels[owner] * OFFSET + owner
        labels, masks = labels[~small], masks[~small]
        same = np.arange(len(labels))
    return np.full(original, -1)


def join_stuff(labels: np.ndarray, things_below: int) -> np.ndarray:
    """labels [S] -> [S]: for a segment of stuff the first one of its label, for a thing its own number."""
    _, first, which = np.unique(labels, return_index=True, return_inverse=True)
    return np.where(labels >= things_below, first[which], np.arange(len(labels)))


def segments_of(prediction: np.ndarray) -> list[dict]:
    """The segments of a prediction as COCO's panoptic format lists them; ids are their numbers plus 1."""
    values, areas = np.unique(prediction[prediction >= 0], return_counts=True)
    return [
        {
            "id": int(v % OFFSET) + 1,
            "category_id": int(v // OFFSET),
            "area": int(area),
        }
        for v, area in zip(values, areas, strict=True)
    ]


def encode(prediction: np.ndarray) -> dict:
    """A prediction as bytes of a PNG file, whose colours are ids, and the list of its segments."""
    ids = np.where(prediction >= 0, prediction % OFFSET + 1, VOID)
    file = io.BytesIO()
    Image.fromarray(to_colours(ids)).save(file, format="PNG")
    return {"png": file.getvalue(), "segments_info": segments_of(prediction)}


def to_colours(ids: np.ndarray) -> np.ndarray:
    """[H, W] -> uint8 [H, W, 3]: id = R + 256 G + 256^2 B."""
    return np.stack([ids >> shift & 255 for shift in (0, 8, 16)], axis=2).astype(np.uint8)


@dataclass
class Tally:
    """Of one category: matched segments and the sum of their IoUs, those found but absent, those missed."""

    matched: int = 0
    iou: float = 0.0
    invented: int = 0
    missed: int = 0

    def scores(self) -> tuple[float, float, float]:
        """Panoptic, segmentation and recognition quality; NaN where the category does not occur."""
        weight = self.matched + (self.invented + self.missed) / 2
        if not weight:
            return (float("nan"),) * 3
        quality = self.iou / self.matched if self.matched else 0.0
        return self.iou / weight, quality, self.matched / weight


@dataclass
class PanopticQuality:
    """Tallies by category id; `things` are the ids of things."""

    tallies: dict[int, Tally]
    things: set[int] = field(default_factory=set)

    def of(self, which: str = "all") -> dict[str, float]:
        """{"pq", "sq", "rq", "n"}: means over the n categories that occur, of "all", "th"ings or "st"uff."""
        chosen = [
            tally.scores()
            for category, tally in self.tallies.items()
            if which == "all" or (category in self.things) == (which == "th")
        ]
        found = np.array([s for s in chosen if s[0] == s[0]]).reshape(-1, 3)
        means = found.mean(0) if len(found) else np.full(3, np.nan)
        return dict(zip(("pq", "sq", "rq"), means.tolist())) | {"n": len(found)}


def encoded_segments(dataset: CocoDataset, detections: dict[int, dict]) -> dict[int, dict]:
    """What `panoptic_quality` judges: of detections as `evaluation.compact` has them, on a panoptic data set only."""
    judged = detections if isinstance(dataset, PanopticDataset) else {}
    return {i: found["panoptic"] for i, found in judged.items() if "panoptic" in found}


def panoptic_quality(dataset: PanopticDataset, encoded: dict[int, dict]) -> PanopticQuality:
    """Of predictions as `encode` makes them, by image id,."""
    tallies = {category: Tally() for category in dataset.categories}
    for image_id, prediction in encoded.items():
        segments = {s["id"]: s["category_id"] for s in prediction["segments_info"]}
        truth = {s["id"]: s for s in dataset.annotations[image_id]}
        limit = dataset.cache.max_pixels
        pixels = [
            read_segments(file, limit) for file in (dataset.segments[image_id], prediction["png"])
        ]
        judge_image(tallies, truth, segments, *pixels)
    return PanopticQuality(tallies, set(dataset.things))


def judge_image(
    tallies: dict[int, Tally],
    truth: dict[int, dict],
    found: dict[int, int],
    true_ids: np.ndarray,
    found_ids: np.ndarray,
) -> None:
    """Adds an image: `truth` are the annotated segments and `found` the predicted categories, by id.

    Pixels of a segment that is not in `truth` are those of none.
    """
    true_ids = np.where(np.isin(true_ids, list(truth)), true_ids, VOID)
    pairs, counts = np.unique(
        np.stack([true_ids.ravel(), found_ids.ravel()]), axis=1, return_counts=True
    )
    shared = {(int(a), int(b)): int(n) for a, b, n in zip(*pairs, counts, strict=True)}
    true_area, found_area = (
        dict(zip(*(x.tolist() for x in np.unique(ids, return_counts=True))))
        for ids in (true_ids, found_ids)
    )
    true_left, found_left = set(truth), set(found)
    for (a, b), both in shared.items():
        if a not in truth or b not in found or truth[a].get("iscrowd", 0):
            continue
        if truth[a]["category_id"] != found[b]:
            continue
        union = true_area[a] + found_area[b] - both - shared.get((VOID, b), 0)
        if both / union > MATCHED:
            tallies[found[b]].matched += 1
            tallies[found[b]].iou += both / union
            true_left.discard(a)
            found_left.discard(b)
    crowds: dict[int, list[int]] = {}
    for a in true_left:
        category = truth[a]["category_id"]
        if truth[a].get("iscrowd", 0):
            crowds.setdefault(category, []).append(a)
        else:
            tallies[category].missed += 1
    for b in found_left:
        ignored = (VOID, *crowds.get(found[b], ()))
        hidden = sum(shared.get((a, b), 0) for a in ignored)
        # what lies mostly where nothing, or a crowd of its kind, is annotated, is not counted
        if hidden <= MATCHED * found_area.get(b, 0) and found[b] in tallies:
            tallies[found[b]].invented += 1


def write_predictions(
    folder: Path, name: str, dataset: PanopticDataset, encoded: dict[int, dict]
) -> None:
    """FOLDER/NAME/*.png and FOLDER/NAME.json, as COCO's panoptic evaluation wants them."""
    stems = {record["id"]: Path(record["file_name"]).stem for record in dataset.images}
    counts = Counter(stems.values())  # two folders may hold images of the same name
    names = {i: f"{s}.png" if counts[s] == 1 else f"{s}-{i}.png" for i, s in stems.items()}
    for image_id, prediction in encoded.items():
        with replacing(folder / name / names[image_id]) as temporary:
            temporary.write_bytes(prediction["png"])
    write_json(folder / f"{name}.json", {"annotations": list(annotations_of(names, encoded))})


def annotations_of(names: dict[int, str], encoded: dict[int, dict]) -> Iterable[dict]:
    for image_id, prediction in encoded.items():
        segments = prediction["segments_info"]
        yield {"image_id": image_id, "file_name": names[image_id], "segments_info": segments}
