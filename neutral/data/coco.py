"""COCO directories: annotations checked on opening, images checked on loading.

Follows facebookresearch/detr datasets/coco.py (ConvertCocoPolysToMask): crowds are left out, boxes
become xyxy and are clipped to the image, those that clipping leaves empty are dropped, and labels
are the category ids themselves, or consecutive numbers as in detectron2. Unlike there, an annotation that is
itself degenerate (no area, or not finite) is an error that names it, unless `degenerate_boxes = "drop"`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from pycocotools import mask as coco_masks

from neutral.errors import InputError
from neutral.files import read_json, regular
from neutral.geometry import xywh_to_xyxy


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

    An image's record has COCO's keys and "folder", where it lies below `root`. `cache` keeps images as they were read.
    """

    split: str
    root: Path
    source: str  # what lists the images, for messages
    images: tuple[dict, ...]
    annotations: dict[int, tuple[dict, ...]]  # by image id
    categories: dict[int, str]
    labels: dict[int, int]  # by category id
    masks: bool = False  # whether targets have them
    cache: ImageCache = field(default_factory=lambda: ImageCache(0), compare=False)

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
        known = (f"{split}2017", f"{split}2014")
        present = [name for name in known if locate_set(root, name)[0].is_file()]
        records, by_image, categories = {}, {}, {}
        for name in sets or present[:1] or known[:1]:
            file, folder = locate_set(root, name)
            content = read_annotations(file)
            found = {int(c["id"]): c["name"] for c in content["categories"]}
            if categories and found != categories:
                raise InputError(f"{file}: its categories are not those of the set before it")
            categories = found
            images = {int(i["id"]): i | {"folder": folder} for i in content["images"]}
            for record in images.values():
                check_image(record, file)
            if twice := sorted(images.keys() & records.keys()):
                raise InputError(f"{file}: image {twice[0]} is in another set of the split, too")
            records |= images
            by_image |= {i: [] for i in images}
            for annotation in content["annotations"]:
                check_annotation(annotation, images, categories, file, degenerate_boxes)
                if masks:
                    check_mask(annotation, file)
                by_image[annotation["image_id"]].append(annotation)
        order = sorted(categories)
        numbers = range(first_label, first_label + len(order)) if contiguous else order
        labels = dict(zip(order, numbers))
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
            raise InputError(
                f"{self.path(record)}: is {width}x{height}, but {Path(self.source).name} "
                f"says {record['width']}x{record['height']} (width x height)"
            )
        wanted = self.wanted(record["id"])
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
        if self.masks:
            target = replace(target, masks=self.decode(wanted, target))
        return image, target.select((boxes[:, 2:] > boxes[:, :2]).all(axis=1))

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


class ImageCache:
    """Decoded images by path, `limit_mib` of pixels at most: the longest unused is dropped. Safe between threads."""

    def __init__(self, limit_mib: float):
        self.limit = limit_mib * 2**20
        self.images: OrderedDict[Path, Image.Image] = OrderedDict()
        self.size = 0
        self.lock = threading.Lock()

    def get(self, path: Path) -> Image.Image:
        """The image, from memory or, as `load_image`, from its file."""
        with self.lock:
            if path in self.images:
                self.images.move_to_end(path)
                return self.images[path]
        image = load_image(path)
        with self.lock:
            if path not in self.images and _bytes(image) <= self.limit:
                self.images[path] = image
                self.size += _bytes(image)
                while self.size > self.limit:
                    self.size -= _bytes(self.images.popitem(last=False)[1])
        return image


def _bytes(image: Image.Image) -> int:
    return image.width * image.height * len(image.getbands())


# parts of COCO 2014's validation images that ruotianluo's port and others train and evaluate on
PARTS_OF = {"minival2014": "val2014", "valminusminival2014": "val2014"}


def locate_set(root: Path, name: str) -> tuple[Path, str]:
    """Annotation file and folder of images, below `root`, of a set.

    "val2017" stands for annotations/instances_val2017.json and val2017; "FILE.json:FOLDER" names both, below `root`.
    """
    file, colon, folder = name.rpartition(":")
    if colon:
        return root / file, folder
    return root / "annotations" / f"instances_{name}.json", PARTS_OF.get(name, name)


def read_annotations(file: Path) -> dict:
    """The content of a COCO annotation file; InputError unless it has the three lists and an image."""
    content = read_json(file)
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise InputError(
                f"{file}: no list {key!r}; a COCO annotation file has images, annotations, categories"
            )
    if not content["images"]:
        raise InputError(f"{file}: no images")
    return content


def check_image(record: dict, file: Path) -> None:
    missing = [k for k in ("file_name", "height", "width") if k not in record]
    if missing:
        raise InputError(f"{file}: image {record['id']} has no {missing[0]!r}")


def check_labels(labels: dict[int, int], first: int, num_classes: int, file: Path) -> None:
    """InputError unless every label lies in first..num_classes - 1."""
    bad = [c for c, label in labels.items() if not first <= label < num_classes]
    if bad and labels[bad[0]] < first:
        raise InputError(
            f"{file}: category id {bad[0]}: Faster R-CNN needs ids from {first} on, 0 is the background"
        )
    if bad:
        raise InputError(
            f"{file}: category id {bad[0]} does not fit model.num_classes={num_classes}; "
            f"set it to at least {max(labels.values()) + 1}"
        )


def load_image(path: Path) -> Image.Image:
    """The image as RGB; InputError names a file that is missing, no image, or cut short."""
    try:
        with Image.open(regular(path)) as image:
            return image.convert("RGB")
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such image") from None
    except UnidentifiedImageError:
        raise InputError(
            f"{path}: not an image that Pillow can read; replace or remove it"
        ) from None
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: corrupt image ({error}); replace or remove it") from None


def encode_mask(mask: np.ndarray) -> dict:
    """bool [H, W] -> COCO's run-length code, ready for JSON."""
    code = coco_masks.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(mask.shape), "counts": code["counts"].decode()}


def check_mask(annotation: dict, file: Path) -> None:
    """InputError unless the annotation has polygons or a run-length code."""
    found = annotation.get("segmentation")
    if not found or not isinstance(found, (list, dict)):
        raise InputError(
            f"{file}: annotation {annotation.get('id', '(without id)')} has no segmentation; "
            "model.masks.enabled=true needs one for every object"
        )


def decode_masks(annotations: list[dict], height: int, width: int) -> np.ndarray:
    """COCO's polygons and run-length codes -> bool [N, height, width]; parts of an object are joined.

    InputError names an annotation whose code is none, or is that of an image of another size.
    """
    masks = np.zeros((len(annotations), height, width), dtype=bool)
    for k, annotation in enumerate(annotations):
        code = annotation["segmentation"]
        try:
            if isinstance(code, list) or isinstance(code["counts"], list):
                code = coco_masks.frPyObjects(code, height, width)
            parts = coco_masks.decode(code if isinstance(code, list) else [code])
            masks[k] = parts.any(axis=2)
        except Exception as error:  # pycocotools raises what it likes
            which = f"annotation {annotation.get('id')} of image {annotation.get('image_id')}"
            raise InputError(
                f"{which}: its segmentation is no mask of {width}x{height} pixels ({error})"
            ) from None
    return masks


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
