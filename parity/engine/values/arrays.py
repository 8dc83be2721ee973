"""Norms and greatest values of arrays and of their differences, in float64, in one pass over memory; parts of mappings.

Arrays are gone through in blocks that stay in a processor's cache, so that nothing as large as they are is made on
the way. A block is short enough that BLAS adds it up in one thread: the workers need the cores.

Before: nothing. judge/judging.py and its neighbours measure with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

BLOCK = 8192  # elements


class Size(NamedTuple):
    """Of an array: its L2 norm, and its greatest absolute value. NaN and infinity show in both."""

    norm: float
    greatest: float


def sizes(reference: np.ndarray, *others: np.ndarray, greatest: bool = True) -> list[Size]:
    """Of `reference`, and of every other's difference from it; all of one shape. Without `greatest` that is 0."""
    flat = [x.reshape(-1) for x in (reference, *others)]
    squares, most = [0.0] * len(flat), [0.0] * len(flat)
    for start in range(0, flat[0].size, BLOCK):
        exact = flat[0][start : start + BLOCK]
        exact = exact if exact.dtype == np.float64 else exact.astype(np.float64)
        for k, array in enumerate(flat):
            part = np.subtract(array[start : start + BLOCK], exact) if k else exact
            squares[k] += float(np.dot(part, part))
            if greatest:
                most[k] = max(most[k], float(part.max()), -float(part.min()))
    # Python's max may lose a NaN; the sum of squares does not
    return [
        Size(math.sqrt(s), math.nan if math.isnan(s) else m)
        for s, m in zip(squares, most, strict=True)
    ]


def norm(x: np.ndarray) -> float:
    return sizes(x, greatest=False)[0].norm


def is_zero(x: np.ndarray) -> bool:
    """Whether every element is 0; NaN is not. Looks no further than the first block with another."""
    flat = x.reshape(-1)
    return not any(flat[i : i + BLOCK].any() for i in range(0, flat.size, BLOCK))


def ratio(difference: float, size: float) -> float:
    """0 when both are 0, inf when only the size is."""
    if difference == 0:
        return 0.0
    return difference / size if size else float("inf")


class Selection(Mapping):
    """Some of a mapping's items, in the order of `names` (default: all), fetched when they are looked at."""

    def __init__(self, source: Mapping, names: Iterable[str] | None = None, convert=lambda x: x):
        self.source = source
        self.names = dict.fromkeys(source if names is None else names)
        self.convert = convert

    def __getitem__(self, name: str):
        if name not in self.names:
            raise KeyError(name)
        return self.convert(self.source[name])

    def __contains__(self, name) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
