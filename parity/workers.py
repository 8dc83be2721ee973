"""Worker processes, one per framework, and what becomes of them.

A request is sent with `submit` and its answer fetched with `result`, so that both frameworks can
work at the same time; `call` does both. A worker that dies or hangs raises WorkerDied, which says
which node it had entered last and what it wrote to stderr; the next request gets a new process.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path

from neutral.errors import InputError
from parity.mutants import VARIABLE
from parity.scratch import scratch
from parity.transport import receive, send

FRAMEWORKS = ("torch", "jittor")
REQUEST, REPLY = "request", "reply"  # files of a worker's folder, for large arrays
# the two workers share the cores: threads that wait should not keep the other's from running
PASSIVE = {"OMP_WAIT_POLICY": "passive", "PARITY_GPU_SHARE": "0.45"}
TIMEOUT = 1800.0  # seconds for one request; a cold Jittor compiles for minutes


class WorkerDied(RuntimeError):
    """The process ended, or did not answer in time; `node` is the last one it had entered."""

    def __init__(self, message: str, node: str):
        super().__init__(message)
        self.node = node


class WorkerError(RuntimeError):
    """The request raised; `details` holds the worker's traceback."""

    def __init__(self, message: str, details: str):
        super().__init__(message)
        self.details = details


class Worker:
    module = "parity.worker"  # what its process runs
    variables = PASSIVE  # of its environment, where they are not set

    def __init__(self, framework: str, timeout: float = TIMEOUT, mutant: str = ""):
        self.framework = framework
        self.mutant = mutant  # a planted fault, see parity/mutants
        self.timeout = timeout
        self.folder = scratch(framework)
        self.process: subprocess.Popen | None = None
        self.pending = ""

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.connection, theirs = multiprocessing.Pipe()
        command = [
            sys.executable,
            "-m",
            self.module,
            self.framework,
            str(theirs.fileno()),
            str(self.folder / "node"),
        ]
        (self.folder / "node").write_bytes(b"")
        with (self.folder / "stderr").open("wb") as stderr:
            root = Path(__file__).resolve().parent.parent
            self.process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdout=stderr,
                stderr=stderr,
                stdin=subprocess.DEVNULL,
                cwd=root,
                env=self.variables | os.environ | {VARIABLE: self.mutant},
            )
        theirs.close()

    def submit(self, method: str, *args, **options) -> None:
        if self.process is None or self.process.poll() is not None:
            self.start()
        self.pending = method
        try:
            send(self.connection, (method, args, options), self.folder / REQUEST)
        except OSError:
            raise self.obituary("died while a request was sent") from None

    def result(self):
        try:
            if not self.connection.poll(self.timeout):
                raise self.obituary(f"did not answer within {self.timeout:.0f} s")
            reply = receive(self.connection, self.folder / REPLY)
        except (EOFError, OSError):
            raise self.obituary("died") from None
        if reply[0] == "input":
            raise InputError(reply[1])
        if reply[0] == "error":
            raise WorkerError(f"{self.framework}: {reply[1]}", reply[2])
        return reply[1]

    def call(self, method: str, *args, **options):
        self.submit(method, *args, **options)
        return self.result()

    def obituary(self, what: str) -> WorkerDied:
        """Ends the process for good and tells what is known of its last moments."""
        self.process.kill()
        code = self.process.wait()
        self.connection.close()
        self.process = None
        node = (self.folder / "node").read_bytes().decode(errors="replace").strip() or "none"
        tail = (self.folder / "stderr").read_bytes()[-1500:].decode(errors="replace").strip()
        return WorkerDied(
            f"{self.framework} worker {what} in {self.pending!r} (exit code {code}); last node entered: {node}; "
            f"stderr ends: {tail or '(empty)'}",
            node,
        )

    def close(self) -> None:
        if self.process is not None:
            self.connection.close()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        """Ends the process in the middle of what it does."""
        if self.process is not None:
            self.process.kill()


class Pair:
    """A PyTorch and a Jittor worker that get the same requests at the same time."""

    def __init__(self, device: str = "cpu"):
        self.device = device
        self.workers = {name: Worker(name) for name in FRAMEWORKS}

    def __getitem__(self, framework: str) -> Worker:
        return self.workers[framework]

    def both(self, method: str, *args, sides: tuple[str, ...] = FRAMEWORKS, **options) -> dict:
        """Answers by framework; when one side fails, the other's answer is still awaited first."""
        for name in sides:
            self.workers[name].submit(method, *args, **options)
        return self.collect(sides)

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
