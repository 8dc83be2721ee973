"""What must be settled before Jittor is imported; imports neither Jittor nor anything that compiles.

Jittor looks for compilers, downloads oneDNN and CUDA helpers and prints while it is being
imported. `prepare_environment` decides all of that through the variables it reads, so that nothing
is downloaded. docs/jittor.md has the measured behaviour behind each line.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import sys
import sysconfig
from pathlib import Path

from jittor_setup import compiling, cuda_home, home, mpi, onednn
from jittor_setup.files import replacing

SWITCHES_OFF = ("use_cutt", "use_cutlass", "use_nccl", "use_mpi")  # each would download something
IEEE_VARIABLE = "JITTOR_SETUP_IEEE"  # "1": compile without -Ofast, so no flush-to-zero


def jittor_home() -> Path:
    """The folder under which Jittor keeps `.cache/jittor`, as Jittor itself decides.

    Without importing jittor_utils: that settles which compiler is used.
    """
    remembered = Path.home() / ".cache" / "jittor" / "config.json"
    try:
        default = json.loads(remembered.read_text())["JITTOR_HOME"]
    except (OSError, ValueError, KeyError, TypeError):
        default = ""
    return Path(os.environ.get("JITTOR_HOME") or default or Path.home()).absolute()


def jittor_cache() -> Path:
    return jittor_home() / ".cache" / "jittor"


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
            mode = temporary.stat().st_mode  # to be run by whoever may read it
            temporary.chmod(mode | (mode & 0o444) >> 2)
    return path


def prepare_environment() -> dict[str, str]:
    """Sets the variables that Jittor reads at import; returns those that were decided here.

    A variable the user has set is left alone, except that `nvcc_path` is emptied where no CUDA
    driver answers: an nvcc without a usable GPU breaks the import or aborts the process.
    """
    if not os.environ.get("JITTOR_HOME", "unset"):
        os.environ["JITTOR_HOME"] = str(jittor_home())  # Jittor cannot make a folder of no name
    decided = dict.fromkeys(SWITCHES_OFF, "0") | mpi.variables(jittor_cache(), cuda_usable())
    # without a name the cache is called after the git branch that the environment lies in
    decided |= {"log_silent": "1", "gdb_path": "", "cache_name": "default"}
    # Jittor would compile in one thread for every 3 GB of memory; more than there are cores gain nothing
    decided |= {"use_parallel_op_compiler": str(os.cpu_count() or 1)}
    if os.environ.get(IEEE_VARIABLE) == "1":
        decided |= {"cc_flags": " -O2 ", "cache_name": "ieee"}
    decided = _decide(decided)
    decided |= (moved := home.settle(jittor_home()))
    os.environ.update(moved)
    cache = jittor_cache()
    decided |= (prepared := compiling.prepare(cache))
    os.environ.update(prepared)
    decided |= _decide({"python_config_path": str(write_python_config(cache))})
    if not onednn.install(cache):
        decided |= _decide({"use_mkl": "0"})  # slower convolutions instead of a download
    if not cuda_usable():
        os.environ["nvcc_path"] = decided["nvcc_path"] = ""
        # Jittor imports PyTorch wherever it is installed, as a remedy for old builds of it: nine tenths of the time and
        # memory of its own import
        decided |= _decide({"FIX_TORCH_ERROR": "0"})
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
