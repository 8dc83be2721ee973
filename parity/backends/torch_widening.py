"""Code of a reference that says float32 itself, and then cannot take float64: in its float64 runs that means float64.

Before: nothing. engine/sides/server.py asks for it where such runs raise.
"""

from __future__ import annotations

import torch
from torch.overrides import TorchFunctionMode

NAMES = {"torch.FloatTensor": "torch.DoubleTensor"}


class Widening(TorchFunctionMode):
    """While it is active, whoever asks PyTorch for float32 gets float64."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        function = torch.Tensor.double if function is torch.Tensor.float else function
        given = [wide(x) for x in args]
        made = function(*given, **{k: wide(x) for k, x in (kwargs or {}).items()})
        is_narrow = isinstance(made, torch.Tensor) and made.dtype is torch.float32
        return made.double() if is_narrow and not any(made is x for x in args) else made


def wide(value):
    if value is torch.float32:
        return torch.float64
    return NAMES.get(value, value) if isinstance(value, str) else value


active: list[Widening] = []
NARROW = torch.FloatTensor


def widen(on: bool) -> None:
    """From now on, or no longer."""
    torch.FloatTensor = torch.DoubleTensor if on else NARROW  # which no mode is told of
    while active:
        active.pop().__exit__(None, None, None)
    if on:
        active.append(Widening())
        active[0].__enter__()
