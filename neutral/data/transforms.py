"""Image transforms on PIL images, with DETR's rounding, drawing from a stream handed in.

Follows facebookresearch/detr datasets/transforms.py and coco.py:115-142; boxes are computed in
float32 as there. The draws come in the reference's order, but from a named Philox stream per
(seed, epoch, image), so that both frameworks and any number of workers see the same samples.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from neutral.config import TransformConfig
from neutral.data.coco import Target
from neutral.errors import InputError
from neutral.geometry import resize_nearest, xyxy_to_cxcywh

MOST_PIXELS = 25_000_000  # of a resized image: 300 MB as float32, and many times that in a network


def resized_size(size: tuple[int, int], short: int, longest: int | None) -> tuple[int, int]:
    """(width, height) -> (width, height) with the short side at `short`, the long side at most `longest`.

    Rounding as transforms.py:76-95: Python's round (half to even) for the cap, truncation for the
    other side. Where that gives 0, 1 pixel, and the long side `longest`.
    """
    width, height = size
    low, high = float(min(size)), float(max(size))
    if longest is not None and high / low * short > longest:
        short = round(longest * low / high)
        if short < 1:
            return (1, longest) if width < height else (longest, 1)
    if (width <= height and width == short) or (height <= width and height == short):
        return width, height
    if width < height:
        return short, int(short * height / width)
    return int(short * width / height), short


def resize(image: Image.Image, target: Target, short: int, longest: int | None = None):
    """InputError when an image this long would have more than MOST_PIXELS."""
    size = resized_size(image.size, short, longest)
    if size[0] * size[1] > MOST_PIXELS:
        raise InputError(
            f"{image.width} x {image.height} pixels would be resized to {size[0]} x {size[1]}; cut the image up, or "
            "limit its long side with --set transform.max_size=1333"
        )
    resized = image.resize(size, Image.Resampling.BILINEAR)
    ratio_w, ratio_h = size[0] / image.size[0], size[1] / image.size[1]
    target = replace(
        target,
        boxes=target.boxes * np.array([ratio_w, ratio_h, ratio_w, ratio_h], dtype=np.float32),
        area=target.area * np.float32(ratio_w * ratio_h),
        size=(size[1], size[0]),
    )
    return resized, target.with_masks(lambda masks: resize_nearest(masks, size[1], size[0]))


def crop(image: Image.Image, target: Target, top: int, left: int, height: int, width: int):
    """Cuts the region out; boxes are clipped to it and those left without area are dropped."""
    shifted = target.boxes - np.array([left, top, left, top], dtype=np.float32)
    corners = np.minimum(
        shifted.reshape(-1, 2, 2), np.array([width, height], dtype=np.float32)
    ).clip(0, None)
    target = replace(
        target,
        boxes=corners.reshape(-1, 4),
        area=np.prod(corners[:, 1] - corners[:, 0], axis=1),
        size=(height, width),
    )
    keep = (corners[:, 1] > corners[:, 0]).all(axis=1)
    target = target.with_masks(lambda masks: masks[:, top : top + height, left : left + width])
    return image.crop((left, top, left + width, top + height)), target.select(keep)


def flip(image: Image.Image, target: Target, offset: float = 0.0):
    """Mirrors left and right: x becomes width - offset - x."""
    width = np.float32(image.size[0] - offset)
    boxes = target.boxes[:, [2, 1, 0, 3]] * np.array([-1, 1, -1, 1], np.float32) + np.array(
        [width, 0, width, 0], np.float32
    )
    target = replace(target, boxes=boxes).with_masks(lambda masks: masks[:, :, ::-1])
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), target


def normalise(
    image: Image.Image, target: Target, config: TransformConfig
) -> tuple[np.ndarray, Target]:
    """[3, H, W] float32, mean and deviation of the configuration; boxes as `config.boxes` says."""
    pixels = np.asarray(image, dtype=np.float32).transpose(2, 0, 1)
    pixels = pixels / np.float32(255 / config.pixel_range)
    if config.channels == "bgr":
        pixels = pixels[::-1]
    mean = np.array(config.mean, dtype=np.float32)[:, None, None]
    std = np.array(config.std, dtype=np.float32)[:, None, None]
    normalised = np.ascontiguousarray((pixels - mean) / std)
    if config.boxes == "absolute_xyxy":
        return normalised, target
    width, height = image.size
    boxes = xyxy_to_cxcywh(target.boxes) / np.array(
        [width, height, width, height], dtype=np.float32
    )
    return normalised, replace(target, boxes=boxes)


def train_transform(image, target: Target, config: TransformConfig, generator: np.random.Generator):
    """Flip, then either a resize or resize, crop, resize: -> ([3, H, W] float32, Target)."""
    if generator.random() < config.flip_probability:
        image, target = flip(image, target, config.flip_offset)
    if generator.random() < config.crop_probability:
        short = _choice(generator, config.crop_resize_sizes)
        # the reference has no limit here: strips would fill the memory
        image, target = resize(image, target, short, MOST_PIXELS // short)
        width, height = (
            _inclusive(generator, min(config.crop_min, side), min(side, config.crop_max))
            for side in image.size
        )
        top = _inclusive(generator, 0, image.size[1] - height)
        left = _inclusive(generator, 0, image.size[0] - width)
        image, target = crop(image, target, top, left, height, width)
    image, target = resize(
        image, target, _choice(generator, config.train_sizes), config.max_size or None
    )
    return normalise(image, target, config)


def val_transform(image, target: Target, config: TransformConfig):
    """Resize to `val_size`, capped at `max_size`: -> ([3, H, W] float32, Target)."""
    return normalise(*resize(image, target, config.val_size, config.max_size or None), config)


def _choice(generator: np.random.Generator, values: tuple[int, ...]) -> int:
    return values[int(generator.integers(len(values)))]


def _inclusive(generator: np.random.Generator, low: int, high: int) -> int:
    return int(generator.integers(low, high + 1))
