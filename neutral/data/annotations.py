"""Files of COCO's annotations: where they and their images lie, and what has to hold in them.

InputError names file, record and key of what does not.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from door.text import read_json_as
from neutral.data.masks import check_code
from neutral.errors import InputError
from neutral.geometry import xywh_to_xyxy
from neutral.notes import say
from neutral.schemas import ANNOTATIONS_LIMIT, CocoFile

# parts of COCO 2014's validation images that ruotianluo's port and others train and evaluate on
PARTS_OF = {"minival2014": "val2014", "valminusminival2014": "val2014"}


def locate_coco(root: Path, split: str, sets: Sequence[str] = ()) -> list[tuple[Path, str]]:
    """Annotation file and folder of images of each of `sets` or, without any, of {split}2017, else {split}2014."""
    if sets:
        return [locate_set(root, name) for name in sets]
    known = [locate_set(root, f"{split}{year}") for year in (2017, 2014)]
    return [next((place for place in known if place[0].is_file()), known[0])]


def locate_set(root: Path, name: str) -> tuple[Path, str]:
    """Annotation file and folder of images, below `root`, of a set.

    "val2017" stands for annotations/instances_val2017.json and val2017; "FILE.json:FOLDER" names both, below `root`;
    of "FILE.json" alone the images lie where its names lead from `root` or from beside it.
    """
    file, colon, folder = name.rpartition(":")
    if colon:
        return root / file, folder
    if name.endswith(".json"):
        return root / name, ""
    return root / "annotations" / f"instances_{name}.json", PARTS_OF.get(name, name)


def check_present(file: Path) -> None:
    """InputError unless there is such a file of annotations; names what says where it is."""
    if not file.is_file():
        raise InputError(
            f"{file}: no such file; --data names a folder with annotations/instances_train2017.json and so on, "
            "--set data.train_sets=mine.json:photos and data.val_sets name other files; "
            "a folder of VOC is asked for with --set data.kind=voc"
        )


def find_images(root: Path, file: Path, images: dict[int, dict]) -> None:
    """Puts right where records say that images lie: separators of Windows, names that begin at `root` or `file`."""
    for record in images.values():
        name = str(record["file_name"])
        if "\\" in name and not (root / record["folder"] / name).exists():
            record["file_name"] = name.replace("\\", "/")
    first = next(iter(images.values()))
    beside = os.path.relpath(file.parent, root)
    for folder in (first["folder"], "", beside):
        if (root / folder / first["file_name"]).exists():
            if folder != first["folder"]:
                images |= {i: record | {"folder": folder} for i, record in images.items()}
            return


def number(categories: dict[int, str], first: int, contiguous: bool) -> dict[int, int]:
    """Labels by category id: the ids themselves or, `contiguous`, from `first` on in the order of ids."""
    order = sorted(categories)
    return dict(zip(order, range(first, first + len(order)) if contiguous else order))


def read_annotations(file: Path, shape=CocoFile) -> dict:
    """The content of a file of COCO's annotations or, `shape` PanopticFile, segments; its ids occur once."""
    content = read_json_as(file, shape, ANNOTATIONS_LIMIT)
    if not content["images"]:
        raise InputError(f"{file}: no images")
    for kind in ("images", "categories", "annotations"):
        ids = [record["id"] for record in content[kind] if "id" in record]
        if len(set(ids)) < len(ids):
            seen: set[int] = set()
            twice = next(i for i in ids if i in seen or seen.add(i))
            raise InputError(
                f"{file}: {kind}: id {twice} occurs {ids.count(twice)} times; ids must differ"
            )
    return content


def check_labels(labels: dict[int, int], first: int, num_classes: int, file: Path) -> None:
    """InputError unless every label lies in first..num_classes - 1."""
    bad = [c for c, label in labels.items() if not first <= label < num_classes]
    if bad and labels[bad[0]] < first:
        raise InputError(
            f"{file}: category id {bad[0]}: Faster R-CNN needs ids from {first} on, 0 is the background; "
            f"--set data.labels=contiguous numbers them from {first} on, with --set model.num_classes={len(labels) + 1}"
        )
    if bad:
        raise InputError(
            f"{file}: category id {bad[0]} does not fit model.num_classes={num_classes}; "
            f"set it to at least {max(labels.values()) + 1}"
        )


def clipped(annotations: Sequence[dict], sizes: np.ndarray) -> np.ndarray:
    """Boxes [N, 4] float32, xyxy, within their images, whose (width, height) are `sizes` [N or 1, 2]."""
    boxes = np.array([a["bbox"] for a in annotations], dtype=np.float32).reshape(-1, 4)
    corners = xywh_to_xyxy(boxes).reshape(-1, 2, 2)
    return np.clip(corners, 0, sizes[:, None].astype(np.float32)).reshape(-1, 4)


def with_area(
    annotations: Sequence[dict], images: dict[int, dict], file: Path, degenerate_boxes: str
) -> Sequence[dict]:
    """Those with an area within their image, which is all that counts of a data set.

    InputError names the first other one, unless these are to be dropped.
    """
    records = [images[a["image_id"]] for a in annotations]
    sizes = np.array([(r["width"], r["height"]) for r in records], dtype=float).reshape(-1, 2)
    boxes = clipped(annotations, sizes)
    lost = ~(boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    if not lost.any():
        return annotations
    first = annotations[int(lost.argmax())]
    which = f"annotation {first.get('id', '(without id)')} (image {first['image_id']})"
    if degenerate_boxes == "error":
        width, height = sizes[int(lost.argmax())]
        raise InputError(
            f"{file}: {which}: box {first['bbox']} has no area within its image of {width:g}x{height:g}; mend it, or "
            "leave such boxes out with --set data.degenerate_boxes=drop"
        )
    say(f"{file}: {lost.sum()} objects without an area are left out, the first is {which}")
    return [a for a, gone in zip(annotations, lost, strict=True) if not gone]


def check_mask(annotation: dict, image: dict, file: Path) -> None:
    """InputError unless the annotation has polygons or a run-length code of its image's size."""
    found = annotation.get("segmentation")
    which = f"{file}: annotation {annotation.get('id', '(without id)')}"
    if not found:
        raise InputError(
            f"{which} has no segmentation; model.masks.enabled=true needs one for every object"
        )
    check_code(found, image["height"], image["width"], which)


def check_annotation(
    annotation: dict, images: dict, categories: dict, file: Path, degenerate_boxes: str
) -> None:
    """InputError unless the annotation fits the file's other records; gives it an area if it has none."""
    if annotation["image_id"] not in images:
        raise InputError(
            f"{named(annotation, file)} names image {annotation['image_id']}, which is not in 'images'"
        )
    if annotation["category_id"] not in categories:
        raise InputError(
            f"{named(annotation, file)} has unknown category {annotation['category_id']}; "
            "add it to 'categories' or remove it"
        )
    box = annotation["bbox"]
    annotation.setdefault("area", abs(box[2] * box[3]))
    if degenerate_boxes == "error" and not (box[2] > 0 and box[3] > 0):
        raise InputError(
            f"{named(annotation, file)} (image {annotation['image_id']}): box {box} has no area; mend it, or leave "
            "such boxes out with --set data.degenerate_boxes=drop"
        )


def named(annotation: dict, file: Path) -> str:
    return f"{file}: annotation {annotation.get('id', '(without id)')}"
