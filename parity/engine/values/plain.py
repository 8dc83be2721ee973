"""Trees of arrays and plain values that mean the same in both processes.

Before: tree.py. Asked by sides/called.py.
"""

from __future__ import annotations

import numpy as np

NUMBERS = (bool, int, float, np.ndarray)
NUMERIC = "biufc"  # kinds of dtypes that have distances


def is_simple(value) -> bool:
    """Whether it can be given to another process and means the same there."""
    if isinstance(value, dict):
        return all(isinstance(k, (str, int)) and is_simple(v) for k, v in value.items())
    if type(value) in (list, tuple):
        return all(map(is_simple, value))
    return value is None or isinstance(value, (bool, int, float, str, np.ndarray))


def same(a, b) -> bool:
    """Whether two trees of arrays and plain values are one but for rounding."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, NUMBERS) and isinstance(b, NUMBERS):
        a, b = (np.atleast_1d(x) for x in (a, b))
        if not {a.dtype.kind, b.dtype.kind} <= set(NUMERIC):
            return np.array_equal(a, b)
        return a.shape == b.shape and np.allclose(a, b, rtol=1e-6, atol=1e-12, equal_nan=True)
    return not isinstance(a, np.ndarray) and not isinstance(b, np.ndarray) and a == b
