"""Worker processes, one per side, and what becomes of them.

A request is sent with `submit` and its answer fetched with `result`, so that both sides can
work at the same time; `call` does both. A worker that dies or hangs raises WorkerDied, which says
which node it had entered last and what it wrote to stderr; the next request gets a new process.
It ends with the thread that started it (Linux: PR_SET_PDEATHSIG): the first request comes from a lasting one.

Before: case.py (Side), values/transport.py. Everything in ask/ speaks to sides through these; server.py answers.
"""

from __future__ import annotations

import contextlib
import functools
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, TypeVar

from parity.backends import base
from parity.case import ROLES, Case, Side
from parity.engine.judge.weights import check_given
from parity.engine.values.places import last_frames
from parity.engine.values.scratch import discard, scratch
from parity.engine.values.transport import receive, send
from parity.errors import InputError, OutOfTime, WorkerDied, WorkerError

Answer = TypeVar("Answer")
FRAMEWORKS = base.NAMES
PARENT = "PARITY_PARENT"  # variable of a worker: the process with which it ends
REQUEST, REPLY = "request", "reply"  # files of a worker's folder, for large arrays
# two workers share the cores: threads that wait should not keep the other's from running
PASSIVE = {"OMP_WAIT_POLICY": "passive", "PARITY_GPU_SHARE": "0.45"}
WHERE = signal.SIGUSR1  # at which a worker prints its stack
PATIENCE = 1.0  # seconds that it has for that
LAST, TAIL = 20000, 1500  # characters of what it printed that are read, and told
FRAMES = 8  # of its stack that are told
ENDING = 10.0  # seconds that it has to end by itself
TIMEOUT = 1800.0  # seconds for one request; a cold Jittor compiles for minutes
PACKAGES = Path(__file__).resolve().parents[3]  # where parity and jittor_setup lie


@functools.cache
def launcher() -> ThreadPoolExecutor:
    """The thread that starts all workers: the kernel ends a worker with the thread that made it, and this one lives
    as long as the process."""
    return ThreadPoolExecutor(1, "parity-launcher")


def launched(*arguments, **options) -> subprocess.Popen:
    return launcher().submit(subprocess.Popen, *arguments, **options).result()


class Worker:
    """The process of a side, started when it is first asked; a backend's name stands for a side of nothing else."""

    module = "parity.engine.sides.server"  # what its process runs
    variables = PASSIVE  # of its environment, where they are not set

    def __init__(self, side: Side | str, timeout: float = TIMEOUT, preload: tuple[str, ...] = ()):
        """preload: targets that the process calls before anything else, "TARGET" or "TARGET=ARGUMENT"."""
        self.side = side if isinstance(side, Side) else Side("", side)
        self.label = self.side.label or self.side.backend
        self.preload, self.timeout = preload, timeout
        self.deadline = math.inf  # of time.monotonic()
        self.folder = scratch(self.label)
        self.process: subprocess.Popen | None = None
        self.pending = ""

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.connection, theirs = multiprocessing.Pipe()
        (self.folder / "node").write_bytes(b"")
        try:
            with (self.folder / "stderr").open("wb") as stderr:
                self.process = self.launch(theirs.fileno(), stderr)
        except OSError as error:
            missing_folder = error.filename == str(self.side.cwd)
            where = self.side.cwd if missing_folder else self.side.python or sys.executable
            raise InputError(
                f"{where}: {self.label}'s process cannot be started ({error.strerror})"
            ) from None
        finally:
            theirs.close()

    def launch(self, descriptor: int, output: BinaryIO) -> subprocess.Popen:
        """The process, which answers at this end of a pipe and writes to `output` only."""
        return launched(
            self.command(str(descriptor)),
            pass_fds=[descriptor],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            cwd=self.side.cwd,
            env=self.environment(),
        )

    def command(self, descriptor: str) -> list[str]:
        """What server.py begins with."""
        python, node = self.side.python or sys.executable, str(self.folder / "node")
        return [python, "-m", self.module, self.side.backend, descriptor, node, *self.preload]

    def environment(self) -> dict[str, str]:
        """The process's: parity first on its path, whatever interpreter it is, then the side's own folders."""
        paths = [*self.side.path]
        if self.side.python is None:
            paths.append(str(PACKAGES))
        else:  # nothing but these: the other interpreter has its own site-packages
            bridge = self.folder / "packages"
            bridge.mkdir(exist_ok=True)
            for name in ("parity", "jittor_setup", "door"):
                if not (bridge / name).exists():
                    (bridge / name).symlink_to(PACKAGES / name)
            paths.insert(0, str(bridge))
        before = os.environ.get("PYTHONPATH")
        # another interpreter's packages are not this one's
        paths += [before] if before and self.side.python is None else []
        given = {"PYTHONPATH": os.pathsep.join(paths), PARENT: str(os.getpid())}
        return self.variables | os.environ | given | dict(self.side.env)

    def submit(self, method: str, *args, **options) -> None:
        if time.monotonic() >= self.deadline:
            raise OutOfTime(f"{self.label} worker was not asked: the time limit is over", "run")
        if self.process is None or self.process.poll() is not None:
            self.start()
        self.pending = method
        try:
            send(self.connection, (method, args, options), self.folder / REQUEST)
        except OSError:
            raise self.obituary("died while a request was sent") from None

    def result(self):
        try:
            left = self.deadline - time.monotonic()
            if not self.connection.poll(max(0.0, min(self.timeout, left))):
                if left < self.timeout:
                    raise self.obituary("was stopped by the time limit", OutOfTime)
                raise self.obituary(f"did not answer within {self.timeout:.0f} s")
            reply = receive(self.connection, self.folder / REPLY)
        except (EOFError, OSError):
            raise self.obituary("died") from None
        if reply[0] == "input":
            error = InputError(reply[1])
            error.told = reply[2]
            raise error
        if reply[0] == "error":
            raise WorkerError(f"{self.label}: {reply[1]}", reply[2], self.label, reply[3])
        return reply[1]

    def call(self, method: str, *args, **options):
        self.submit(method, *args, **options)
        return self.result()

    def run(self, target: str, *args, **options):
        """function(server, *args) of that name, "package.module:function", in the worker's process."""
        return self.call("run", target, *args, **options)

    def made(self, source, *arguments):
        """What a target gives in this process, or a function in ours; anything else is what it is."""
        if isinstance(source, str):
            return self.call("call_target", source, *arguments)
        return source(*arguments) if callable(source) else source

    def weights(self, case: Case) -> dict:
        """The case's weights for what was built here; InputError unless all of them are there."""
        shapes = self.call("shapes")
        return check_given(self.made(case.weights, shapes), shapes)

    def obituary(self, what: str, kind: type[WorkerDied] = WorkerDied) -> WorkerDied:
        """Ends the process for good and tells what is known of its last moments."""
        printed = self.folder / "stderr"
        if self.process.poll() is None:
            self.ask_where(printed)
        self.process.kill()
        code = self.process.wait()
        self.connection.close()
        self.process = None
        node = (self.folder / "node").read_bytes().decode(errors="replace").strip() or "none"
        text = printed.read_bytes()[-LAST:].decode(errors="replace").strip()
        frames = last_frames(text)
        where = f"it ran {' < '.join(frames[:FRAMES])}; " if frames else ""
        return kind(
            f"{self.label} worker {what} in {self.pending!r} (exit code {code}); last node entered: {node}; {where}"
            f"stderr ends: {text[-TAIL:] or '(empty)'}",
            node,
        )

    def ask_where(self, printed: Path) -> None:
        """Has the process print where it is, see `print_where` of server.py."""
        size, patience = printed.stat().st_size, time.monotonic() + PATIENCE
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, WHERE)
        while printed.stat().st_size == size and time.monotonic() < patience:
            time.sleep(0.02)

    def close(self) -> None:
        if self.process is not None:
            self.connection.close()
            try:
                # of what the limit ends nothing is awaited
                left = max(0.0, self.deadline - time.monotonic())
                self.process.wait(timeout=min(ENDING, left))
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None
        discard(self.folder)

    def kill(self) -> None:
        """Ends the process in the middle of what it does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()  # or the next request would be sent to it


class Workers:
    """A worker per side, by label; they get the same requests at the same time."""

    def __init__(self, *sides: Side | str, device: str = "cpu", timeout: float = TIMEOUT):
        """Without sides a PyTorch and a Jittor worker. Two sides of one label are "reference" and "candidate"."""
        self.device = device
        found = [Worker(side, timeout) for side in sides or FRAMEWORKS]
        if len({w.label for w in found}) != len(found):
            for worker, label in zip(found, ROLES, strict=True):
                worker.label = label
        self.workers = {worker.label: worker for worker in found}

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.workers)

    def __getitem__(self, label: str) -> Worker:
        return self.workers[label]

    def limit(self, seconds: float) -> None:
        """From now on everything together may take this long; OutOfTime then."""
        self.until(time.monotonic() + seconds)

    def until(self, deadline: float) -> None:
        """The same, of time.monotonic()."""
        for worker in self.workers.values():
            worker.deadline = deadline

    def left(self) -> float:
        """Seconds until then."""
        return min(worker.deadline for worker in self.workers.values()) - time.monotonic()

    def both(self, method: str, *args, sides: tuple[str, ...] | None = None, **options) -> dict:
        """Answers by label; when one side fails, the other's answer is still awaited first."""
        for name in sides or self.labels:
            self.workers[name].submit(method, *args, **options)
        return self.collect(sides or self.labels)

    def run(self, target: str, *args, sides: tuple[str, ...] | None = None, **options) -> dict:
        """`Worker.run` of these sides, all by default."""
        return self.both("run", target, *args, sides=sides, **options)

    def each(self, function: Callable[[Worker], Answer]) -> dict[str, Answer]:
        """function(worker) by label, of all sides at the same time: for what takes a side several requests."""
        with ThreadPoolExecutor(len(self.workers)) as threads:
            return dict(zip(self.labels, threads.map(function, self.workers.values()), strict=True))

    def collect(self, sides: tuple[str, ...]) -> dict:
        """The answers to what was submitted to these sides."""
        answers, failure = {}, None
        for name in sides:
            try:
                answers[name] = self.workers[name].result()
            except (WorkerDied, WorkerError, InputError) as error:
                failure = failure or error
        if failure is not None:
            raise failure
        return answers

    def close(self) -> None:
        for worker in self.workers.values():
            worker.close()

    def kill(self) -> None:
        for worker in self.workers.values():
            worker.kill()
