"""Imports PyTorch and sets it up; everybody else imports it here.

Twin of jittor_impl/runtime.py; both offer `configure` and `describe`.
"""

from __future__ import annotations

import argparse
import contextlib
import os

import numpy as np
import safetensors.torch
import torch

from door.process import loaded_libraries
from door.threads import threads
from neutral.errors import InputError

nn = torch.nn

FRAMEWORK = "torch"
SHARE_VARIABLE = "PARITY_GPU_SHARE"  # fraction of the GPU's memory that PyTorch may take
LIBRARIES = ("libtorch_cpu", "libc10")  # these compute; half a gigabyte to read
CUDA_LIBRARIES = ("libtorch_cuda.", "libcudnn.")  # on a GPU these, too


def configure(device: str, dtype: str, deterministic: bool = False) -> None:
    """Settles what could differ between runs: device, dtype, TF32 (off), threads, determinism.

    device "cpu" or "cuda", dtype "float32" or "float64"; `deterministic`: only algorithms that give the same bits in
    every run, an error where there is none. InputError when there is no such device.
    """
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts
    if deterministic != torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(deterministic)  # imports torch's compiler, for seconds
    torch.backends.cudnn.deterministic = deterministic
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "--device cuda: PyTorch finds no usable CUDA GPU; use cpu, or see scripts/doctor"
        )
    torch.set_default_dtype(getattr(torch, dtype))
    # a default device makes every call of PyTorch's pass through Python: none for the CPU, the default anyway
    torch.set_default_device(None if device == "cpu" else device)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.set_flush_denormal(False)
    if device == "cuda":  # the other framework lives on the same GPU: leave it its share
        torch.cuda.set_per_process_memory_fraction(float(os.environ.get(SHARE_VARIABLE, "1")))
    if count := threads():
        torch.set_num_threads(count)


@contextlib.contextmanager
def mixed_precision(kind: str):
    """Inside, products and convolutions take bfloat16, as torch.autocast has it; "float32" changes nothing."""
    with torch.autocast(torch.get_default_device().type, torch.bfloat16, kind == "bfloat16"):
        yield


def describe() -> dict:
    """Versions and switches, for log headers. How it computes is asked by the harness (parity/backends/torch.py)."""
    cuda = torch.cuda.is_available()
    return {
        "framework": "torch",
        "version": str(torch.__version__),
        "cuda": torch.version.cuda if cuda else None,
        "cudnn": torch.backends.cudnn.version() if cuda else None,
        "device_name": torch.cuda.get_device_name(0) if cuda else "cpu",
        "onednn": torch.backends.mkldnn.is_available(),
        "tf32": torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32,
        "libraries": loaded_libraries(*LIBRARIES, *(CUDA_LIBRARIES if cuda else ())),
        "threads": torch.get_num_threads(),
    }


def load_native(path: str) -> object:
    """What PyTorch's users would load from a weights file: a tree of dictionaries with tensors."""
    if path.endswith(".safetensors"):
        return safetensors.torch.load_file(path)
    if path.endswith(".npz"):
        return dict(np.load(path))
    with torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(path, map_location="cpu", weights_only=True)


def as_array(value) -> np.ndarray:
    """A tensor or array that `load_native` gave, as float32."""
    return torch.as_tensor(value).detach().to(torch.float32).cpu().numpy()
