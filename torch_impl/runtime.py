"""Imports PyTorch and sets it up; everybody else imports it here.

Twin of jittor_impl/runtime.py; both offer `configure` and `describe`.
"""

from __future__ import annotations

import os

import torch

from neutral.errors import InputError

nn = torch.nn


def configure(device: str, dtype: str) -> None:
    """Settles what could differ between runs: device, dtype, TF32 (off), threads, determinism.

    device "cpu" or "cuda", dtype "float32" or "float64". InputError when there is no such device.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "--framework-device cuda: PyTorch finds no usable CUDA GPU; use cpu, or see scripts/doctor"
        )
    torch.set_default_dtype(getattr(torch, dtype))
    torch.set_default_device(device)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.set_flush_denormal(False)
    if "OMP_NUM_THREADS" in os.environ:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def describe() -> dict:
    """Versions and numerical switches, for reports and log headers."""
    smallest = torch.tensor(1e-40, dtype=torch.float32, device="cpu")
    wide = torch.tensor(2**40, device="cpu")
    return {
        "framework": "torch",
        "version": torch.__version__,
        "cuda": torch.version.cuda if torch.cuda.is_available() else None,
        "cudnn": torch.backends.cudnn.version() if torch.cuda.is_available() else None,
        "device_name": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu",
        "onednn": torch.backends.mkldnn.is_available(),
        "tf32": torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32,
        "flush_to_zero": bool((smallest * 1.0 == 0).item()),
        "narrows_64_bit": bool(wide.item() != 2**40),
        "threads": torch.get_num_threads(),
    }
