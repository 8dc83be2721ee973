"""Procedural scenes: shapes on textured ground, in COCO layout, the same bytes on every machine.

Four classes that differ in shape only (colours are random), so that a detector has to look at
form; objects overlap, and what is hidden is cut from the box, as in COCO. Some images are empty,
some hold a crowd of small shapes annotated as one `iscrowd` region. Category ids have gaps, so
that code which renumbers classes is found out.

Byte-identical: integer arithmetic only, and files in BMP, which has no compressor whose version
could matter.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from door.files import write_json
from door.randomness import stream
from door.unfinished import clear_unfinished, remove_unheld, unfinished
from neutral.config import ScenesConfig
from neutral.config.shared import CROWD_SIZE
from neutral.data.masks import encode_mask

CATEGORIES = {1: "disc", 2: "square", 4: "triangle", 7: "cross"}
MIN_VISIBLE = 3  # an object is annotated when at least 1/3 of its pixels show
FORMAT_VERSION = 2  # raise when drawing changes: it is part of the folder's name


def _shape_mask(category: int, size: int) -> np.ndarray:
    """bool [size, size]; integer arithmetic on pixel centres at odd coordinates 2i + 1."""
    y, x = np.mgrid[0:size, 0:size] * 2 + 1
    if category == 1:
        return (x - size) ** 2 + (y - size) ** 2 <= size * size
    if category == 2:
        return np.ones((size, size), dtype=bool)
    if category == 4:
        return 2 * abs(x - size) <= y
    return (3 * abs(x - size) <= size) | (3 * abs(y - size) <= size)


def _ground(generator: np.random.Generator, config: ScenesConfig) -> np.ndarray:
    """Blocks of a muted colour with per-pixel noise: int64 [H, W, 3] in 0..255."""
    block = 16
    rows, columns = -(-config.height // block), -(-config.width // block)
    base = generator.integers(60, 150, size=3)
    coarse = base + generator.integers(-25, 26, size=(rows, columns, 3))
    ground = coarse.repeat(block, axis=0).repeat(block, axis=1)[: config.height, : config.width]
    return ground + generator.integers(-12, 13, size=ground.shape)


def _draw_scene(
    generator: np.random.Generator, config: ScenesConfig
) -> tuple[np.ndarray, list[dict]]:
    """One image, uint8 [H, W, 3], and its annotations without ids."""
    canvas = _ground(generator, config)
    owner = np.zeros(
        canvas.shape[:2], dtype=np.int64
    )  # which object shows at each pixel, 0 the ground
    kind = generator.random()
    if kind < config.empty_fraction:
        return canvas.clip(0, 255).astype(np.uint8), []
    objects: list[tuple[int, int, bool]] = []  # category, drawn pixels, crowd
    identifiers = list(CATEGORIES)

    def place(category: int, size: int, top: int, left: int, index: int) -> int:
        mask = _shape_mask(category, size)
        colour = generator.integers(0, 256, size=3)
        colour[generator.integers(3)] = 255 * generator.integers(
            2
        )  # at least one channel far from the ground
        shade = generator.integers(-10, 11, size=(size, size, 1))
        region = (slice(top, top + size), slice(left, left + size))
        canvas[region][mask] = (colour + shade)[mask]
        owner[region][mask] = index
        return int(mask.sum())

    if kind < config.empty_fraction + config.crowd_fraction:
        category = identifiers[generator.integers(len(identifiers))]
        size, count = 10, 12
        width, height = CROWD_SIZE
        top = int(generator.integers(0, config.height - height + 1))
        left = int(generator.integers(0, config.width - width + 1))
        drawn = 0
        for _ in range(count):
            dy, dx = (
                int(generator.integers(0, height - size + 1)),
                int(generator.integers(0, width - size + 1)),
            )
            drawn += place(category, size, top + dy, left + dx, 1)
        objects.append((category, drawn, True))
    for _ in range(int(generator.integers(1, config.max_objects + 1))):
        category = identifiers[generator.integers(len(identifiers))]
        size = int(generator.integers(config.min_side, config.max_side + 1))
        top = int(generator.integers(0, config.height - size + 1))
        left = int(generator.integers(0, config.width - size + 1))
        objects.append((category, place(category, size, top, left, len(objects) + 1), False))

    return canvas.clip(0, 255).astype(np.uint8), _annotations(objects, owner)


def _annotations(objects: list[tuple[int, int, bool]], owner: np.ndarray) -> list[dict]:
    """Those of objects (category, drawn pixels, crowd) of which enough shows; `owner` [H, W] says where, from 1."""
    annotations = []
    for index, (category, drawn, crowd) in enumerate(objects, start=1):
        rows, columns = np.nonzero(owner == index)
        if len(rows) == 0 or (not crowd and len(rows) * MIN_VISIBLE < drawn):
            continue
        top, left = int(rows.min()), int(columns.min())
        annotations.append(
            {
                "category_id": category,
                "bbox": [left, top, int(columns.max()) + 1 - left, int(rows.max()) + 1 - top],
                "area": len(rows),
                "iscrowd": int(crowd),
                "segmentation": encode_mask(owner == index),
            }
        )
    return annotations


def write_scenes(root: Path, config: ScenesConfig, seed: int) -> None:
    """Writes ROOT/{train,val}2017 and ROOT/annotations, as COCO 2017 names them."""
    for split, count in (("train", config.train_images), ("val", config.val_images)):
        folder = root / f"{split}2017"
        folder.mkdir(parents=True)
        images, annotations = [], []
        for number in range(1, count + 1):
            pixels, found = _draw_scene(stream(seed, "scenes", split, number), config)
            name = f"{number:012d}.bmp"
            Image.fromarray(pixels).save(folder / name)
            images.append(
                {"id": number, "file_name": name, "height": config.height, "width": config.width}
            )
            for annotation in found:
                annotations.append({"id": len(annotations) + 1, "image_id": number, **annotation})
        categories = [{"id": k, "name": v, "supercategory": "shape"} for k, v in CATEGORIES.items()]
        content = {
            "info": {},
            "licenses": [],
            "images": images,
            "annotations": annotations,
            "categories": categories,
        }
        write_json(root / "annotations" / f"instances_{split}2017.json", content, indent=None)


def ensure_scenes(folder: Path, config: ScenesConfig, seed: int) -> Path:
    """The data set's root under `folder`, generated there unless it exists."""
    key = json.dumps([FORMAT_VERSION, asdict(config), seed], sort_keys=True)
    root = folder / f"scenes-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    if not root.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        clear_unfinished(folder)
        for left in folder.glob(".scenes-*"):  # as earlier versions called them
            remove_unheld(left)
        staging, descriptor = unfinished(folder, is_folder=True)
        try:
            write_scenes(staging, config, seed)
            staging.rename(root)
        except OSError:
            if not root.is_dir():  # otherwise another process was faster; its bytes are the same
                raise
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            os.close(descriptor)
    return root
