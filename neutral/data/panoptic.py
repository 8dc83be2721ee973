"""COCO's panoptic data sets: one PNG file of segments per image, whose colours are ids.

Follows facebookresearch/detr datasets/coco_panoptic.py: every segment, stuff and crowds included, is an object.
Boxes are those of the annotations; the reference takes them from the masks, where they end one pixel short.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from door.files import regular
from neutral.data.annotations import (
    check_annotation,
    check_labels,
    check_present,
    read_annotations,
    with_area,
)
from neutral.data.coco import CocoDataset, Target
from neutral.data.images import MAX_PIXELS, check_size
from neutral.errors import InputError
from neutral.schemas import PanopticFile


@dataclass(frozen=True)
class PanopticDataset(CocoDataset):
    """annotations: the segments; `things`: ids of categories; `segments`: PNG file of every image id."""

    things: tuple[int, ...] = ()
    segments: dict[int, Path] | None = None

    has_codes = False

    def wanted(self, image_id: int) -> list[dict]:
        return list(self.annotations[image_id])

    def decode(self, annotations: list[dict], target: Target) -> np.ndarray:
        ids = read_segments(self.segments[target.image_id], self.cache.max_pixels)
        if ids.shape != target.original_size:
            raise InputError(
                f"{self.segments[target.image_id]}: is {ids.shape[1]}x{ids.shape[0]}, its image "
                f"{target.original_size[1]}x{target.original_size[0]} (width x height)"
            )
        numbers = np.array([a["id"] for a in annotations], dtype=np.int64)
        return ids == numbers[:, None, None]


def open_panoptic(
    root: Path, split: str, num_classes: int, degenerate_boxes: str, masks: bool
) -> PanopticDataset:
    """annotations/panoptic_{split}2017.json; its PNG files lie in a folder called so, beside it or below `root`."""
    file = locate_panoptic(root, split)
    check_present(file)
    name, content = file.stem, read_annotations(file, PanopticFile)
    categories = {int(c["id"]): c["name"] for c in content["categories"]}
    labels = {category: category for category in sorted(categories)}
    check_labels(labels, 0, num_classes, file)
    images = {int(i["id"]): i | {"folder": f"{split}2017"} for i in content["images"]}
    folder = next((f for f in (file.parent / name, root / name) if f.is_dir()), file.parent / name)
    annotations, segments = {}, {}
    for entry in content["annotations"]:
        image_id = entry["image_id"]
        if image_id not in images:
            raise InputError(
                f"{file}: an annotation names image {image_id}, which is not in 'images'"
            )
        if image_id in annotations:
            raise InputError(f"{file}: image {image_id} has two annotations")
        segments[image_id] = folder / entry["file_name"]
        found = [segment | {"image_id": image_id} for segment in entry["segments_info"]]
        if len({segment["id"] for segment in found}) < len(found):
            raise InputError(f"{file}: two segments of image {image_id} have the same id")
        for segment in found:
            check_annotation(segment, images, categories, file, degenerate_boxes)
        annotations[image_id] = tuple(with_area(found, images, file, degenerate_boxes))
    if missing := sorted(images.keys() - segments.keys()):
        raise InputError(f"{file}: image {missing[0]} has no annotation")
    if absent := [path for path in segments.values() if not path.is_file()]:
        raise InputError(f"{absent[0]}: this file of segments, named by {file.name}, is missing")
    things = tuple(int(c["id"]) for c in content["categories"] if c.get("isthing"))
    records = tuple(images[i] for i in sorted(images))
    fields = (split, root, str(file), records, annotations, categories, labels, masks)
    dataset = PanopticDataset(*fields, things=things, segments=segments)
    dataset.fingerprint  # noqa: B018  (looks at every image file)
    return dataset


def locate_panoptic(root: Path, split: str) -> Path:
    return root / "annotations" / f"panoptic_{split}2017.json"


def read_segments(file: Path | bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """A PNG file -> ids int64 [H, W], R + 256 G + 256^2 B; InputError names one that cannot be read."""
    try:
        opened = io.BytesIO(file) if isinstance(file, bytes) else regular(file)
        with Image.open(opened, formats=("PNG",)) as image:
            check_size(image.size, file, max_pixels)
            colours = np.asarray(image.convert("RGB"), dtype=np.int64)
    except FileNotFoundError:
        raise InputError(f"{file}: no such file of segments") from None
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise InputError(f"{file}: not a PNG file of segments ({error})") from None
    return colours @ np.array([1, 256, 256**2])
