"""The frameworks' own launchers of several processes: torchrun for PyTorch, mpirun for Jittor."""

from __future__ import annotations

import os
import shutil
import sys
import uuid

from door.threads import threads
from neutral.errors import InputError
from neutral.ranks import NO_MPI

HERE = "127.0.0.1"
LOST = "has lost another rank"  # what a rank says when another one has gone


def check_launcher(framework: str) -> None:
    """InputError unless the framework's launcher is there."""
    if framework == "jittor":
        missing = [name for name in ("mpirun", "mpicc") if shutil.which(name) is None]
        if missing:
            raise InputError(
                f"--ranks: Jittor's processes need MPI, and there is no {missing[0]}: {NO_MPI}"
            )


def launcher_command(framework: str, count: int, program: list[str]) -> list[str]:
    """The launcher's command line for `count` processes `python -m PROGRAM` on this machine."""
    if framework == "torch":
        # as --standalone, but for "localhost", which not every machine can look up
        how = ["--rdzv-backend=c10d", f"--rdzv-endpoint={HERE}:0", f"--rdzv-id={uuid.uuid4()}"]
        how += [f"--local-addr={HERE}", "--nnodes=1", f"--nproc-per-node={count}"]
        return [sys.executable, "-m", "torch.distributed.run", *how, "-m", *program]
    how = ["-np", str(count), "--oversubscribe", "--bind-to", "none"]
    # seconds that ranks have who wait for one that died; mpirun always takes them twice
    how += ["--mca", "odls_base_sigkill_timeout", "3"]
    return ["mpirun", *how, sys.executable, "-m", *program]


def launcher_environment(framework: str, count: int) -> dict[str, str]:
    """Each process gets its part of the cores; mpirun may be called by root, as everything here."""
    cores = threads() or os.cpu_count() or 1
    found = {"OMP_NUM_THREADS": str(max(1, cores // count))}
    if framework == "jittor":
        found |= dict.fromkeys(("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"), "1")
    else:
        found |= {"TORCH_CPP_LOG_LEVEL": "ERROR"}
        # else gloo looks up the machine's own name, which may be that of another network, or none
        found |= {"GLOO_SOCKET_IFNAME": os.environ.get("GLOO_SOCKET_IFNAME", "lo")}
    return found
