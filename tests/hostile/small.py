"""Small runs for the tests of this folder, in this process and in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from neutral.config import preset, with_overrides
from neutral.data import open_dataset
from neutral.run import RunOptions, train
from tests import starting, warm
from tests.commands import ROOT, TINY

SETTINGS = [part.removeprefix("--set=") for part in TINY if part.startswith("--set=")]


def tiny(*overrides: str):
    """Configuration and data sets of one epoch of two steps."""
    config = with_overrides(preset("scenes_detr"), [*SETTINGS, "optimiser.epochs=1", *overrides])
    data = {split: open_dataset(config, split, ROOT / "logs/data") for split in ("train", "val")}
    return config, data


def trained(folder: Path, *overrides: str, data: dict | None = None, **options) -> list[str]:
    """Trains in this process; the messages on the way."""
    from torch_impl.session import Session

    config, own = tiny(*overrides)
    events: list[dict] = []
    options = RunOptions(folder, **options)
    train(Session(config), config, data or own, options, events.append)
    return [event["text"] for event in events if event["phase"] == "message"]


def changed(dataset):
    """The data set without its last image."""
    return replace(dataset, images=dataset.images[:-1])


def start(name: str, *arguments, **options) -> subprocess.Popen | warm.Copy:
    if not options:
        return starting.start(name, *arguments)
    command = [sys.executable, "-m", f"scripts.{name}", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, **(pipes | options))


def wait_for(condition: Callable[[], object], seconds: float = 120.0):
    """What the condition gives once it is true; it fails when that takes longer."""
    limit = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.05)
    return found


def descendants(process: int) -> list[int]:
    """The living processes that a process began, and those that they began."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] not in "ZX":
                parents[int(folder.name)] = int(fields[1])
    found, new = [], [process]
    while new:
        new = [child for child, parent in parents.items() if parent in new]
        found += new
    return found


def alive(process: int) -> bool:
    try:
        state = Path("/proc", str(process), "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def records_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]
