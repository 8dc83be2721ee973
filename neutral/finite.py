"""Which array holds NaN or infinity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np


def first_bad(arrays: Mapping[str, np.ndarray | None], order: Iterable[str]) -> dict | None:
    """The first array in `order` with NaN or infinity: name, shape, how many of which; None when all are finite."""
    for name in order:
        values = arrays[name]
        if values is None or values.dtype.kind != "f" or np.isfinite(values).all():
            continue
        return {
            "node": name,
            "shape": list(values.shape),
            "nan": int(np.isnan(values).sum()),
            "infinite": int(np.isinf(values).sum()),
        }
    return None
