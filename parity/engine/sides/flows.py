"""Gradients of one function by itself: of a fixed weighting of what it makes, to what it was given.

Before: runner.py, values/tree.py. called.py asks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection

import numpy as np

from parity.backends.base import Backend
from parity.engine.sides.weighting import fixed_weighting, is_float
from parity.engine.values import tree


class Flows:
    """`given`: the arguments as a function takes them, those at the paths `wanted` differentiable."""

    def __init__(self, backend: Backend, arguments: list, wanted: Collection[str]):
        self.backend = backend
        found = dict(tree.leaves(arguments, backend.is_tensor))
        self.leaves = {path: found[path] for path in wanted if path in found}
        if self.leaves:
            backend.set_trainable(self.leaves, set(self.leaves))
        self.given = tree.replaced(
            arguments,
            backend.is_tensor,
            # functions may write into what they are given
            lambda path, x: backend.identity(x) if path in self.leaves else x,
        )

    def back(self, made) -> dict[str, np.ndarray | None] | None:
        """By path; None where no gradient comes; all None where that raises."""
        backend, found = self.backend, {}
        outputs = [x for _, x in tree.leaves(made, backend.is_tensor) if is_float(x)]
        outputs = [x for x in outputs if backend.is_differentiable(x)]
        if not self.leaves or not outputs:
            return dict.fromkeys(self.leaves)
        weights = [backend.array(fixed_weighting(tuple(x.shape)), like=x) for x in outputs]
        with contextlib.suppress(Exception):
            found = dict(
                zip(self.leaves, backend.vjp(outputs, weights, list(self.leaves.values())))
            )
            return {k: None if g is None else backend.to_numpy(g) for k, g in found.items()}
        return None
