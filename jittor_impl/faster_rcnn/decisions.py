"""The discrete choices of a forward pass: recorded by name, and replayed when they are handed in.

Two correct implementations in float32 may choose differently where rounding decides: another
proposal survives, another anchor is sampled. What comes behind such a choice cannot be compared.
Replayed, both sides go on from the same choices, while each side's own are still recorded.
"""

from __future__ import annotations

import numpy as np

from jittor_impl import ops


class Decisions:
    """`given`: choices to use instead of the computed ones, by name; `made`: what was computed."""

    def __init__(self, given: dict[str, np.ndarray] | None = None):
        self.given = given or {}
        self.made: dict[str, object] = {}

    def settle(self, name: str, computed):
        """Records `computed` (a tensor of indices or labels) and returns what is to be used."""
        self.made[name] = computed
        if name not in self.given:
            return computed
        return ops.array(self.given[name].astype(ops.to_numpy(computed).dtype))

    def arrays(self) -> dict[str, np.ndarray]:
        """What was computed, int64."""
        return {name: ops.to_numpy(x).astype(np.int64) for name, x in self.made.items()}
