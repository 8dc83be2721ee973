"""Jittor's half of the contract in base.py. Comments say which behaviour of Jittor 1.3.11 a line is about."""

from __future__ import annotations

import importlib
import os
import subprocess
from collections.abc import Callable, Mapping
from contextlib import contextmanager

import numpy as np

import jittor_setup
from door.process import loaded_libraries, resident_memory
from jittor_setup import compiling
from jittor_setup.environment import IEEE_VARIABLE
from parity.backends import jittor_wide, jittor_widening
from parity.backends.jittor_loading import answering, known_shapes  # noqa: F401 the contract's
from parity.backends.jittor_norms import steady_norms  # noqa: F401 the contract's
from parity.backends.jittor_watching import watching, watching_branches  # noqa: F401 the contract's
from parity.backends.jittor_wide import stood_in  # noqa: F401 the contract's
from parity.errors import InputError

jt = jittor_setup.import_jittor()
nn = jt.nn
NAME = "jittor"


class _Flags:
    """Jittor's flags, but for a port's own use_cuda = 1 while the harness runs it on the CPU: it stays there."""

    on_cpu = False

    def __init__(self, own):
        vars(self)["own"] = own

    def __getattr__(self, name: str):
        return getattr(self.own, name)

    def __setattr__(self, name: str, value) -> None:
        if name != "use_cuda" or not _Flags.on_cpu:
            setattr(self.own, name, value)


jt.flags = _Flags(jt.flags)


def configure(device: str, dtype: str) -> None:
    if device == "cuda" and not jt.has_cuda:
        raise InputError("device cuda: Jittor finds no usable CUDA GPU; use cpu")
    _Flags.on_cpu = False
    jt.flags.use_cuda = int(device == "cuda")
    _Flags.on_cpu = device == "cpu"
    jt.flags.auto_convert_64_to_32 = int(dtype == "float32")
    if dtype == "float64":
        importlib.import_module("jittor_setup.float64").install()
    jittor_wide.install()


def widen(on: bool) -> None:
    """Else code that goes over to float32 is told as that: Jittor takes both widths together."""
    jittor_widening.widen(on)


def describe() -> dict:
    # -Ofast kernels turn flush-to-zero on for the thread that loads them, so this comes first
    products = (jt.array(np.full(64, 1e-40, dtype=np.float32)) * 1.5).numpy()
    wide = jt.array(np.array([2**40], dtype=np.int64))
    return {
        "framework": NAME,
        "version": jt.__version__,
        "cuda": _first_line(jt.flags.nvcc_path, "--version") if jt.has_cuda else None,
        "cudnn": "loaded" if jt.has_cuda and jt.cudnn else None,
        "device_name": "cuda" if jt.flags.use_cuda else "cpu",
        "onednn": jt.mkl_ops is not None,
        "tf32": bool(jt.flags.use_cuda) and os.environ.get("NVIDIA_TF32_OVERRIDE") != "0",
        "flush_to_zero": not products.view(np.uint32).any(),
        "narrows_64_bit": bool(wide.numpy()[0] != 2**40),
        "sees_nan": _sees_nan(),
        "deterministic": _repeats(),
        "libraries": loaded_libraries("jittor_core", "jit_utils_core", "libdnnl", "libcudnn."),
        "threads": len(os.sched_getaffinity(0)),
        "compiler": _first_line(compiling.real_compiler(), "--version"),
        "prepared_headers": compiling.describe(),
        "ieee_build": os.environ.get(IEEE_VARIABLE) == "1",
    }


def _first_line(*command: str) -> str:
    try:
        output = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except OSError:
        return ""
    return (output.stdout.strip().splitlines() or [""])[0]


def _sees_nan() -> bool:
    """Whether comparisons in kernels know NaN, which fast-math may optimise away."""
    x = jt.array(np.array([np.nan, 1.0], dtype=np.float32))
    return (x != x).numpy().tolist() == [True, False]  # atlas: ok


def _repeats() -> bool:
    """Whether a convolution and a long sum give the same bits again, backward included."""

    def once() -> list[bytes]:
        x, w = (
            jt.array(np.linspace(-1, 1, n, dtype=np.float32).reshape(s))
            for n, s in ((24576, (2, 3, 64, 64)), (216, (8, 3, 3, 3)))
        )
        loss = (nn.conv2d(x, w, padding=1) ** 2).sum()
        return [t.numpy().tobytes() for t in (loss, jt.grad(loss, w))]

    return once() == once()


def vary(variant: str) -> None:
    """Jittor has no other order to offer."""


def memory_in_use() -> float:
    """MiB that Jittor has taken on the GPU, or that the process takes without one."""
    if jt.flags.use_cuda:
        return jt.get_mem_info().total_cuda_used / 2**20
    return resident_memory()


# tensors


def is_tensor(value) -> bool:
    return isinstance(value, jt.Var)


def array(values: np.ndarray, like=None):
    values = np.ascontiguousarray(values)
    if like is not None and values.dtype.kind == "f":
        values = values.astype(str(like.dtype))
    return jt.array(values)


def to_numpy(tensor) -> np.ndarray:
    """A scalar has shape (1,) in Jittor."""
    return tensor.numpy().copy()


def scalar(value: float, like):
    if str(like.dtype) != "float64":
        return value
    # a bare Python float would pass through float32
    return jt.array(np.array([value], dtype=np.float64))


def where(condition, a, b):
    return jt.ternary(condition, a, b)


def frozen(tensor):
    return tensor.detach().stop_grad()


def identity(tensor):
    return tensor.clone()


def finish(tensors: list) -> None:
    jt.sync(tensors, device_sync=bool(jt.flags.use_cuda))


def read_file(path):
    return jt.load(str(path))


# gradients


def is_differentiable(tensor) -> bool:
    return not tensor.is_stop_grad() and str(tensor.dtype).startswith("float")


def set_trainable(tensors: Mapping, names: set[str]) -> None:
    # Vars start trainable; start_grad() would mark them as scalars
    for name, tensor in tensors.items():
        if name not in names:
            tensor.stop_grad()


def vjp(outputs: list, cotangents: list, tensors: list, keep: bool = False) -> list:
    """Zeros, not None, where there is no dependence. The graph is kept in any case."""
    total = None
    for output, cotangent in zip(outputs, cotangents, strict=True):
        part = output if cotangent is None else (output * cotangent).sum()
        total = part if total is None else total + part
    if not tensors:
        return []
    # the 1 that Jittor itself begins with is read from memory of before, where float64 runs come behind float32
    one = array(np.ones(tuple(total.shape)), like=total)
    return list(jt.grad((total * one).sum(), tensors))


def no_grad():
    return jt.no_grad()


def step(optimiser, loss) -> None:
    optimiser.step(loss)


# modules


def named_modules(model) -> dict:
    """Without what a layer of Jittor's own keeps to itself, as MaxPool2d its `_layer`."""
    found = dict(model.named_modules())
    private = {
        name
        for name in found
        if name.rpartition(".")[2].startswith("_")
        and type(found.get(name.rpartition(".")[0])).__module__.startswith("jittor.")
    }
    inside = tuple(f"{name}." for name in private)
    return {
        name: module
        for name, module in found.items()
        if name not in private and not (inside and name.startswith(inside))
    }


def named_tensors(model) -> dict:
    return dict(model.named_parameters())


def is_training(module) -> bool:
    return bool(getattr(module, "is_train", True))


@contextmanager
def watching_gradients(tensors: Mapping):
    """By jt.grad, which optimisers call too."""
    found: dict[str, float] = {}
    names, original = {id(x): name for name, x in tensors.items()}, jt.grad

    def noting(loss, targets, *rest, **named):
        gradients = original(loss, targets, *rest, **named)
        alone = isinstance(targets, jt.Var)
        pairs = [(targets, gradients)] if alone else list(zip(targets, gradients))
        finish(
            [x for _, x in pairs if x is not None]
        )  # at once: their kernels are compiled together
        for target, gradient in pairs:
            name = names.get(id(target))
            if name is not None and gradient is not None:
                found[name] = found.get(name, 0.0) + float(np.linalg.norm(gradient.numpy()))
        return gradients

    jt.grad = noting
    try:
        yield found
    finally:
        jt.grad = original


@contextmanager
def watching_updates(note: Callable):
    """By pre_step, which the step of every optimiser begins with."""
    original = jt.optim.Optimizer.pre_step

    def noting(optimiser, *rest, **named):
        note(optimiser)
        return original(optimiser, *rest, **named)

    jt.optim.Optimizer.pre_step = noting
    try:
        yield
    finally:
        jt.optim.Optimizer.pre_step = original


def set_mode(model, training: bool) -> None:
    for part in model.modules():  # its own eval() would freeze every parameter
        part.is_train = training


def update(tensor, value) -> None:
    fixed = tensor.is_stop_grad()
    with jt.enable_grad():  # under no_grad the parameter would be frozen for good
        tensor.update(value.detach())
    if fixed:
        tensor.stop_grad()


def surround(module, around: Callable) -> Callable[[], None]:
    before = vars(module).get("execute")
    module.execute = around(module.execute)
    if before is None:
        return lambda: delattr(module, "execute")
    return lambda: setattr(module, "execute", before)
