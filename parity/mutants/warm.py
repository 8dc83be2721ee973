"""Warm processes and their copies: what is changed is imported anew in a copy that has everything else ready.

A warm process has imported the framework and run every check once, so its kernels are loaded. A copy of it (fork) drops
the modules that may be changed, plants a mutant and answers requests as any worker does; what a mutant breaks dies with
it. Copies are made on the CPU and with one thread only: no other would survive being copied.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import signal
import sys
import time
from multiprocessing.connection import Client, Listener
from pathlib import Path

from parity import loading
from parity.engine.sides.server import serve
from parity.engine.sides.workers import PASSIVE, Worker
from parity.errors import WorkerDied

ALONE = {  # the last is a flag of Jittor's: its compiling threads are not copied, and it would wait for them for ever
    **{"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    "use_parallel_op_compiler": "0",
}
MEMORY = 12 << 30  # bytes of address space that a mutant may take beside what there is
SECONDS = (
    120  # of this process's CPU time, after which a mutant is stuck: a busy machine is no proof
)
SPLIT = "parity.mutants.warm:split"
REAP = "parity.mutants.warm:reap"
CHILDREN: dict[int, int | None] = {}  # of a warm process: exit codes by process


class Warm(Worker):
    """The process of a side of which copies are made; `fresh` are the packages that these import anew."""

    variables = PASSIVE | ALONE

    def __init__(self, side: str, fresh: tuple[str, ...], timeout: float = 600.0):
        super().__init__(side, timeout)
        self.fresh = fresh

    def copy(self, *preload: str, timeout: float = 1800.0) -> Copy:
        return Copy(self, preload, timeout)


class Copy(Worker):
    """A copy of a warm process, with these preloads."""

    def __init__(self, warm: Warm, preload: tuple[str, ...], timeout: float):
        super().__init__(warm.side, timeout, preload)
        self.warm = warm

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "node").write_bytes(b"")
        address = str(self.folder / "socket")
        with Listener(address, "AF_UNIX") as listener:
            pid = self.warm.run(SPLIT, address, self.preload, self.warm.fresh)
            self.connection = listener.accept()
        self.process = Process(pid, self.warm)

    def __enter__(self) -> Copy:
        return self

    def __exit__(self, *_) -> None:
        self.close()


class Process:
    """A copy as subprocess.Popen would show it: its parent is the warm process, which is asked how it ended."""

    def __init__(self, pid: int, warm: Warm):
        self.pid, self.warm = pid, warm

    def poll(self) -> int | None:
        try:
            return self.warm.run(REAP, self.pid)
        except WorkerDied:
            return -signal.SIGKILL  # a copy ends with its parent

    def wait(self, timeout: float | None = None) -> int:
        while (code := self.poll()) is None:
            time.sleep(0.005)
        return code

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def split(server, address: str, preload: tuple[str, ...], fresh: tuple[str, ...]) -> int:
    """In the warm process: makes a copy that answers at `address`; its process id."""
    pid = os.fork()
    if pid:
        CHILDREN[pid] = None
        return pid
    try:
        live(server, Path(address), preload, fresh)
    finally:
        os._exit(0)


def live(server, address: Path, preload: tuple[str, ...], fresh: tuple[str, ...]) -> None:
    """A copy's life."""
    with (address.parent / "stderr").open("wb") as stderr:
        for stream in (1, 2):
            os.dup2(stderr.fileno(), stream)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.register(signal.SIGXCPU, all_threads=False, chain=True)
    connection = Client(str(address), "AF_UNIX")
    server.forget()
    server.progress = os.open(address.parent / "node", os.O_WRONLY)
    forget_modules(fresh)
    for entry in preload:
        target, given, argument = entry.partition("=")
        loading.resolve(target)(*([argument] if given else []))
    serve(connection, server.handle, address.parent)


def forget_modules(fresh: tuple[str, ...]) -> None:
    """Modules of these packages are imported anew when they are asked for."""
    for name in list(sys.modules):
        if any(name == part or name.startswith(f"{part}.") for part in fresh):
            del sys.modules[name]


def reap(server, pid: int) -> int | None:
    """In the warm process: how a copy ended, None while it lives."""
    if CHILDREN.get(pid) is None:
        with contextlib.suppress(ChildProcessError):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                CHILDREN[pid] = os.waitstatus_to_exitcode(status)
    return CHILDREN.get(pid)
