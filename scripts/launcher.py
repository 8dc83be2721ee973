"""Several processes that train one model: `--ranks N` starts the framework's own launcher, and tells what comes of it.

PyTorch's is torchrun, Jittor's mpirun. Each process is a `scripts.train` of its own, a rank; the first one's events are
shown here. docs/training.md has the launchers' lines for several machines.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path

from door.terminal import say
from neutral.checkpoints import Checkpoints
from neutral.config import Config
from neutral.errors import Ended, InputError
from neutral.launchers import LOST, check_launcher, launcher_command, launcher_environment
from neutral.processes import GRACE, STARTER, how_ended, set_death_signal, stoppable
from neutral.ranks import LAUNCHERS, check_shares
from parity.engine.values.scratch import scratch_folder
from scripts.common import ProgressReport, make_progress
from scripts.options import handed

# in what the launchers say of a rank that ended badly: its number, and how, an exit code or a signal as -9
DEATHS = {
    "torch": re.compile(
        r"Root Cause.*?rank\s*: (?P<rank>\d+).*?exitcode\s*: (?P<code>-?\d+)", re.DOTALL
    ),
    "jittor": re.compile(
        r"process rank (?P<rank>\d+) with PID \d+ on node \S+ exited on\s+signal (?P<signal>\d+)"
        r"|Process name: \[\[\d+,\d+\],(?P<other>\d+)\]\s+Exit code:\s+(?P<code>\d+)"
    ),
}
LAST_WORDS = 5.0  # seconds in which the events of a process that has ended are read to their end
ERROR, STOPPED = "error: ", "stopped by "  # how a rank's own messages begin
LINES = 20  # of what a rank said last, at most
REPORT = re.compile(
    r"^(-{20,}$|[WE]\d{4} .*elastic)", re.MULTILINE
)  # how what the launchers add begins
CRASH = re.compile(r"[\w.]+(Error|Exception)\b")  # how the last line of a traceback does


def prepare(framework: str) -> None:
    """Compiles Jittor's core, where that is still to do, before there are ranks that would wait for it."""
    if framework == "jittor":
        before = dict(os.environ)
        try:
            import_module("jittor_setup.importing").get_ready()
        except ImportError as error:
            raise InputError(f"jittor cannot be used here: {error}; see scripts.doctor") from None
        finally:  # the ranks settle it for themselves
            os.environ.clear()
            os.environ.update(before)


def check_ranks(frameworks: Sequence[str], config: Config, images: int, ranks: int) -> None:
    """InputError where so many training images are too few, or there is no launcher: before anything starts."""
    check_shares(images, config.optimiser.batch_size, config.optimiser.accumulate, ranks)
    for framework in frameworks:
        check_launcher(framework)


def run_ranks(options: argparse.Namespace, add_options: Callable) -> int:
    """`scripts.train` with these options in `options.ranks` processes; the exit code."""
    prepare(options.framework)
    if options.json_progress:
        return follow(options, add_options, lambda event: print(json.dumps(event), flush=True))
    with make_progress() as progress:
        return follow(options, add_options, ProgressReport(progress, options.framework))


def follow(
    options: argparse.Namespace, add_options: Callable, report: Callable[[dict], None]
) -> int:
    """Runs the launcher, with events to `report`; Ended or InputError tell which rank ended it, and how."""
    framework, count = options.framework, options.ranks
    process = None
    with scratch_folder("ranks") as folder:
        path, file = folder / "stderr", folder / "options.json"
        asked = handed(file, options, add_options, ranks=1, json_progress=True)
        with path.open("wb") as errors, stoppable(lambda: stop(framework, process)) as request:
            process = subprocess.Popen(
                launcher_command(framework, count, ["scripts.train", *asked]),
                env=os.environ
                | launcher_environment(framework, count)
                | {STARTER: str(os.getpid())},
                stdout=subprocess.PIPE,
                stderr=errors,
                stdin=subprocess.DEVNULL,
                text=True,
                errors="replace",  # in compilers' chatter there may be anything
                start_new_session=True,  # Ctrl-C comes from here
                preexec_fn=set_death_signal,
            )
            if request:
                stop(framework, process)
            try:
                read_events(process, report, lambda: stop(framework, process))
                code = process.returncode
            finally:
                end(process)
        if request:
            say(f"stopped by {request.name}: --resume goes on from {options.out}", error=True)
            return request.code
        if code:
            raise obituary(framework, count, code, path, options.out)
    if not options.json_progress:
        say(f"log: {options.out / 'log.txt'}")
    return 0


def read_events(
    process: subprocess.Popen, report: Callable[[dict], None], stop: Callable[[], None]
) -> None:
    """Hands on a process's events until it ends; what it started and left behind may hold the pipe open for longer.

    When `report` fails, because whoever read it has gone, `stop` ends the process, and the error is raised after that.
    """
    failed: list[OSError] = []

    def read() -> None:
        for event in events_in(process.stdout):
            if not failed:  # else it would wait for a reader before it ends
                try:
                    report(event)
                except OSError as error:
                    failed.append(error)
                    stop()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    process.wait()
    reader.join(LAST_WORDS)
    if failed:
        raise failed[0]


def events_in(lines: Iterator[str]) -> Iterator[dict]:
    """Lines that are no events (compiler chatter, half ones) are passed over."""
    for line in lines:
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict):
                yield event


def stop(framework: str, process: subprocess.Popen | None) -> None:
    """Has a launcher tell its ranks to stop; mpirun would give them little time after SIGTERM."""
    if process:
        process.send_signal(signal.SIGUSR1 if framework == "jittor" else signal.SIGTERM)


def end(process: subprocess.Popen) -> None:
    """Of a launcher, which ends its ranks."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(GRACE + 5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def obituary(framework: str, count: int, code: int, path: Path, out: Path) -> Exception:
    """What ended the ranks: their own message where one of them had any, else which one died and how."""
    text = path.read_text(errors="replace")
    lines = text.splitlines()
    own = [k for k, x in enumerate(lines) if x.startswith(ERROR) and LOST not in x]
    dead = DEATHS[framework].search(text)
    how = ended_how(dead.groupdict()) if dead else ""
    killed = " was killed by " in how
    stopped = [line for line in lines if line.startswith(STOPPED)]
    if stopped and not killed:  # a rank was, and all with it
        return Ended(stopped[0], 1)
    if own and not killed:
        first, details = lines[own[0]].removeprefix(ERROR), []
        for line in lines[own[0] + 1 :]:
            if not line.startswith("  "):
                break
            details.append(line.strip())
        return InputError(first, *details)
    what = how or f"{LAUNCHERS[framework]} {how_ended(code)}"
    told = f"error: {what} (of {count}); the others were ended. "
    if Checkpoints(out).newest.exists():
        told += f"The last checkpoint is good: --resume goes on from {out}"
    else:
        told += "There was no checkpoint yet: begin anew"
    crashes = [line for line in lines if CRASH.match(line) and "ChildFailedError" not in line]
    if killed:  # a crash says where it happened; SIGKILL comes from outside
        said = REPORT.split(text, maxsplit=1)[0].splitlines()
        crashes = [] if "SIGKILL" in how else [line for line in said if line.strip()][-LINES:]
        return Ended(told, 1, *crashes)
    return Ended(told, 1, *(crashes[:1] or lines[-8:]))


def ended_how(found: dict[str, str | None]) -> str:
    """A rank and its end, in words."""
    rank = found.get("rank") or found.get("other")
    code = -int(found["signal"]) if found.get("signal") else int(found["code"])
    return f"rank {rank} {how_ended(code)}"
