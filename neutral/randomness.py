"""Counter-based random streams: one seed, named streams, the same arrays for both frameworks.

`stream(seed, "augment", epoch, image_id)` is a NumPy Philox generator that depends on nothing but
its arguments, so the order in which consumers run, the number of workers and the framework do not
matter. Whatever is random in a run comes from here: initial weights, shuffling, augmentation and
(unless `dropout_source = "native"`) dropout masks.
"""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """A Philox generator keyed by the seed and the names, independent of every other stream."""
    digest = hashlib.sha256("/".join(map(str, (seed, *names))).encode()).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest[:16], dtype=np.uint64)))


class DropoutMasks:
    """Hands out dropout masks by call site: the n-th call of site S in step k always gets the same.

    Both frameworks call the sites in the same order, because their model files are twins.
    """

    def __init__(self, seed: int):
        self.seed = seed
        self.begin_step(0)

    def begin_step(self, step: int) -> None:
        """Call before every forward pass in training; `step` is the global step number."""
        self.step = step
        self.calls: dict[str, int] = {}

    def draw(self, site: str, shape: tuple[int, ...], rate: float) -> np.ndarray:
        """bool `shape`, True where the value is kept (probability 1 - rate)."""
        call = self.calls[site] = self.calls.get(site, -1) + 1
        generator = stream(self.seed, "dropout", self.step, site, call)
        return generator.random(shape, dtype=np.float32) >= np.float32(rate)
