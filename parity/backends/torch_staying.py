"""PyTorch code that asks for a GPU or compiles itself, while the harness runs it on the CPU: `.cuda()`, `.to("cuda")`
and `device="cuda"` stay there; torch.compile and torch.jit.script give back what they were given, which can be watched.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import torch
from torch import nn

MAKING = ("arange", "as_tensor", "empty", "eye", "full", "linspace", "logspace", "ones")
MAKING += ("rand", "randint", "randn", "randperm", "tensor", "zeros")
MAKING += tuple(
    f"{name}_like" for name in ("empty", "full", "ones", "rand", "randint", "randn", "zeros")
)
METHODS = ("to", *(f"new_{name}" for name in ("empty", "full", "ones", "tensor", "zeros")))
_before: list[tuple[object, str, Callable]] = []


def stay(on_cpu: bool) -> None:
    """From now on, or no more; PyTorch's own functions are put back."""
    while _before:
        owner, name, function = _before.pop()
        setattr(owner, name, function)
    if not on_cpu:
        return
    for owner, names in ((torch, MAKING), (torch.Tensor, METHODS), (nn.Module, ("to",))):
        for name in names:
            _replace(owner, name, _elsewhere(getattr(owner, name)))
    for owner in (torch.Tensor, nn.Module):
        _replace(owner, "cuda", lambda it, *_, **__: it)
    _replace(
        torch, "compile", lambda model=None, **_: model if model is not None else lambda it: it
    )
    _replace(torch.jit, "script", lambda it, *_, **__: it)


def _replace(owner, name: str, function: Callable) -> None:
    _before.append((owner, name, getattr(owner, name)))
    setattr(owner, name, function)


def _elsewhere(function: Callable) -> Callable:
    """The same with "cpu" for each GPU among its arguments."""

    @wraps(function)
    def call(*args, **named):
        if any(map(_is_gpu, args[1:])) or _is_gpu(named.get("device")):
            args = (*args[:1], *("cpu" if _is_gpu(x) else x for x in args[1:]))
            named = {k: "cpu" if _is_gpu(x) else x for k, x in named.items()}
        return function(*args, **named)

    return call


def _is_gpu(value) -> bool:
    if isinstance(value, torch.device):
        return value.type == "cuda"
    return isinstance(value, str) and value.partition(":")[0] == "cuda"
