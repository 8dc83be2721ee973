"""Compiles Jittor's core in processes that may die of it, once per environment."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from jittor_setup import compiling, mpi
from jittor_setup.environment import jittor_cache
from jittor_setup.files import replacing

PRIMING = "JITTOR_SETUP_PRIMING"  # set in those processes: a start-up file must not begin again
HERE = Path(__file__).resolve().parent.parent  # where jittor_setup lies
# PR_SET_PDEATHSIG: it ends with the process that started it, however that ends
PRIMES = """
import ctypes, sys
ctypes.CDLL(None).prctl(1, 9)
sys.path.append(sys.argv[1])
from jittor_setup.importing import install_hook
install_hook()
import jittor
"""
PLACE = (
    "cache_name",
    "nvcc_path",
)  # variables of which each core has its folder: CUDA's lies apart
# with which a core is compiled, into one folder whatever they are
DECISIVE = ("cc_path", compiling.COMPILER, "cc_flags", "use_mkl", "python_config_path")


def prime(mended: Path | None = None) -> bool:
    """Imports Jittor in a process of its own, twice, the first time that this environment needs it; True when it did.

    The first import compiles the core. If the flags have changed since an older build, Jittor
    rebuilds, asks to be run again and ends the process with exit code 0; here that process is an
    expendable one. ImportError with what it printed when it fails. A stamp remembers with what the folder's core was
    compiled last: another checkout of this project may have compiled it anew since. `mended` is the folder of a Jittor
    to be taken in place of the installed one.
    """
    place = [sys.executable, metadata.version("jittor")]
    place += [os.environ.get(name, "") for name in PLACE] + [str(mended)] * bool(mended)
    state = "".join(f"{line}\n" for line in place + [os.environ.get(n, "") for n in DECISIVE])
    environment = mpi.unranked(dict(os.environ)) | {PRIMING: "1"}
    if mended:
        paths = (str(mended), environment.get("PYTHONPATH"))
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    key = compiling.digest(*place)
    stamp = jittor_cache() / "primed" / key
    if is_stamped(stamp, state):
        return False
    # of several that start at once, one compiles; other environments need not wait for it
    with compiling.locked(stamp.parent.with_name("priming") / key):
        if is_stamped(stamp, state):
            return False
        message = "Jittor compiles its core for this environment, once: one to two minutes ..."
        print(message, file=sys.stderr, flush=True)
        for _ in range(2):
            command = [sys.executable, "-W", "ignore", "-c", PRIMES, str(HERE)]
            result = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            )
            if result.returncode:
                output = (result.stdout + result.stderr).strip()
                raise ImportError(
                    f"Jittor cannot be imported: {output[-2000:] or result.returncode}"
                )
        with replacing(stamp) as temporary:
            temporary.write_text(state)
    return True


def is_stamped(stamp: Path, state: str) -> bool:
    return stamp.is_file() and stamp.read_text() == state
