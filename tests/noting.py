"""Programs that are run while their calls are noted, with tensors that need no framework."""

from __future__ import annotations

import numpy as np

from parity.engine.sides.noting import Calls


class Tensor:
    """A framework's: nothing that NumPy takes for an array."""

    def __init__(self, values):
        self.values = np.asarray(values, np.float64)
        self.shape = self.values.shape

    def __rmul__(self, other):
        return Tensor(other * self.values)

    def __add__(self, other):
        return Tensor(self.values + (other.values if isinstance(other, Tensor) else other))


def is_tensor(value) -> bool:
    return isinstance(value, Tensor)


def to_numpy(tensor: Tensor) -> np.ndarray:
    return tensor.values


def noted(*passed: str, **options) -> Calls:
    """Of all but this file's own functions."""
    return Calls(is_tensor, to_numpy, [__file__, *passed], **options)


def plain(value):
    """Arrays as lists, so that they may be compared."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return [plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def program(text: str, folder) -> tuple[dict, str]:
    path = folder / "drawn.py"
    path.write_text(text)
    space = {"__name__": "drawn", "__spec__": None}
    exec(compile(text, str(path), "exec"), space)
    return space, str(path)


def names_of(calls: Calls) -> list[str]:
    return [call.name for call in calls.noted]
