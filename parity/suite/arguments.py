"""Arrays among the arguments of an op that are not what arrays usually are: a tensor with a gradient."""

from __future__ import annotations

import numpy as np

# single operations


class Constant:
    """A float array argument to which no gradient flows (boxes)."""

    def __init__(self, array: np.ndarray):
        self.array = array


class Plain:
    """An array argument that an op takes as NumPy (an index, a shape)."""

    def __init__(self, array: np.ndarray):
        self.array = array
