"""Imports Jittor so that it works on any machine, and sets it up; everybody else imports it here.

Jittor looks for compilers, downloads oneDNN and CUDA helpers and prints while it is being
imported. `prepare_environment` settles all of that beforehand through the environment variables
it reads; nothing is downloaded. See docs/jittor.md for the measured behaviour behind each line.

Twin of torch_impl/runtime.py; both offer `configure` and `describe`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from importlib import metadata
from pathlib import Path

from neutral.errors import InputError

ONEDNN_PACKAGES = ("onednn-cpu-gomp", "onednn-devel-cpu-gomp")
ONEDNN_FOLDER = "dnnl_lnx_2.2.0_cpu_gomp"  # the name Jittor 1.3 looks for
SWITCHES_OFF = ("use_cutt", "use_cutlass", "use_nccl", "use_mpi")  # each would download something
IEEE_VARIABLE = "PARITY_JITTOR_IEEE"  # "1": compile without -Ofast, so no flush-to-zero


def jittor_home() -> Path:
    """The folder under which Jittor keeps `.cache/jittor`, found as Jittor itself finds it."""
    from jittor_utils import home  # importing jittor_utils neither compiles nor downloads

    return Path(home())


def cuda_usable() -> bool:
    """True when a CUDA driver answers and reports a device; does not import a framework."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


def _files_of(package: str) -> list[Path]:
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return []
    return [Path(distribution.locate_file(f)).resolve() for f in distribution.files or ()]


def install_onednn(cache: Path) -> bool:
    """Copies oneDNN from the pip packages to where Jittor looks for it; True when it is there.

    A copy and not a link: the cache is shared by every environment of the user, and a link would
    break all of them when this environment is deleted. Written beside and renamed, so that two
    processes starting together cannot see half of it.
    """
    target = cache / "mkl" / ONEDNN_FOLDER
    if (target / "lib" / "libmkldnn.so").is_file() and (target / "include" / "dnnl.hpp").is_file():
        return True
    wanted: list[tuple[Path, Path]] = []
    for file in (f for package in ONEDNN_PACKAGES for f in _files_of(package)):
        for top in ("include", "lib"):
            if top in file.parts and "cmake" not in file.parts and file.is_file():
                relative = Path(*file.parts[file.parts.index(top, len(Path(sys.prefix).parts) - 1) :])
                wanted.append((file, relative))
                break
    if not any(r.name == "libmkldnn.so" for _, r in wanted) or not any(r.name == "dnnl.hpp" for _, r in wanted):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=target.parent))
    try:
        for source, relative in wanted:
            (staging / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, staging / relative)
        if target.is_symlink() or target.exists():
            stale = Path(tempfile.mkdtemp(prefix=".stale-", dir=target.parent))
            target.rename(stale / "old")
            shutil.rmtree(stale, ignore_errors=True)
        with contextlib.suppress(OSError):  # another process was faster: its copy is as good
            staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return (target / "lib" / "libmkldnn.so").is_file()


def prepare_environment() -> dict[str, str]:
    """Sets the variables that Jittor reads at import; returns those that were decided here.

    A variable the user has set is left alone, except that `nvcc_path` is emptied where no CUDA
    driver answers: an nvcc without a usable GPU breaks the import or aborts the process.
    """
    decided = {name: "0" for name in SWITCHES_OFF}
    decided |= {"log_silent": "1", "gdb_path": "", "cache_name": "default"}
    if os.environ.get(IEEE_VARIABLE) == "1":
        decided |= {"cc_flags": " -O2 ", "cache_name": "ieee"}
    if not install_onednn(jittor_home() / ".cache" / "jittor"):
        decided["use_mkl"] = "0"  # slower convolutions instead of a download
    decided = {k: v for k, v in decided.items() if k not in os.environ}
    if not cuda_usable():
        decided["nvcc_path"] = ""
    os.environ.update(decided)
    return decided


@contextlib.contextmanager
def _quiet():
    """Hides what Jittor's import writes to the two standard streams, file descriptors included.

    When the import fails the hidden text goes to stderr: it is the only diagnosis there is.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(1), os.dup(2)]
    with tempfile.TemporaryFile() as hidden:
        os.dup2(hidden.fileno(), 1)
        os.dup2(hidden.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for fd, copy in zip((1, 2), saved, strict=True):
                os.dup2(copy, fd)
                os.close(copy)
            if failed:
                hidden.seek(0)
                sys.stderr.write(hidden.read().decode(errors="replace"))


def _compiler() -> str:
    return os.environ.get("cc_path") or shutil.which("g++") or ""


def _import_jittor():
    os.environ.setdefault("log_silent", "1")
    if not _compiler():
        raise ImportError(
            "Jittor compiles its kernels and needs g++: install it (Debian, Ubuntu: apt-get install g++)"
        )
    prepare_environment()
    if not cuda_usable():
        sys.modules.setdefault("cupy", None)  # Jittor would enter a cupy device at import
    with warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")  # SyntaxWarnings from Jittor's own docstrings
        import jittor
    return jittor


jt = _import_jittor()
nn = jt.nn


def configure(device: str, dtype: str) -> None:
    """Settles what could differ between runs: device, dtype, 64-bit narrowing.

    device "cpu" or "cuda", dtype "float32" or "float64". InputError when there is no such device.
    """
    if device == "cuda" and not jt.has_cuda:
        raise InputError("--framework-device cuda: Jittor finds no usable CUDA GPU; use cpu, or see scripts/doctor")
    jt.flags.use_cuda = int(device == "cuda")
    jt.flags.auto_convert_64_to_32 = int(dtype == "float32")


def describe() -> dict:
    """Versions and numerical switches, for reports and log headers."""
    import numpy as np

    smallest = jt.array(np.full(64, 1e-40, dtype=np.float32))
    wide = jt.array(np.array([2**40], dtype=np.int64))
    return {
        "framework": "jittor",
        "version": jt.__version__,
        "cuda": nvcc_version() if jt.has_cuda else None,
        "cudnn": "loaded" if jt.has_cuda and jt.cudnn else None,
        "device_name": "cuda" if jt.flags.use_cuda else "cpu",
        "onednn": jt.mkl_ops is not None,
        "tf32": bool(jt.flags.use_cuda) and os.environ.get("NVIDIA_TF32_OVERRIDE") != "0",
        "flush_to_zero": bool(((smallest * 1.5).numpy() == 0).all()),
        "narrows_64_bit": bool(wide.numpy()[0] != 2**40),
        "threads": len(os.sched_getaffinity(0)),
        "compiler": compiler_version(),
        "ieee_build": os.environ.get(IEEE_VARIABLE) == "1",
    }


def _first_line(*command: str) -> str:
    try:
        output = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout
    except OSError:
        return ""
    return output.strip().splitlines()[0] if output.strip() else ""


def compiler_version() -> str:
    return _first_line(_compiler(), "--version")


def nvcc_version() -> str:
    return _first_line(jt.flags.nvcc_path, "--version") if jt.flags.nvcc_path else ""
