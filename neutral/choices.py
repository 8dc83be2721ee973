"""The discrete choices of a run, as models make them when nobody watches: each goes its own way.

The harness hands over another object with these methods (parity/engine/sides/choices.py), which records choices, and
replays those of another run.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


class Choices:
    """What models call; tensors are the framework's."""

    def settle(self, name: str, computed, regret: Callable | None = None):
        """`computed`: indices, labels or truth values; returns what is to be used.

        regret(given), of an array of the same shape, tells for each element or for all together by how much of its
        greatest evidence this side prefers its own choice.
        """
        return computed

    def note(self, name: str, computed) -> None:
        """A choice that follows from others and is not replayed."""

    def value(self, name: str, tensor):
        """A constant on the way that no module returns; returns what is to be used."""
        return tensor


def relative(difference: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Differences between some of `values`, as fractions of the greatest absolute value among them."""
    return difference / max(float(np.abs(values).max()), np.finfo(np.float32).tiny)
