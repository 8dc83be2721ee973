"""A plain function in the place of a module: what `torch_side()` returns may be one (a loss, a matcher, NMS).

Before: model.py, which asks.
"""

from __future__ import annotations

from collections.abc import Callable


class Function:
    """The function as a module without parts, to either framework; whoever watches it replaces `forward` (PyTorch) or
    `execute` (Jittor)."""

    def __init__(self, function: Callable):
        self._parity_function = function
        self.forward = self.execute = function
        self.training = self.is_train = False

    def __call__(self, *args, **named):
        watched = self.forward is not self._parity_function
        return (self.forward if watched else self.execute)(*args, **named)

    def train(self, mode: bool = True) -> None:
        self.training = self.is_train = mode

    def modules(self) -> list:
        return [self]

    def children(self) -> list:
        return []

    def named_modules(self) -> dict:
        return {"": self}

    def named_parameters(self) -> dict:
        return {}

    def state_dict(self, **_) -> dict:
        return {}
