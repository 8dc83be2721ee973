"""Anchors: boxes of several sizes and shapes around every cell of a map, xyxy in pixels."""

from __future__ import annotations

import jittor as jt
import numpy as np


class AnchorGenerator:
    def __init__(self, sizes=(12.0, 20.0), ratios=(0.5, 1.0, 2.0), stride=8):
        self.sizes, self.ratios, self.stride = sizes, ratios, stride
        self.per_cell = len(sizes) * len(ratios)

    def base(self):
        """Around (0, 0): [A, 4]; a ratio is height / width, the area is size * size."""
        ratios, sizes = jt.array(np.array(self.ratios)), jt.array(np.array(self.sizes))
        heights = ratios.sqrt()
        widths = 1 / heights
        widths = (sizes[:, None] * widths[None]).reshape(-1)
        heights = (sizes[:, None] * heights[None]).reshape(-1)
        return jt.stack([-widths, -heights, widths, heights], 1) / 2

    def __call__(self, rows, columns):
        """[rows * columns * A, 4], the anchors of a cell side by side."""
        x = (jt.array(np.arange(columns)) + 0.5) * self.stride
        y = (jt.array(np.arange(rows)) + 0.5) * self.stride
        x, y = x[None].expand(rows, columns), y[:, None].expand(rows, columns)
        shifts = jt.stack([x, y, x, y], -1).reshape(-1, 1, 4)
        return (shifts + self.base()[None]).reshape(-1, 4)
