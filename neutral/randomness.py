"""Counter-based random streams: one seed, named streams, the same arrays for both frameworks.

`stream(seed, "augment", epoch, image_id)` is a NumPy Philox generator that depends on nothing but
its arguments, so the order in which consumers run, the number of workers and the framework do not
matter. Whatever is random in a run comes from here: initial weights, shuffling, augmentation, samplers and
(unless `dropout_source = "native"`) dropout masks.
"""

from __future__ import annotations

import numpy as np

from door.randomness import stream


class Draws:
    """Hands out what a training step draws, by call site: the n-th call of site S in step k of a rank always
    gets the same.

    Both frameworks call the sites in the same order, because their model files are twins.
    """

    def __init__(self, seed: int, rank: int = 0):
        """rank: of several processes that train together, each with draws of its own."""
        self.seed = seed
        self.rank = (f"rank {rank}",) if rank else ()
        self.begin_step(0)

    def begin_step(self, step: int) -> None:
        """Call before every forward pass in training; `step` is the global step number."""
        self.step = step
        self.calls: dict[str, int] = {}

    def uniform(self, site: str, shape: tuple[int, ...]) -> np.ndarray:
        """float32 `shape`, uniform in [0, 1): a sampler's keys."""
        call = self.calls[site] = self.calls.get(site, -1) + 1
        return stream(self.seed, "draws", self.step, *self.rank, site, call).random(
            shape, dtype=np.float32
        )

    def keep(self, site: str, shape: tuple[int, ...], rate: float) -> np.ndarray:
        """bool `shape`, True where dropout keeps the value (probability 1 - rate)."""
        return self.uniform(site, shape) >= np.float32(rate)
