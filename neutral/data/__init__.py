"""Data sets, transforms and batching; `open_dataset` gives the split a configuration asks for."""

from __future__ import annotations

from pathlib import Path

from neutral.config import Config
from neutral.data.coco import CocoDataset
from neutral.data.panoptic import open_panoptic
from neutral.data.scenes import ensure_scenes
from neutral.data.voc import CLASSES, discovered, open_voc
from neutral.errors import InputError

SPLITS = ("train", "val")


def open_dataset(
    config: Config, split: str, scenes_folder: Path | str = "logs/data"
) -> CocoDataset:
    """The `train` or `val` split. Scenes are generated under `scenes_folder` on first use."""
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
    first = 1 if config.model.detector == "faster_rcnn" else 0
    contiguous = data.labels == "contiguous"
    masks = config.model.detector == "detr" and config.model.masks.enabled
    if data.kind == "coco_panoptic":
        return open_panoptic(root, split, classes, data.degenerate_boxes, masks)
    checks = (classes, data.degenerate_boxes, first, contiguous)
    return CocoDataset.open(root, split, *checks, sets, masks)
