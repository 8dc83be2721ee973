"""Imports Jittor by way of jittor_setup, and sets it up; everybody else imports it here.

Twin of torch_impl/runtime.py; both offer `configure` and `describe`.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import subprocess

import numpy as np

import jittor_setup
from door.process import loaded_libraries
from jittor_setup import compiling
from jittor_setup.environment import IEEE_VARIABLE
from neutral.errors import InputError

jt = jittor_setup.import_jittor()
nn = jt.nn

FRAMEWORK = "jittor"


def configure(device: str, dtype: str, deterministic: bool = False) -> None:
    """Settles what could differ between runs: device, dtype, 64-bit narrowing.

    device "cpu" or "cuda", dtype "float32" or "float64". InputError when there is no such device, or for
    `deterministic` where Jittor cannot promise it: on CUDA, where cuDNN's algorithms are chosen by their speed.
    """
    if device == "cuda" and not jt.has_cuda:
        raise InputError(
            "--device cuda: Jittor finds no usable CUDA GPU; use cpu, or see scripts/doctor"
        )
    if deterministic and device == "cuda":
        raise InputError(
            "deterministic=true: Jittor has no such mode on CUDA; its CPU kernels repeat"
        )
    jt.flags.use_cuda = int(device == "cuda")
    jt.flags.auto_convert_64_to_32 = int(dtype == "float32")
    products = importlib.import_module("jittor_setup.float64")  # which imports Jittor
    install = products.install if dtype == "float64" else products.install_batched
    install()


@contextlib.contextmanager
def mixed_precision(kind: str):
    """InputError but for "float32": Jittor 1.3.11 has no mixed precision that works (docs/training.md)."""
    if kind != "float32":
        raise InputError(
            f"optimiser.precision={kind}: Jittor has no mixed precision that works; use float32 (docs/training.md)"
        )
    yield


def describe() -> dict:
    """Versions and switches, for log headers. How it computes is asked by the harness (parity/backends/jittor.py)."""
    return {
        "framework": "jittor",
        "version": jt.__version__,
        "cuda": nvcc_version() if jt.has_cuda else None,
        "cudnn": "loaded" if jt.has_cuda and jt.cudnn else None,
        "device_name": "cuda" if jt.flags.use_cuda else "cpu",
        "onednn": jt.mkl_ops is not None,
        "tf32": bool(jt.flags.use_cuda) and os.environ.get("NVIDIA_TF32_OVERRIDE") != "0",
        "libraries": loaded_libraries("jittor_core", "jit_utils_core", "libdnnl", "libcudnn."),
        "threads": len(os.sched_getaffinity(0)),
        "compiler": compiler_version(),
        "prepared_headers": compiling.describe(),
        "ieee_build": os.environ.get(IEEE_VARIABLE) == "1",
    }


def load_native(path: str) -> object:
    """What Jittor's users would load from a weights file: a tree of dictionaries with arrays."""
    return jt.load(path)


def as_array(value) -> np.ndarray:
    """A Var or array that `load_native` gave, as float32."""
    return np.asarray(value, dtype=np.float32)


def _first_line(*command: str) -> str:
    try:
        output = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=60
        ).stdout
    except OSError:
        return ""
    return output.strip().splitlines()[0] if output.strip() else ""


def compiler_version() -> str:
    return _first_line(compiling.real_compiler(), "--version")


def nvcc_version() -> str:
    return _first_line(jt.flags.nvcc_path, "--version") if jt.flags.nvcc_path else ""
