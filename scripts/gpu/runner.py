"""Runs steps in processes of their own, each until its time is up, and compiles for later ones meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from scripts.gpu.plan import ROOT, Step
from scripts.gpu.results import CUT, DONE, FAILED
from scripts.gpu.watcher import Watcher

GRACE = 5.0  # seconds to write a checkpoint in, when the time is up
# many processes compile at once: nvcc's output is moved into place (jittor_setup/cuda_sources.py)
SHARING = {"disable_lock": "1", "rewrite_op": "0"}


def gpu_name() -> str:
    """As the driver's own tool tells it; "" where it tells nothing."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return ""
    return told.stdout.partition("\n")[0].strip()


def environment(device: str) -> dict[str, str]:
    return dict(os.environ) | (SHARING if device == "cuda" else {})


def end(process: subprocess.Popen, grace: float = GRACE) -> None:
    """Ends a process and all that it has started; first so that it can write what it has."""
    for number, wait in ((signal.SIGTERM, grace), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(timeout=wait)
            break
        except subprocess.TimeoutExpired:
            continue
    with contextlib.suppress(ProcessLookupError):  # children that outlived it
        os.killpg(process.pid, signal.SIGKILL)


def run_step(
    step: Step, device: str, out: Path, limit: float | None, watcher: Watcher | None = None
) -> dict:
    """State, exit code (124: its time was up), seconds, the end of what it printed; all of that in OUT/NAME.log."""
    arguments = step.command.format(device=device, out=out, name=step.name).split()
    started, log = time.monotonic(), out / f"{step.name}.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env=environment(device),
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        if watcher:
            watcher.tell("+", process.pid)
        try:
            code = process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            code = 124
        finally:
            end(process)
            if watcher:
                watcher.tell("-", process.pid)
    tail = [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-6:]
    return {
        "state": DONE if code == 0 else CUT if code == 124 else FAILED,
        "exit code": code,
        "seconds": round(time.monotonic() - started, 1),
        "command": " ".join(arguments),
        "tail": tail,
    }


class Warmer:
    """The background process that compiles kernels for steps to come (warm.py)."""

    def __init__(
        self, steps: list[Step], device: str, out: Path, lanes: int, watcher: Watcher | None = None
    ):
        self.process, self.watcher = None, watcher
        if lanes < 1 or not steps:
            return
        command = [sys.executable, "-m", "scripts.gpu.warm", "--device", device]
        command += ["--lanes", str(lanes), "--steps", *(step.name for step in steps)]
        with (out / "warm.log").open("w") as log:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment(device) | {"use_parallel_op_compiler": "2"},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if watcher:
            watcher.tell("+", self.process.pid)

    def wait(self, seconds: float) -> None:
        """Until it is done, at most so long; then it is ended: what comes next is timed."""
        if self.process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=max(0.0, seconds))
            self.stop()

    def stop(self) -> None:
        if self.process is not None:
            end(self.process, grace=1.0)
            if self.watcher:
                self.watcher.tell("-", self.process.pid)
            self.process = None
