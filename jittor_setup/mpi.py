"""Jittor's MPI, in processes that mpirun started: a module of its own beside the core, which stays as it is.

Jittor compiles it on first use (some seconds), with what mpicc says; nothing else of its cache is touched, so that runs
with and without MPI share their core and kernels. On GPUs its NCCL, from the wheel that PyTorch brings.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sysconfig
from pathlib import Path

RANKED = "OMPI_COMM_WORLD_SIZE"  # how Jittor knows, too
PACKAGES = "apt-get install -y openmpi-bin libopenmpi-dev"
# variables of a process that is a rank: a process that it starts is none
OF_RANKS = ("OMPI_", "PMIX_", "ORTE_", "PRTE_")


def variables(cache: Path, cuda: bool) -> dict[str, str]:
    """What Jittor reads, for a process that mpirun started; {} for others. ImportError says what is missing."""
    if RANKED not in os.environ:
        return {}
    if not os.environ.get("mpicc_path") and shutil.which("mpicc") is None:
        raise ImportError(f"Jittor under mpirun compiles its MPI and needs mpicc: {PACKAGES}")
    return {"use_mpi": "1"} | (nccl_variables(cache) if cuda else {})


def nccl_variables(cache: Path) -> dict[str, str]:
    """Where Jittor finds NCCL; {} without the wheel (nvidia-nccl-cu12 or -cu13)."""
    wheel = Path(sysconfig.get_path("purelib")) / "nvidia" / "nccl"
    library = wheel / "lib" / "libnccl.so.2"
    if not library.exists():
        return {}
    folder = cache / "nccl-of-the-wheel"
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "libnccl.so"  # the name that Jittor looks for
    if not link.exists():
        link.unlink(missing_ok=True)
        with contextlib.suppress(FileExistsError):  # another rank was faster
            link.symlink_to(library)
    return {
        "use_nccl": "1",
        "nccl_include_path": str(wheel / "include"),
        "nccl_lib_path": str(folder),
    }


def unranked(environment: dict[str, str]) -> dict[str, str]:
    """The environment of a process that is no rank, though its parent is one."""
    kept = {k: v for k, v in environment.items() if not k.startswith(OF_RANKS)}
    return kept | {"use_mpi": "0", "use_nccl": "0"} if RANKED in environment else kept
