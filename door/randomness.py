"""Random numbers that depend on nothing but a seed and names."""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """A Philox generator keyed by the seed and the names, independent of every other stream."""
    digest = hashlib.sha256("/".join(map(str, (seed, *names))).encode()).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest[:16], dtype=np.uint64)))


def neighbours(values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Every number moved by one unit in the last place, up or down as the generator says."""
    up = generator.random(values.shape) < 0.5
    return np.nextafter(values, np.where(up, np.inf, -np.inf).astype(values.dtype))
