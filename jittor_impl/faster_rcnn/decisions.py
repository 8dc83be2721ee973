"""The discrete choices of a forward pass: recorded by name, and replayed when they are handed in.

Two correct implementations in float32 may choose differently where rounding decides: another
proposal survives, another anchor is sampled. What comes behind such a choice cannot be compared.
Replayed, both sides go on from the same choices, while each side's own are still recorded.
"""

from __future__ import annotations

import numpy as np

from jittor_impl import ops


class Decisions:
    """`given`: choices to use instead of the computed ones, by name; `made`: what was computed.

    `values`: tensors on the way that no module returns, which a trace shows as nodes.
    """

    def __init__(self, given: dict[str, np.ndarray] | None = None):
        self.given = given or {}
        self.made: dict[str, object] = {}
        self.values: dict[str, object] = {}

    def settle(self, name: str, computed):
        """Records `computed` (a tensor of indices or labels) and returns what is to be used."""
        self.made[name] = computed
        if name not in self.given:
            return computed
        return ops.array(self.given[name].astype(ops.to_numpy(computed).dtype))

    def note(self, name: str, computed) -> None:
        """Records a choice that cannot be replayed; one of the same name gets a number."""
        calls = sum(key.partition("#")[0] == name for key in self.made)
        self.made[name if not calls else f"{name}#{calls + 1}"] = computed

    def record(self) -> dict[str, dict[str, np.ndarray]]:
        """The decisions, int64, and the values."""
        made = {name: ops.to_numpy(x).astype(np.int64) for name, x in self.made.items()}
        return {"decisions": made, "values": {n: ops.to_numpy(x) for n, x in self.values.items()}}
