"""How tests start scripts and workers: as copies of processes that are warm (warm.py) wherever nothing differs then."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

from parity.engine.sides.workers import Worker
from tests import warm
from tests.warm import ROOT

launched = Worker.launch  # from scratch


def run(name: str, *arguments, timeout: float = 900.0) -> subprocess.CompletedProcess:
    """`python -m scripts.NAME ARGUMENTS` in the root: its exit code and what it wrote."""
    process = start(name, *arguments)
    out, errors = process.communicate(timeout=timeout)
    return subprocess.CompletedProcess(process.args, process.returncode, out, errors)


def start(name: str, *arguments) -> subprocess.Popen | warm.Copy:
    """The same as it runs, with pipes of text."""
    command = [sys.executable, "-m", f"scripts.{name}", *map(str, arguments)]
    source = warm.source_of(framework_of(command))
    # what a framework's import leaves in the environment is not for ranks, who settle it for themselves
    ranks = any(word.startswith("--ranks") for word in command)
    if ranks or source.environment != warm.variables(os.environ) or "PYTHONPATH" in os.environ:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=ROOT, **pipes)
    errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 closed by communicate
    receiver, sender = os.pipe()
    try:
        copy = source.copy(command, ROOT, [sender, errors.fileno()])
    finally:
        os.close(sender)
    copy.stdout, copy.stderr = os.fdopen(receiver), errors
    return copy


def launch(worker: Worker, descriptor: int, output: BinaryIO) -> subprocess.Popen | warm.Copy:
    """For Worker.launch."""
    side, given = worker.side, worker.environment()
    folders = given["PYTHONPATH"].split(os.pathsep)
    shadowed = any((Path(p) / name).exists() for p in folders for name in ("torch", "jittor"))
    usual = side.backend in warm.IMPORTED and not (side.python or side.cwd or shadowed)
    source = warm.source_of(side.backend) if usual else None
    if source is None or source.environment != warm.variables(given):
        return launched(worker, descriptor, output)
    files = [output.fileno(), output.fileno(), descriptor]
    own = {name: given[name] for name in warm.OF_ONE & given.keys()}
    return source.copy(worker.command(warm.FD), os.getcwd(), files, own)


def framework_of(command: list[str]) -> str:
    """The framework that a command line names."""
    words = " ".join(command).replace("=", " ").split()
    for option in ("--framework", "--side"):
        if option in words[:-1] and (given := words[words.index(option) + 1]) in warm.IMPORTED:
            return given
    return "neither"
