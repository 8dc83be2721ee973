"""PyTorch's half of the contract in base.py."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from door.process import loaded_libraries, resident_memory
from door.threads import threads
from parity.backends import torch_staying, torch_widening
from parity.backends.torch_loading import answering, known_shapes  # noqa: F401 the contract's
from parity.backends.torch_watching import watching, watching_branches  # noqa: F401 the contract's
from parity.errors import InputError

NAME = "torch"
SHARE_VARIABLE = "PARITY_GPU_SHARE"  # fraction of the GPU's memory that PyTorch may take
LIBRARIES = ("libtorch_cpu", "libc10")  # these compute; half a gigabyte to read
CUDA_LIBRARIES = ("libtorch_cuda.", "libcudnn.")  # on a GPU these, too
nn = torch.nn


def configure(device: str, dtype: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda: PyTorch finds no usable CUDA GPU; use cpu")
    torch_staying.stay(device == "cpu")
    widen(False)
    torch.set_default_dtype(getattr(torch, dtype))
    # a default device makes every call of PyTorch's pass through Python: none for the CPU, the default anyway
    torch.set_default_device(None if device == "cpu" else device)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.set_flush_denormal(False)
    if device == "cuda":  # the other side may live on the same GPU: leave it its share
        torch.cuda.set_per_process_memory_fraction(float(os.environ.get(SHARE_VARIABLE, "1")))
    if count := threads():
        torch.set_num_threads(count)


def widen(on: bool) -> None:
    torch_widening.widen(on)


def describe() -> dict:
    smallest = torch.tensor(1e-40, dtype=torch.float32, device="cpu")
    wide = torch.tensor(2**40, device="cpu")
    cuda = torch.cuda.is_available()
    return {
        "framework": NAME,
        "version": str(torch.__version__),  # plain: who reads it has no PyTorch
        "cuda": torch.version.cuda if cuda else None,
        "cudnn": torch.backends.cudnn.version() if cuda else None,
        "device_name": torch.cuda.get_device_name(0) if cuda else "cpu",
        "onednn": torch.backends.mkldnn.is_available(),
        "tf32": torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32,
        "flush_to_zero": bool((smallest * 1.0 == 0).item()),
        "narrows_64_bit": bool(wide.item() != 2**40),
        "sees_nan": _sees_nan(),
        "deterministic": _repeats(),
        "libraries": loaded_libraries(*LIBRARIES, *(CUDA_LIBRARIES if cuda else ())),
        "threads": torch.get_num_threads(),
    }


def _sees_nan() -> bool:
    """Whether comparisons in kernels know NaN, which fast-math may optimise away."""
    x = torch.tensor([float("nan"), 1.0])
    return (x != x).tolist() == [True, False]


def _repeats() -> bool:
    """Whether a convolution and a long sum give the same bits again, backward included."""

    def once() -> list[bytes]:
        x, w = (
            torch.linspace(-1, 1, n).reshape(s)
            for n, s in ((24576, (2, 3, 64, 64)), (216, (8, 3, 3, 3)))
        )
        w.requires_grad_()
        loss = (nn.functional.conv2d(x, w, padding=1) ** 2).sum()
        (gradient,) = torch.autograd.grad(loss, [w])
        return [t.detach().cpu().numpy().tobytes() for t in (loss, gradient)]

    return once() == once()


def vary(variant: str) -> None:
    """ "one thread", "without oneDNN" or "without cuDNN"; any other word undoes them."""
    usual = threads() or os.cpu_count() or 1
    torch.set_num_threads(1 if variant == "one thread" else usual)
    torch.backends.mkldnn.enabled = variant != "without oneDNN"
    torch.backends.cudnn.enabled = variant != "without cuDNN"


def memory_in_use() -> float:
    """MiB that tensors take on the GPU, or that the process takes without one."""
    if torch.get_default_device().type == "cuda":
        return torch.cuda.memory_allocated() / 2**20
    return resident_memory()


# tensors


def is_tensor(value) -> bool:
    return isinstance(value, torch.Tensor)


def array(values: np.ndarray, like: torch.Tensor | None = None) -> torch.Tensor:
    tensor = torch.as_tensor(np.asarray(values, order="C"), device=torch.get_default_device())
    return tensor.to(like.dtype) if like is not None and tensor.is_floating_point() else tensor


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    tensor = tensor.detach()
    if tensor.dtype in (torch.bfloat16, torch.float16):
        tensor = tensor.float()  # NumPy has no bfloat16
    return tensor.cpu().resolve_conj().resolve_neg().numpy().copy()


def scalar(value: float, like: torch.Tensor) -> float:
    return value


def where(condition: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.where(condition, a, b)


def frozen(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach()


def identity(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.clone()


def finish(tensors: list[torch.Tensor]) -> None:
    if tensors and tensors[0].is_cuda:
        torch.cuda.synchronize()


def read_file(path):
    """Without running code of the file; where it holds more than tensors and numbers, that is an error."""
    return torch.load(path, map_location="cpu", weights_only=True)


# gradients


def is_differentiable(tensor: torch.Tensor) -> bool:
    return tensor.requires_grad


def set_trainable(tensors: Mapping[str, torch.Tensor], names: set[str]) -> None:
    for name, tensor in tensors.items():
        tensor.requires_grad_(name in names)


def vjp(
    outputs: list, cotangents: list, tensors: list, keep: bool = False
) -> list[torch.Tensor | None]:
    outputs, cotangents = (
        zip(*((x, c) for x, c in zip(outputs, cotangents, strict=True) if x.requires_grad))
        if any(x.requires_grad for x in outputs)
        else ((), ())
    )
    if not outputs:
        return [None] * len(tensors)
    return list(
        torch.autograd.grad(
            outputs, tensors, cotangents, retain_graph=keep or None, allow_unused=True
        )
    )


def no_grad():
    return torch.no_grad()


def step(optimiser: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


# modules


def named_modules(model: nn.Module) -> dict[str, nn.Module]:
    return dict(model.named_modules())


def named_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """A tensor that has several names, as a tied weight, under the first alone, as in Jittor."""
    found: dict[int, tuple[str, torch.Tensor]] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        found.setdefault(id(tensor), (name, tensor))
    return dict(found.values())


def is_training(module: nn.Module) -> bool:
    return module.training


def stood_in() -> list[str]:
    return []


def steady_norms():
    return nullcontext([])  # PyTorch's are


@contextmanager
def watching_gradients(tensors: Mapping[str, torch.Tensor]):
    """By hooks; what is unfrozen inside is not seen until the next time."""
    found: dict[str, float] = {}

    def noting(name: str):
        def note(gradient):
            found[name] = found.get(name, 0.0) + float(gradient.norm())

        return note

    hooks = [
        x.register_hook(noting(name))
        for name, x in tensors.items()
        if x.requires_grad and x.is_leaf
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def watching_updates(note: Callable):
    hook = register_optimizer_step_pre_hook(lambda optimiser, *_: note(optimiser))
    try:
        yield
    finally:
        hook.remove()


def set_mode(model: nn.Module, training: bool) -> None:
    model.train(training)


def update(tensor: torch.Tensor, value: torch.Tensor) -> None:
    """Also to another dtype, which `copy_` would not give."""
    with torch.no_grad():
        if tensor.dtype != value.dtype:
            tensor.data = value.detach().clone()
        else:
            tensor.copy_(value)


def surround(module: nn.Module, around: Callable) -> Callable[[], None]:
    before = vars(module).get("forward")
    module.forward = around(module.forward)
    if before is None:
        return lambda: delattr(module, "forward")
    return lambda: setattr(module, "forward", before)
