"""The images that predict looks at: files, folders, globs, or those of a data set with their objects."""

from __future__ import annotations

import argparse
import glob
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from neutral.config import Config
from neutral.data import open_categories
from neutral.data.batching import Batch, make_batch, named
from neutral.data.categories import Categories
from neutral.data.coco import Target
from neutral.data.images import is_image, load_image
from neutral.data.names import standard
from neutral.data.transforms import val_transform
from neutral.errors import InputError
from neutral.weights import open_weights
from scripts.common import open_datasets
from scripts.outputs import apart

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm")


@dataclass(frozen=True)
class Picture:
    """An image to look at: what its outputs are called, its file, and its objects where they are known."""

    name: str
    path: Path
    image_id: int
    target: Target | None = None


def find_files(patterns: list[str]) -> list[Path]:
    """Files, folders' images and globs, each file once; InputError names what is not there.

    A folder's images are those with the content of one or the ending of one; hidden files and folders are none.
    """
    found: list[Path] = []
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            files = [p for p in sorted(path.iterdir()) if is_photograph(p)]
        elif path.exists():
            files = [path]
        else:
            matches = sorted(map(Path, glob.glob(pattern, recursive=True)))
            files = [p for p in matches if is_photograph(p)]
        if not files:
            raise InputError(f"{pattern}: no such image, and no images there")
        found += files
    return list(dict.fromkeys(found))


def is_photograph(path: Path) -> bool:
    """Whether it is to be looked at: also what only its ending says, so that a damaged one is told."""
    if path.name.startswith(".") or not path.is_file():
        return False
    return path.suffix.lower() in ENDINGS or is_image(path)


def pictures_of(options: argparse.Namespace, config: Config) -> tuple[list[Picture], Categories]:
    """What to look at, and the categories of the weights, or else of --data, or else of the preset's own data."""
    carried = open_weights(options.weights, config, options.source, options.inside).categories
    if options.split and options.images:
        raise InputError("give images, or --split for those of the data set; not both")
    if not options.split:
        if not options.images:
            raise InputError("no images: give files, folders or globs, or --split val")
        files = find_files(options.images)
        names = apart(files, options.views)
        pictures = [Picture(n, f, k) for k, (n, f) in enumerate(zip(names, files), start=1)]
        given = open_categories(config) if options.data else None
        return pictures, agreed(options, carried, given) or standard(config) or Categories({}, {})
    dataset = open_datasets(config, 0)[options.split]
    known = agreed(options, carried, dataset.known)
    records = dataset.images[: options.count]
    paths = [dataset.path(record) for record in records]
    pictures = [
        Picture(name, path, record["id"], dataset[index][1])
        for index, (name, path, record) in enumerate(
            zip(apart(paths, options.views), paths, records)
        )
    ]
    return pictures, known


def agreed(
    options: argparse.Namespace, carried: Categories | None, given: Categories | None
) -> Categories | None:
    """The weights' categories, else the data's; InputError when both are known and not the same."""
    if carried and given:
        carried.check_same(given, str(options.weights), f"--data {options.data or 'of the preset'}")
    return carried or given


def batch_of(picture: Picture, image: Image.Image, config: Config) -> Batch:
    size = (image.height, image.width)
    empty = (np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32))
    target = picture.target or Target(*empty, picture.image_id, size, size)
    return make_batch([named(picture.path, val_transform, image, target, config.transform)], config)


def look_at(picture: Picture, config: Config) -> Image.Image:
    """As people see it, but for a data set's, whose objects lie on the pixels as they are stored."""
    return load_image(picture.path, picture.target is None, config.data.max_pixels)
