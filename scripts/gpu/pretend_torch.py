"""A GPU that is not there, for PyTorch: what stays on the CPU by mistake is found without one.

Inside of `pretended()`, tensors of device "cuda" are wrappers around the CPU's: they compute the same bits, and refuse
what CUDA refuses, an operation with a tensor of the CPU, and `numpy()` without `cpu()`. They call their device "meta",
which needs no driver. `worker` is a preload: from then on that worker's process has the pretended GPU.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only

DEVICE = torch.device("meta")
CPU = torch.device("cpu")
MOVING = ("aten::_to_copy", "aten::copy_")  # the operations that CUDA takes from both
FOR_GOOD = contextlib.ExitStack()
INDEXING = ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_")


class OnDevice(torch.Tensor):
    """`inner`, a tensor of the CPU, said to be on the device."""

    @staticmethod
    def __new__(cls, inner: torch.Tensor):
        layout = {"strides": inner.stride(), "storage_offset": inner.storage_offset()}
        return torch.Tensor._make_wrapper_subclass(
            cls, inner.size(), **layout, dtype=inner.dtype, device=DEVICE
        )

    def __init__(self, inner: torch.Tensor):
        self.inner = inner

    def __repr__(self) -> str:
        return f"OnDevice({self.inner!r})"

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return run(function, args, kwargs or {})


class Mode(TorchDispatchMode):
    """For operations without a tensor of the device among their arguments: those that make one."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return run(function, args, kwargs or {})


def is_device(device) -> bool:
    return torch.device(device).type in ("cuda", DEVICE.type)


def check_places(name: str, tensors: list[torch.Tensor]) -> None:
    """RuntimeError as CUDA's; a scalar of the CPU may take part, and index with whatever is there."""
    strangers = [x for x in tensors if not isinstance(x, OnDevice) and x.dim()]
    if not strangers or len(strangers) == len(tensors) or name in MOVING:
        return
    indexed = name in INDEXING and isinstance(tensors[0], OnDevice)
    if indexed and not any(x.is_floating_point() for x in strangers):
        return
    shapes = [tuple(x.shape) for x in strangers]
    raise RuntimeError(
        f"{name}: Expected all tensors to be on the same device, but found cpu, {shapes}"
    )


def run(function, args: tuple, kwargs: dict):
    """On the CPU; what comes out is on the device where an argument was, or where `device` says so."""
    name = function._schema.name
    given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    check_places(name, given)
    ours = any(isinstance(x, OnDevice) for x in given)
    there = isinstance(args[0], OnDevice) if name == "aten::copy_" else ours
    if kwargs.get("device") is not None:
        there = is_device(kwargs["device"])
        kwargs = kwargs | {"device": CPU}
    plain, named = tree_map_only(OnDevice, lambda x: x.inner, (args, kwargs))
    result = function(*plain, **named)
    if not there:
        return result
    result = tree_map_only(torch.Tensor, OnDevice, result)
    return return_and_correct_aliasing(function, args, kwargs, result) if ours else result


def made_there(make, settled: list):
    """torch.tensor and as_tensor make their values on the CPU, out of sight of modes."""

    def call(data, *args, device=None, **kwargs):
        device = settled[0] if device is None else device
        if isinstance(data, OnDevice):
            return data.to(device=device, dtype=kwargs.get("dtype"))
        made = make(data, *args, device=CPU, **kwargs)
        return made.to(DEVICE) if is_device(device) else made

    return call


@contextlib.contextmanager
def pretended() -> Iterator[None]:
    """Inside, PyTorch has one GPU. The default device is the one that it was before, again, afterwards."""
    settle, before = torch.set_default_device, torch.get_default_device()
    settled = [before]

    def chosen(device) -> None:
        settled[0] = torch.device(device or CPU)
        settle(DEVICE if is_device(settled[0]) else device)

    said = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "get_device_name": lambda *_: "pretended",
        "synchronize": lambda *_: None,
        "set_per_process_memory_fraction": lambda *_: None,
        "memory_allocated": lambda *_: 0,
        "_lazy_init": lambda: None,
    }
    replaced = {
        "tensor": made_there(torch.tensor, settled),
        "as_tensor": made_there(torch.as_tensor, settled),
        "set_default_device": chosen,
        "get_default_device": lambda: settled[0],
    }
    with contextlib.ExitStack() as stack:
        for name, value in said.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, value))
        for name, value in replaced.items():
            stack.enter_context(mock.patch.object(torch, name, value))
        stack.enter_context(
            mock.patch.object(torch.Tensor, "tolist", lambda x: x.cpu().numpy().tolist())
        )
        stack.enter_context(mock.patch.object(OnDevice, "is_cuda", True))
        stack.enter_context(Mode())
        try:
            yield
        finally:
            settle(None if before == CPU else before)


def worker() -> None:
    """Preload of a worker of parity: PyTorch in this process has a pretended GPU from now on."""
    FOR_GOOD.enter_context(pretended())
