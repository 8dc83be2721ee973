"""Processes that belong together: a parent passes signals on, a child never outlives its parent. Linux.

A command that others start calls `tie_to_parent` first; `start` begins such a command. A child dies with the *thread*
that began it (PR_SET_PDEATHSIG): call `start` from the main one.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PARENT = "RUN_PARENT"  # environment variable: the process with which this one ends
ENDINGS = (signal.SIGTERM, signal.SIGHUP)
STARTER = "RUN_STARTER"  # environment variable: the process that started a launcher of ranks
GRACE = (
    30.0  # seconds for clearing up: of a process that is ended, of a child whose parent gives up
)


class Terminated(BaseException):
    """SIGTERM or SIGHUP: everything is cleared up on the way out."""

    def __init__(self, number: int):
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.code = 128 + number


def terminate(number: int, frame) -> None:
    for ending in ENDINGS:  # what follows would cut the clearing up short
        signal.signal(ending, signal.SIG_IGN)
    # where Python is called from C, as in a destructor, an exception may come to nothing
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, GRACE)
    raise Terminated(number)


def end_politely() -> None:
    """From now on SIGTERM and SIGHUP raise Terminated, and end the process after GRACE; SIGHUP not under nohup."""
    for number in ENDINGS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, terminate)


def tie_to_parent() -> None:
    """A process that `start` began is killed when that one ends, which also decides about Ctrl-C."""
    parent = os.environ.pop(PARENT, "")
    if parent:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        die_with(int(parent))


def die_with(parent: int) -> None:
    """This process is killed as soon as `parent`, which made it, has ended; so are copies of it with itself."""
    follow_to_death(parent)
    forker = [0]
    os.register_at_fork(
        before=lambda: forker.__setitem__(0, os.getpid()),
        after_in_child=lambda: follow_to_death(forker[0]),
    )


def tie_to_launcher() -> None:
    """A rank is killed when its launcher ends, or has ended already: told by its STARTER, where it has one."""
    launcher = os.getppid()
    die_with(launcher)
    starter = os.environ.pop(STARTER, "")
    if starter and starter != str(parent_of(launcher)):
        os.kill(os.getpid(), signal.SIGKILL)


def parent_of(process: int) -> int | None:
    """None when there is no such process."""
    try:
        told = Path(f"/proc/{process}/stat").read_text(errors="replace")
    except OSError:
        return None
    return int(told.rpartition(")")[2].split()[1])


def follow_to_death(parent: int) -> None:
    set_death_signal()
    if os.getppid() != parent:  # it was faster
        os.kill(os.getpid(), signal.SIGKILL)


def set_death_signal() -> None:
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG


def start(command: list[str], **options) -> subprocess.Popen:
    """subprocess.Popen of a command that calls `tie_to_parent`."""
    environment = (options.pop("env", None) or os.environ) | {PARENT: str(os.getpid())}
    return subprocess.Popen(command, env=environment, **options)


def call(command: list[str]) -> int:
    """Runs a command that calls `tie_to_parent`; its exit code. When this process is ended, so is that one."""
    process = start(command)
    try:
        return process.wait()
    finally:
        end([process])


def end(processes: list[subprocess.Popen]) -> None:
    """SIGTERM to those that still run, and SIGKILL to those that have not ended after GRACE."""
    running = [p for p in processes if p.poll() is None]
    for process in running:
        process.terminate()
    limit = time.monotonic() + GRACE
    for process in running:
        try:
            process.wait(max(0.0, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def how_ended(code: int) -> str:
    """An exit code of `subprocess` in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


@contextlib.contextmanager
def endable() -> Iterator[None]:
    """Inside, SIGTERM, SIGHUP and SIGINT end the process at once: also in C++, where Python's handlers have to wait.
    For what waits and has nothing to clear up."""
    usual = {number: signal.getsignal(number) for number in (*ENDINGS, signal.SIGINT)}
    usual = {number: how for number, how in usual.items() if how is not signal.SIG_IGN}
    for number in usual:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number, how in usual.items():
            signal.signal(number, how)


class Request:
    """Whether this process was asked to stop: the signal's number, else 0."""

    number = 0

    def __bool__(self) -> bool:
        return bool(self.number)

    @property
    def name(self) -> str:
        return signal.Signals(self.number).name

    @property
    def code(self) -> int:
        return 128 + self.number


@contextlib.contextmanager
def stoppable(tell: Callable[[], None] = lambda: None) -> Iterator[Request]:
    """Inside, the first SIGTERM, SIGHUP or SIGINT is a request, and calls `tell`; a second Ctrl-C interrupts."""
    request = Request()

    def ask(number: int, frame) -> None:
        if not request:
            request.number = number
            tell()
        elif number == signal.SIGINT:
            raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (*ENDINGS, signal.SIGINT)}
    before = {number: how for number, how in before.items() if how is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, ask)
    try:
        yield request
    finally:
        for number, how in before.items():
            signal.signal(number, how)
