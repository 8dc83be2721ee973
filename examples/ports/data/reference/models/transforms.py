"""Images and their boxes for training: a crop, a flip, normalisation, padding.

Images are [H, W, 3], RGB, uint8; boxes [T, 4] are xyxy in pixels.
"""

import numpy as np
import torch

from .categories import labels_of

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
SIZE = 48


def crop(image, boxes, ids, generator):
    """A window of at most SIZE by SIZE; boxes that are not in it go."""
    top = generator.integers(0, max(image.shape[0] - SIZE, 0) + 1)
    left = generator.integers(0, max(image.shape[1] - SIZE, 0) + 1)
    image = image[top : top + SIZE, left : left + SIZE]
    boxes = boxes - [left, top, left, top]
    boxes[:, 0::2] = boxes[:, 0::2].clip(0, image.shape[1])
    boxes[:, 1::2] = boxes[:, 1::2].clip(0, image.shape[0])
    there = (boxes[:, 2:] > boxes[:, :2]).all(1)
    return image, boxes[there], ids[there]


def flip(image, boxes, generator):
    if generator.random() < 0.5:
        image = image[:, ::-1]
        boxes = boxes.copy()
        boxes[:, [0, 2]] = image.shape[1] - boxes[:, [2, 0]]
    return image, boxes


def padded(image):
    """[3, SIZE, SIZE] and a mask [SIZE, SIZE], true where there is no image."""
    height, width = image.shape[:2]
    found = np.zeros((SIZE, SIZE, 3), dtype=np.float32)
    found[:height, :width] = (image / 255 - MEAN) / STD
    mask = np.ones((SIZE, SIZE), dtype=bool)
    mask[:height, :width] = False
    return found.transpose(2, 0, 1).copy(), mask


def batches(records, seed):
    """records: (image, boxes, category ids [T]); one image a batch."""
    generator = np.random.default_rng(seed)
    for image, boxes, ids in records:
        image, boxes, ids = crop(image, boxes, ids, generator)
        image, boxes = flip(image, boxes, generator)
        pixels, mask = padded(image)
        yield {
            "image": torch.from_numpy(pixels),
            "mask": torch.from_numpy(mask),
            "boxes": torch.from_numpy(boxes),
            "labels": labels_of(ids),
        }
