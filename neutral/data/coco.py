"""COCO directories: annotations checked on opening, images checked on loading.

Follows facebookresearch/detr datasets/coco.py (ConvertCocoPolysToMask): crowds are left out, boxes
become xyxy and are clipped to the image, those that clipping leaves empty are dropped, and labels
are the category ids themselves, or consecutive numbers as in detectron2. Unlike there, an annotation that is
itself degenerate (no area within its image, or not finite) is an error that names it, unless
`degenerate_boxes = "drop"`, which leaves it out of everything: training, evaluation, fingerprint, statistics.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from neutral.data.annotations import (
    check_annotation,
    check_labels,
    check_mask,
    check_present,
    clipped,
    find_images,
    locate_coco,
    number,
    read_annotations,
    with_area,
)
from neutral.data.categories import Categories, told_apart
from neutral.data.images import ImageCache, is_turned
from neutral.data.masks import decode_masks
from neutral.errors import InputError


@dataclass(frozen=True)
class Target:
    """What is to be found in one image.

    boxes [N, 4] float32, xyxy pixels until `transforms.normalise`, then relative cxcywh;
    labels [N] int64 category ids; area [N] float32, pixels; sizes are (height, width);
    masks bool [N, height, width], where the model learns them.
    """

    boxes: np.ndarray
    labels: np.ndarray
    area: np.ndarray
    image_id: int
    original_size: tuple[int, int]
    size: tuple[int, int]
    masks: np.ndarray | None = None

    def select(self, keep: np.ndarray) -> Target:
        kept = {"boxes": self.boxes[keep], "labels": self.labels[keep], "area": self.area[keep]}
        return replace(self, **kept).with_masks(lambda masks: masks[keep])

    def with_masks(self, change: Callable[[np.ndarray], np.ndarray]) -> Target:
        """The target with its masks, if it has any, changed."""
        return self if self.masks is None else replace(self, masks=change(self.masks))


@dataclass(frozen=True)
class CocoDataset:
    """One split; `dataset[i]` loads image i (sorted by id) as a PIL RGB image and its Target.

    An image's record has COCO's keys and "folder", where it lies below `root`; "annotated" names the file that says
    its size, where that is not `source`. `cache` keeps images as they were read.
    """

    split: str
    root: Path
    source: str  # what lists the images, for messages
    images: tuple[dict, ...]
    annotations: dict[int, tuple[dict, ...]]  # by image id
    categories: dict[int, str]
    labels: dict[int, int]  # by category id
    masks: bool = False  # whether targets have them
    cache: ImageCache = field(default_factory=ImageCache, compare=False)

    @classmethod
    def open(
        cls,
        root: Path,
        split: str,
        num_classes: int,
        degenerate_boxes: str = "error",
        first_label: int = 0,
        contiguous: bool = False,
        sets: tuple[str, ...] = (),
        masks: bool = False,
    ) -> CocoDataset:
        """Reads and checks the annotations and images of `sets`, together; see `locate_set` for what names one.

        Without sets, {split}2017 or, where that is absent, {split}2014. Labels, which are the category ids or,
        `contiguous`, first_label and so on in the order of ids, must lie in first_label..num_classes - 1.
        """
        records, by_image, categories = {}, {}, {}
        for file, folder in locate_coco(root, split, sets):
            check_present(file)
            content = read_annotations(file)
            found = {int(c["id"]): c["name"] for c in content["categories"]}
            if categories and found != categories:
                raise InputError(f"{file}: its categories are not those of the set before it")
            categories = found
            images = {int(i["id"]): i | {"folder": folder} for i in content["images"]}
            find_images(root, file, images)
            if twice := sorted(images.keys() & records.keys()):
                raise InputError(f"{file}: image {twice[0]} is in another set of the split, too")
            records |= images
            by_image |= {i: [] for i in images}
            for annotation in content["annotations"]:
                check_annotation(annotation, images, categories, file, degenerate_boxes)
                if masks:
                    check_mask(annotation, images[annotation["image_id"]], file)
                else:
                    annotation.pop("segmentation", None)  # most of the file, and not needed
            for annotation in with_area(content["annotations"], images, file, degenerate_boxes):
                by_image[annotation["image_id"]].append(annotation)
        labels = number(categories, first_label, contiguous)
        check_labels(labels, first_label, num_classes, file)
        return cls.checked(
            split,
            root,
            str(file),
            tuple(records[i] for i in sorted(records)),
            {i: tuple(a) for i, a in by_image.items()},
            categories,
            labels,
            masks,
        )

    @classmethod
    def checked(cls, *fields) -> CocoDataset:
        """A data set of these fields, in order; InputError names an image file that is absent."""
        dataset = cls(*fields)
        dataset.fingerprint  # noqa: B018  (looks at every image file)
        return dataset

    def __len__(self) -> int:
        return len(self.images)

    def path(self, record: dict) -> Path:
        return self.root / record["folder"] / record["file_name"]

    def __getitem__(self, index: int) -> tuple[Image.Image, Target]:
        record = self.images[index]
        image = self.cache.get(self.path(record))
        width, height = image.size
        if (width, height) != (record["width"], record["height"]):
            turned = (height, width) == (record["width"], record["height"])
            why = " Its EXIF orientation swaps them for viewers, annotations are of the stored pixels: "
            why += "store it upright, or annotate what is stored."
            raise InputError(
                f"{self.path(record)}: is {width}x{height}, but {record.get('annotated') or Path(self.source).name} "
                f"says {record['width']}x{record['height']} (width x height)."
                + (why if turned and is_turned(self.path(record)) else "")
            )
        wanted = self.wanted(record["id"])
        boxes = clipped(wanted, np.array([[width, height]]))
        target = Target(
            boxes=boxes,
            labels=np.array([self.labels[a["category_id"]] for a in wanted], dtype=np.int64),
            area=np.array([a["area"] for a in wanted], dtype=np.float32),
            image_id=int(record["id"]),
            original_size=(height, width),
            size=(height, width),
        )
        if self.masks:
            target = replace(target, masks=self.decode(wanted, target))
        return image, target.select((boxes[:, 2:] > boxes[:, :2]).all(axis=1))

    @property
    def known(self) -> Categories:
        return Categories(self.categories, self.labels)

    @property
    def titles(self) -> dict[int, str]:
        """Names by category id; those that are the same have their ids behind them."""
        return told_apart(self.categories)

    @property
    def has_codes(self) -> bool:
        """Whether every annotation has its mask as a code, by which masks can be judged."""
        return self.masks

    def wanted(self, image_id: int) -> list[dict]:
        """The annotations of an image that are to be found: not crowds."""
        return [a for a in self.annotations[image_id] if not a.get("iscrowd", 0)]

    def decode(self, annotations: list[dict], target: Target) -> np.ndarray:
        """Masks of these annotations, bool [N, height, width]."""
        return decode_masks(annotations, *target.original_size)

    @cached_property
    def fingerprint(self) -> dict:
        """Ids, counts, category map and a hash of annotations and image file sizes, for run logs."""
        digest = hashlib.sha256()
        objects = crowds = 0
        for record in self.images:
            path = self.path(record)
            try:
                size = path.stat().st_size
            except FileNotFoundError:
                raise InputError(
                    f"{path}: image {record['id']} of {self.source} is missing"
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
