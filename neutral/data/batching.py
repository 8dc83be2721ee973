"""Batches of images of different sizes: padded with zeros, the padding marked in a mask.

B images in the batch, H and W the greatest height and width among them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from door.randomness import stream
from neutral.config import Config
from neutral.data.coco import CocoDataset, Target
from neutral.data.transforms import train_transform, val_transform
from neutral.errors import InputError
from neutral.ranks import share


@dataclass(frozen=True)
class Batch:
    """images [B, 3, H, W] float32; mask [B, H, W] bool, True on padding; one Target per image."""

    images: np.ndarray
    mask: np.ndarray
    targets: tuple[Target, ...]


def collate(samples: list[tuple[np.ndarray, Target]], divisor: int = 1, least: int = 1) -> Batch:
    """Pads to the greatest height and width of the batch, rounded up to a multiple of `divisor`, at least `least`."""
    if not samples:
        raise InputError("cannot make a batch of no images")
    height, width = (
        -(-max(least, *(image.shape[axis] for image, _ in samples)) // divisor) * divisor
        for axis in (1, 2)
    )
    images = np.zeros((len(samples), 3, height, width), dtype=np.float32)
    mask = np.ones((len(samples), height, width), dtype=bool)
    for i, (image, _) in enumerate(samples):
        images[i, :, : image.shape[1], : image.shape[2]] = image
        mask[i, : image.shape[1], : image.shape[2]] = False
    return Batch(images, mask, tuple(target for _, target in samples))


# what a backbone needs on either side: VGG16's pools leave nothing of less, other maps have at least one cell
LEAST = {"vgg16": 16}


def make_batch(samples: list[tuple[np.ndarray, Target]], config: Config) -> Batch:
    """As the configuration's model wants it."""
    least = LEAST.get(config.model.backbone.name, 1)
    return collate(samples, config.transform.size_divisor, least)


def named(path: Path, transform: Callable, *arguments):
    """transform(*arguments); the InputError of an image names its file."""
    try:
        return transform(*arguments)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


@dataclass(frozen=True)
class PaddedTargets:
    """The objects of a batch in arrays: boxes [B, T, 4], labels [B, T], present bool [B, T]; T at least 1."""

    boxes: np.ndarray
    labels: np.ndarray
    present: np.ndarray


def pad_targets(targets: tuple[Target, ...]) -> PaddedTargets:
    """Images with fewer objects than the greatest number have zeros at the end, marked absent."""
    shape = (len(targets), max(1, *(len(t.labels) for t in targets)))
    boxes, labels = np.zeros((*shape, 4), dtype=np.float32), np.zeros(shape, dtype=np.int32)
    present = np.zeros(shape, dtype=bool)
    for i, target in enumerate(targets):
        count = len(target.labels)
        boxes[i, :count], labels[i, :count], present[i, :count] = target.boxes, target.labels, True
    return PaddedTargets(boxes, labels, present)


def train_order(length: int, seed: int, epoch: int) -> np.ndarray:
    """The order in which an epoch visits the images."""
    return stream(seed, "order", epoch).permutation(length)


def train_share(length: int, seed: int, epoch: int, rank: int = 0, ranks: int = 1) -> np.ndarray:
    """The images that a rank visits in an epoch, in order: its share of the order that all have in common."""
    return train_order(length, seed, epoch)[share(length, rank, ranks)]


def train_batches(
    dataset: CocoDataset,
    config: Config,
    epoch: int,
    skip: int = 0,
    workers: int = 0,
    rank: int = 0,
    ranks: int = 1,
) -> Iterator[Batch]:
    """One epoch of a rank, shuffled and augmented, without its first `skip` batches; the last incomplete batch is
    dropped, as in main.py:147. `workers` threads prepare batches ahead; what they hand out does not depend on their
    number."""
    size = config.optimiser.batch_size
    order = train_share(len(dataset), config.seed, epoch, rank, ranks)
    if len(order) < size:
        raise InputError(
            f"{len(order)} training images make no batch of {size}: lower optimiser.batch_size"
        )

    def make(start: int) -> Batch:
        samples = []
        for index in order[start : start + size]:
            image, target = dataset[int(index)]
            generator = stream(config.seed, "augment", epoch, target.image_id)
            path = dataset.path(dataset.images[int(index)])
            arguments = (image, target, config.transform, generator)
            samples.append(named(path, train_transform, *arguments))
        return make_batch(samples, config)

    return ahead(make, range(skip * size, len(order) - size + 1, size), workers)


def val_batches(
    dataset: CocoDataset,
    config: Config,
    limit: int | None = None,
    workers: int = 0,
    rank: int = 0,
    ranks: int = 1,
) -> Iterator[Batch]:
    """The images in order of id, unaugmented; at most `limit` of them, and of `ranks` every batch one rank's.
    `workers` as in train_batches."""
    count = min(len(dataset), limit or len(dataset))
    size = config.optimiser.batch_size

    def make(start: int) -> Batch:
        samples = []
        for index in range(start, min(start + size, count)):
            path = dataset.path(dataset.images[index])
            samples.append(named(path, val_transform, *dataset[index], config.transform))
        return make_batch(samples, config)

    return ahead(make, range(rank * size, count, ranks * size), workers)


AHEAD = 2  # batches for each worker that may wait to be used


def ahead(make: Callable[[int], Batch], starts: range, workers: int) -> Iterator[Batch]:
    """make(start) of every start, in order; `workers` threads make them before they are asked for (0: then).

    An error of a worker is raised where its batch would have come.
    """
    if not workers:
        yield from map(make, starts)
        return
    pool, waiting = ThreadPoolExecutor(workers), deque()
    try:
        for start in starts:
            waiting.append(pool.submit(make, start))
            if len(waiting) > AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
