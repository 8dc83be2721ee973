"""Anchor boxes in every convention of the public systems; exists once, both frameworks use the arrays.

An anchor has the area size^2 and height / width = ratio. What differs: how sizes are given, which of
size and ratio varies faster, what is rounded, and where the first centre lies (config.AnchorConfig).
Anchors are float32, as in every reference: in float64 the overlaps of symmetric anchors with an object
stop being equal, and the "best anchor of an object" silently loses its ties.
"""

from __future__ import annotations

import numpy as np

from neutral.config.faster_rcnn import AnchorConfig


def cell_anchors(config: AnchorConfig, level: int, stride: int) -> np.ndarray:
    """Anchors [A, 4] xyxy of one cell, around its centre (around 0), float32."""
    sizes = np.asarray(config.sizes[level], dtype=np.float64)
    ratios = np.asarray(config.ratios, dtype=np.float64)
    if config.unit == "strides":
        sizes = sizes * stride
    elif config.unit == "areas":
        sizes = np.sqrt(sizes)
    if config.rounding == "window":
        width, height = _window_sides(sizes, ratios, stride)
    else:  # float32 from here on, as torchvision: its rounding looks at these bits
        root = np.sqrt(ratios.astype(np.float32))
        width = (1 / root)[:, None] * sizes.astype(np.float32)[None]
        height = root[:, None] * sizes.astype(np.float32)[None]
    if config.order == "size_major":
        width, height = width.T, height.T
    boxes = np.stack([-width.ravel(), -height.ravel(), width.ravel(), height.ravel()], axis=1) / 2
    if config.rounding == "corners":
        boxes = np.round(boxes)
    return boxes.astype(np.float32)


def _window_sides(sizes: np.ndarray, ratios: np.ndarray, stride: int):
    """py-faster-rcnn's integer windows [R, S]: a base window of `stride` pixels is given the ratio, rounded,
    and then scaled; a window from x1 to x2 holds x2 - x1 + 1 pixels, so its corners are w - 1 apart."""
    width = np.round(np.sqrt(stride * stride / ratios))
    height = np.round(width * ratios)
    scales = sizes / stride
    return width[:, None] * scales[None] - 1, height[:, None] * scales[None] - 1


def grid_anchors(
    config: AnchorConfig,
    shapes: list[tuple[int, int]],
    strides: tuple[int, ...],
    image: tuple[int, int] = (0, 0),
) -> list[np.ndarray]:
    """Anchors of every level, each [H * W * A, 4] xyxy float32, row by row, all anchors of a cell together.

    `shapes` are (height, width) of the feature maps; `image`, that of the padded batch, is needed for
    measured strides.
    """
    levels = []
    for level, (shape, stride) in enumerate(zip(shapes, strides, strict=True)):
        cell = cell_anchors(config, level, stride)
        y, x = (
            (np.arange(cells) + config.offset)
            * (pixels // cells if config.stride == "measured" else stride)
            for cells, pixels in zip(shape, image, strict=True)
        )
        y, x = y.astype(np.float32), x.astype(np.float32)
        centres = np.stack(np.broadcast_arrays(x[None], y[:, None], x[None], y[:, None]), axis=-1)
        levels.append((centres.reshape(-1, 1, 4) + cell[None]).reshape(-1, 4))
    return levels


def inside(anchors: np.ndarray, size: tuple[int, int], strict: bool) -> np.ndarray:
    """bool [N]: anchors within an image of `size` (height, width); `strict`: the far sides below the size."""
    limit = np.array([size[1], size[0]], dtype=np.float32)
    far = anchors[:, 2:] < limit if strict else anchors[:, 2:] <= limit
    return ((anchors[:, :2] >= 0) & far).all(axis=1)


def centred_inside(anchors: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """bool [N]: anchors whose centre lies in an image of `size` (height, width), not on its padding."""
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    return (centres < np.array([size[1], size[0]], dtype=np.float32)).all(axis=1)
