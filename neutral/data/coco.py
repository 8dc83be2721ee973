"""COCO directories: annotations checked on opening, images checked on loading.

Follows facebookresearch/detr datasets/coco.py (ConvertCocoPolysToMask): crowds are left out, boxes
become xyxy and are clipped to the image, those that clipping leaves empty are dropped, and labels
are the category ids themselves, or consecutive numbers as in detectron2. Unlike there, an annotation that is
itself degenerate (no area, or not finite) is an error that names it, unless `degenerate_boxes = "drop"`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from neutral.errors import InputError
from neutral.files import read_json
from neutral.geometry import xywh_to_xyxy


@dataclass(frozen=True)
class Target:
    """What is to be found in one image.

    boxes [N, 4] float32, xyxy pixels until `transforms.normalise`, then relative cxcywh;
    labels [N] int64 category ids; area [N] float32, pixels; sizes are (height, width).
    """

    boxes: np.ndarray
    labels: np.ndarray
    area: np.ndarray
    image_id: int
    original_size: tuple[int, int]
    size: tuple[int, int]

    def select(self, keep: np.ndarray) -> Target:
        return replace(self, boxes=self.boxes[keep], labels=self.labels[keep], area=self.area[keep])


@dataclass(frozen=True)
class CocoDataset:
    """One split; `dataset[i]` loads image i (sorted by id) as a PIL RGB image and its Target."""

    split: str
    image_folder: Path
    annotation_file: Path
    images: tuple[dict, ...]
    annotations: dict[int, tuple[dict, ...]]  # by image id
    categories: dict[int, str]
    labels: dict[int, int]  # by category id

    @classmethod
    def open(
        cls,
        root: Path,
        split: str,
        num_classes: int,
        degenerate_boxes: str = "error",
        first_label: int = 0,
        contiguous: bool = False,
    ) -> CocoDataset:
        """Reads and checks ROOT/annotations/instances_{split}2017.json and ROOT/{split}2017.

        Labels, which are the category ids or, `contiguous`, first_label and so on in the order of ids, must lie
        in first_label..num_classes - 1.
        """
        file = root / "annotations" / f"instances_{split}2017.json"
        content = read_json(file)
        for key in ("images", "annotations", "categories"):
            if not isinstance(content, dict) or not isinstance(content.get(key), list):
                raise InputError(
                    f"{file}: no list {key!r}; a COCO annotation file has images, annotations, categories"
                )
        categories = {int(c["id"]): c["name"] for c in content["categories"]}
        order = sorted(categories)
        labels = dict(
            zip(order, range(first_label, first_label + len(order)) if contiguous else order)
        )
        bad = [c for c in categories if not first_label <= labels[c] < num_classes]
        if bad and labels[bad[0]] < first_label:
            raise InputError(
                f"{file}: category id {bad[0]}: Faster R-CNN needs ids from {first_label} on, 0 is the background"
            )
        if bad:
            raise InputError(
                f"{file}: category id {bad[0]} does not fit model.num_classes={num_classes}; "
                f"set it to at least {max(labels.values()) + 1}"
            )
        images = {int(i["id"]): i for i in sorted(content["images"], key=lambda i: i["id"])}
        if not images:
            raise InputError(f"{file}: no images")
        by_image: dict[int, list[dict]] = {i: [] for i in images}
        for annotation in content["annotations"]:
            check_annotation(annotation, images, categories, file, degenerate_boxes)
            by_image[annotation["image_id"]].append(annotation)
        by_image = {i: tuple(a) for i, a in by_image.items()}
        folder = root / f"{split}2017"
        return cls.checked(
            split, folder, file, tuple(images.values()), by_image, categories, labels
        )

    @classmethod
    def checked(cls, *fields) -> CocoDataset:
        """A data set of these fields, in order; InputError names an image file that is absent."""
        dataset = cls(*fields)
        dataset.fingerprint  # noqa: B018  (looks at every image file)
        return dataset

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Image.Image, Target]:
        record = self.images[index]
        image = load_image(self.image_folder / record["file_name"])
        width, height = image.size
        if (width, height) != (record["width"], record["height"]):
            raise InputError(
                f"{self.image_folder / record['file_name']}: is {width}x{height}, but {self.annotation_file.name} "
                f"says {record['width']}x{record['height']} (width x height)"
            )
        wanted = [a for a in self.annotations[record["id"]] if not a.get("iscrowd", 0)]
        boxes = np.array([a["bbox"] for a in wanted], dtype=np.float32).reshape(-1, 4)
        boxes = xywh_to_xyxy(boxes)
        boxes[:, 0::2] = boxes[:, 0::2].clip(0, width)
        boxes[:, 1::2] = boxes[:, 1::2].clip(0, height)
        target = Target(
            boxes=boxes,
            labels=np.array([self.labels[a["category_id"]] for a in wanted], dtype=np.int64),
            area=np.array([a["area"] for a in wanted], dtype=np.float32),
            image_id=int(record["id"]),
            original_size=(height, width),
            size=(height, width),
        )
        return image, target.select((boxes[:, 2:] > boxes[:, :2]).all(axis=1))

    @cached_property
    def fingerprint(self) -> dict:
        """Ids, counts, category map and a hash of annotations and image file sizes, for run logs."""
        digest = hashlib.sha256()
        objects = crowds = 0
        for record in self.images:
            path = self.image_folder / record["file_name"]
            try:
                size = path.stat().st_size
            except FileNotFoundError:
                raise InputError(
                    f"{path}: image {record['id']} of {self.annotation_file} is missing"
                ) from None
            digest.update(
                json.dumps(
                    [record["id"], record["file_name"], record["height"], record["width"], size]
                ).encode()
            )
            for a in self.annotations[record["id"]]:
                crowds += bool(a.get("iscrowd", 0))
                objects += not a.get("iscrowd", 0)
                digest.update(
                    json.dumps(
                        [a["category_id"], list(map(float, a["bbox"])), a.get("iscrowd", 0)]
                    ).encode()
                )
        ids = [record["id"] for record in self.images]
        return {
            "split": self.split,
            "images": len(ids),
            "first_id": ids[0],
            "last_id": ids[-1],
            "objects": objects,
            "crowds": crowds,
            "mean_objects": round(objects / len(ids), 4),
            "categories": {str(k): v for k, v in sorted(self.categories.items())},
            "sha256": digest.hexdigest(),
        }


def load_image(path: Path) -> Image.Image:
    """The image as RGB; InputError names a file that is missing, no image, or cut short."""
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except FileNotFoundError:
        raise InputError(f"{path}: no such image") from None
    except UnidentifiedImageError:
        raise InputError(
            f"{path}: not an image that Pillow can read; replace or remove it"
        ) from None
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: corrupt image ({error}); replace or remove it") from None


def check_annotation(
    annotation: dict, images: dict, categories: dict, file: Path, degenerate_boxes: str
) -> None:
    """InputError unless the annotation is whole; gives it an area if it has none."""
    name = f"{file}: annotation {annotation.get('id', '(without id)')}"
    missing = [k for k in ("image_id", "category_id", "bbox") if k not in annotation]
    if missing:
        raise InputError(f"{name} has no {missing[0]!r}")
    if annotation["image_id"] not in images:
        raise InputError(f"{name} names image {annotation['image_id']}, which is not in 'images'")
    if annotation["category_id"] not in categories:
        raise InputError(
            f"{name} has unknown category {annotation['category_id']}; add it to 'categories' or remove it"
        )
    box = annotation["bbox"]
    if len(box) != 4 or not np.isfinite(np.asarray(box, dtype=float)).all():
        raise InputError(
            f"{name} (image {annotation['image_id']}): box {box} is not four finite numbers"
        )
    annotation.setdefault("area", float(box[2] * box[3]))
    if degenerate_boxes == "error" and not (box[2] > 0 and box[3] > 0):
        raise InputError(
            f"{name} (image {annotation['image_id']}): box {box} has no area; mend it, or leave such boxes out with "
            "--set data.degenerate_boxes=drop"
        )
