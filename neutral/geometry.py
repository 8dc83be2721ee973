"""Box algebra on NumPy arrays: the data pipeline's own, and the oracle for both tensor versions; resizing of grids.

Boxes are float arrays [N, 4]; xyxy and xywh are in pixels, cxcywh is relative to the image.
"""

from __future__ import annotations

import numpy as np


def xywh_to_xyxy(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def xyxy_to_xywh(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def xyxy_to_cxcywh(boxes: np.ndarray) -> np.ndarray:
    low, high = boxes[:, :2], boxes[:, 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=1)


def cxcywh_to_xyxy(boxes: np.ndarray) -> np.ndarray:
    centre, half = boxes[:, :2], boxes[:, 2:] / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def pairwise_iou(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """IoU and union area of xyxy boxes a [N, 4] and b [M, 4]: both [N, M]."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.prod(np.clip(high - low, 0, None), axis=2)
    area_a, area_b = np.prod(a[:, 2:] - a[:, :2], axis=1), np.prod(b[:, 2:] - b[:, :2], axis=1)
    union = area_a[:, None] + area_b[None] - overlap
    return overlap / union, union


def nearest_index(length: int, resized: int) -> np.ndarray:
    """Source index int64 of each resized position, in float32 as F.interpolate's nearest computes it."""
    scale = np.float32(length) / np.float32(resized)
    index = (np.arange(resized, dtype=np.float32) * scale).astype(np.int64)
    return np.minimum(index, length - 1)


def resize_nearest(grids: np.ndarray, height: int, width: int) -> np.ndarray:
    """[..., H, W] -> [..., height, width]."""
    rows, columns = (
        nearest_index(n, m) for n, m in zip(grids.shape[-2:], (height, width), strict=True)
    )
    return grids[..., rows[:, None], columns]


def bilinear_weights(length: int, resized: int) -> np.ndarray:
    """[resized, length] float64: what each resized position takes of each source, corners not aligned."""
    source = np.maximum((np.arange(resized) + 0.5) * (length / resized) - 0.5, 0)
    low = np.minimum(source.astype(np.int64), length - 1)
    share = source - low
    weights = np.zeros((resized, length))
    weights[np.arange(resized), low] = 1 - share
    weights[np.arange(resized), np.minimum(low + 1, length - 1)] += share
    return weights
