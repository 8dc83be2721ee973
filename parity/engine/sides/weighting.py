"""The harness's own loss of whatever has none: a fixed weighting of all floats.

Before: nothing. runner.py and its neighbours ask.
"""

from __future__ import annotations

import numpy as np


def is_float(tensor) -> bool:
    return "float" in str(tensor.dtype)


def fixed_weighting(shape: tuple[int, ...]) -> np.ndarray:
    """Weights between -1 and 1, another one for each element, so that no two errors cancel."""
    return np.cos(np.arange(np.prod(shape), dtype=np.float64)).reshape(shape)
