"""What must be settled before Jittor is imported; imports neither Jittor nor anything that compiles.

Jittor looks for compilers, downloads oneDNN and CUDA helpers and prints while it is being
imported. `prepare_environment` decides all of that through the variables it reads, so that nothing
is downloaded. docs/jittor.md has the measured behaviour behind each line.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from importlib import metadata
from pathlib import Path

from jittor_impl import cuda_home
from jittor_setup import compiling
from neutral.files import replacing

ONEDNN_PACKAGES = ("onednn-cpu-gomp", "onednn-devel-cpu-gomp")
ONEDNN_FOLDER = "dnnl_lnx_2.2.0_cpu_gomp"  # the name Jittor 1.3 looks for
SWITCHES_OFF = ("use_cutt", "use_cutlass", "use_nccl", "use_mpi")  # each would download something
IEEE_VARIABLE = "PARITY_JITTOR_IEEE"  # "1": compile without -Ofast, so no flush-to-zero


def jittor_home() -> Path:
    """The folder under which Jittor keeps `.cache/jittor`, as Jittor itself decides.

    Without importing jittor_utils: that settles which compiler is used.
    """
    remembered = Path.home() / ".cache" / "jittor" / "config.json"
    try:
        default = json.loads(remembered.read_text())["JITTOR_HOME"]
    except (OSError, ValueError, KeyError, TypeError):
        default = Path.home()
    return Path(os.environ.get("JITTOR_HOME", default)).absolute()


def cuda_usable() -> bool:
    """True when a CUDA driver answers and reports a device; does not import a framework."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    return (
        driver.cuInit(0) == 0
        and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
        and count.value > 0
    )


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
                relative = Path(
                    *file.parts[file.parts.index(top, len(Path(sys.prefix).parts) - 1) :]
                )
                wanted.append((file, relative))
                break
    if not any(r.name == "libmkldnn.so" for _, r in wanted) or not any(
        r.name == "dnnl.hpp" for _, r in wanted
    ):
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


def write_python_config(cache: Path) -> Path:
    """A python-config for the running interpreter, answering the two questions that Jittor asks.

    Jittor looks for one in the virtual environment, which has none, and then takes the system's,
    which may be absent or of another interpreter.
    """
    script = "#!/bin/sh\n" + "".join(
        f"[ \"$1\" = {option} ] && echo '{answer}'\n"
        for option, answer in (
            (
                "--includes",
                f"-I{sysconfig.get_path('include')} -I{sysconfig.get_path('platinclude')}",
            ),
            ("--extension-suffix", sysconfig.get_config_var("EXT_SUFFIX")),
        )
    )
    name = hashlib.sha256(script.encode()).hexdigest()[:12]
    path = cache / "python-config" / name / "python-config"
    if not path.is_file():
        with replacing(path) as temporary:
            temporary.write_text(script + "exit 0\n")
            temporary.chmod(0o755)
    return path


def prepare_environment() -> dict[str, str]:
    """Sets the variables that Jittor reads at import; returns those that were decided here.

    A variable the user has set is left alone, except that `nvcc_path` is emptied where no CUDA
    driver answers: an nvcc without a usable GPU breaks the import or aborts the process.
    """
    decided = dict.fromkeys(SWITCHES_OFF, "0")
    # without a name the cache is called after the git branch that the environment lies in
    decided |= {"log_silent": "1", "gdb_path": "", "cache_name": "default"}
    # Jittor would compile in one thread for every 3 GB of memory; more than there are cores gain nothing, and its
    # compiler threads have been seen to crash
    decided |= {"use_parallel_op_compiler": str(os.cpu_count() or 1)}
    if os.environ.get(IEEE_VARIABLE) == "1":
        decided |= {"cc_flags": " -O2 ", "cache_name": "ieee"}
    decided = _decide(decided)
    cache = jittor_home() / ".cache" / "jittor"
    decided |= (prepared := compiling.prepare(cache))
    os.environ.update(prepared)
    decided |= _decide({"python_config_path": str(write_python_config(cache))})
    if not install_onednn(cache):
        decided |= _decide({"use_mkl": "0"})  # slower convolutions instead of a download
    if not cuda_usable():
        os.environ["nvcc_path"] = decided["nvcc_path"] = ""
    elif "nvcc_path" not in os.environ:
        decided |= _decide(cuda_variables(cache))
    return decided


def cuda_variables(cache: Path) -> dict[str, str]:
    """What Jittor needs to find its CUDA home, made on first use; without one it is told that there is no CUDA."""
    try:
        return cuda_home.variables(cuda_home.build(cache))
    except cuda_home.CudaHomeError as error:
        print(f"Jittor runs without CUDA: {error}", file=sys.stderr)
        return {"nvcc_path": ""}


def _decide(values: dict[str, str]) -> dict[str, str]:
    """Sets what the user has not set; returns what it set."""
    chosen = {k: v for k, v in values.items() if k not in os.environ}
    os.environ.update(chosen)
    return chosen


def prime() -> None:
    """Imports Jittor in a process of its own, twice, the first time that this environment needs it.

    The first import compiles the core. If the flags have changed since an older build, Jittor
    rebuilds, asks to be run again and ends the process with exit code 0; here that process is an
    expendable one. ImportError with what it printed when it fails. A stamp remembers success.
    """
    names = (
        "cc_path",
        compiling.COMPILER,
        "cc_flags",
        "cache_name",
        "nvcc_path",
        "use_mkl",
        "python_config_path",
    )
    state = [sys.executable, metadata.version("jittor"), *(os.environ.get(n, "") for n in names)]
    key = hashlib.sha256("\n".join(state).encode()).hexdigest()[:16]
    stamp = jittor_home() / ".cache" / "jittor" / "primed" / key
    with compiling.locked(
        stamp.parent.with_suffix(".lock")
    ):  # of several that start at once, one compiles
        if stamp.is_file():
            return
        message = "Jittor compiles its core for this environment, once: one to two minutes ..."
        print(message, file=sys.stderr, flush=True)
        for _ in range(2):
            command = [sys.executable, "-W", "ignore", "-c", "import jittor"]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode:
                output = (result.stdout + result.stderr).strip()
                raise ImportError(
                    f"Jittor cannot be imported: {output[-2000:] or result.returncode}"
                )
        with replacing(stamp) as temporary:
            temporary.write_text("\n".join(state) + "\n")


def compiler() -> str:
    """Path of the C++ compiler that compiles in the end, or "" when there is none."""
    return compiling.real_compiler()


if (
    __name__ == "__main__"
):  # scripts/setup, before PyTorch's wheels are there, whose CUDA a GPU would need
    if not cuda_usable():
        prepare_environment()
        prime()
