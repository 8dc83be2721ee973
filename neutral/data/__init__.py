"""Data sets, transforms and batching; `open_dataset` gives the split a configuration asks for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from neutral.config import Config
from neutral.data.annotations import locate_coco, number, read_annotations
from neutral.data.categories import Categories
from neutral.data.coco import CocoDataset
from neutral.data.images import ImageCache
from neutral.data.panoptic import locate_panoptic, open_panoptic
from neutral.data.scenes import CATEGORIES, ensure_scenes
from neutral.data.voc import CLASSES, discovered, open_voc
from neutral.errors import InputError

SPLITS = ("train", "val")


def open_dataset(
    config: Config, split: str, scenes_folder: Path | str = "logs/data", cache_mib: float = 0
) -> CocoDataset:
    """The `train` or `val` split. Scenes are generated under `scenes_folder` on first use."""
    dataset = _open(config, split, scenes_folder)
    return replace(dataset, cache=ImageCache(cache_mib, config.data.max_pixels))


def _open(config: Config, split: str, scenes_folder: Path | str) -> CocoDataset:
    if split not in SPLITS:
        raise InputError(f"split {split!r}: choose one of {', '.join(SPLITS)}")
    if config.data.kind == "scenes":
        root = ensure_scenes(Path(scenes_folder), config.data.scenes, config.data.scenes_seed)
    elif config.data.root:
        root = Path(config.data.root)
    else:
        raise InputError(
            f"preset {config.name} needs a COCO directory (train2017, val2017, annotations) or a year "
            "of VOC (Annotations, ImageSets, JPEGImages): give --data DIR, or --set data.kind=scenes"
        )
    data, classes = config.data, config.model.num_classes
    sets = data.train_sets if split == "train" else data.val_sets
    if data.kind == "voc":
        known = discovered(root, data.train_sets) if data.voc_classes == "discovered" else CLASSES
        return open_voc(root, split, sets, classes, data.degenerate_boxes, known)
    first, contiguous = first_label(config), data.labels == "contiguous"
    masks = config.model.detector == "detr" and config.model.masks.enabled
    if data.kind == "coco_panoptic":
        return open_panoptic(root, split, classes, data.degenerate_boxes, masks)
    checks = (classes, data.degenerate_boxes, first, contiguous)
    return CocoDataset.open(root, split, *checks, sets, masks)


def first_label(config: Config) -> int:
    """Faster R-CNN's label 0 is the background."""
    return 1 if config.model.detector == "faster_rcnn" else 0


def open_categories(config: Config) -> Categories | None:
    """Those of the configuration's data set, without looking at its images; None when it names none."""
    data, root = config.data, Path(config.data.root)
    if data.kind == "scenes":
        return Categories(dict(CATEGORIES), {k: k for k in CATEGORIES})
    if not data.root:
        return None
    if data.kind == "voc":
        classes = discovered(root, data.train_sets) if data.voc_classes == "discovered" else CLASSES
        names = dict(enumerate(classes, start=1))
        return Categories(names, {k: k for k in names})
    if data.kind == "coco_panoptic":
        files = [locate_panoptic(root, split) for split in reversed(SPLITS)]
    else:
        sets = ((data.val_sets, "val"), (data.train_sets, "train"))
        files = [locate_coco(root, split, names)[0][0] for names, split in sets]
    content = read_annotations(next((f for f in files if f.is_file()), files[0]))
    names = {int(c["id"]): c["name"] for c in content["categories"]}
    contiguous = data.labels == "contiguous" and data.kind == "coco"
    return Categories(names, number(names, first_label(config), contiguous))
