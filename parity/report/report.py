"""The outcome of a parity run: terminal table, report.json and one self-contained report.html.

Both files can be written while the run goes on, and are whole at any time: `Progress` says how far it is.

page.py makes the page, live.py calls while a run goes on.
"""

from __future__ import annotations

import platform
import subprocess
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

from door.files import replacing, write_json
from door.process import peak_memory
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.tell.causes import causes_of
from parity.engine.values.kernels import Kernels
from parity.engine.values.stopwatch import COMPARING
from parity.report.changes import SCHEMA
from parity.report.page import render
from parity.report.terminal import shown

RUNNING, INTERRUPTED, FINISHED = "in progress", "interrupted", "finished"
SHARE = 0.02  # of the run's time that writing the report over and over may take
OFTEN = 5.0  # seconds: no reader wants it more often


@dataclass
class Progress:
    """How far a run is: `done` of `cases`, and the one that runs now."""

    state: str = FINISHED
    done: int = 0
    cases: int = 0
    running: str = ""


class Timing:
    """Where a case's seconds go: comparing, compilers, kernels; each case begins where the last one ended."""

    def __init__(self):
        self.kernels = Kernels()
        self.before = self.spent(0, 0.0)

    def spent(self, count: int, compiling: float) -> tuple[float, int, float, float]:
        """Now: seconds, kernels, seconds of compilers (looked up when there are more kernels), of comparing."""
        fresh = self.kernels.fresh()
        compiling = compiling if fresh == count else self.kernels.seconds()
        return time.monotonic(), fresh, compiling, COMPARING.seconds

    def of(self, case: str) -> dict:
        now = self.spent(*self.before[1:3])
        seconds, kernels, compiling, comparing = (a - b for a, b in zip(now, self.before))
        self.before = now
        told = {"seconds": seconds, "comparing": comparing, "compiling": compiling}
        return {"case": case, "kernels": kernels} | {k: round(v, 2) for k, v in told.items()}


@dataclass
class Report:
    """What a run found; `folder` is where it is written."""

    folder: Path
    verdicts: list[Verdict] = field(default_factory=list)
    environment: dict = field(default_factory=dict)
    curves: dict = field(
        default_factory=dict
    )  # losses of float32 steps by case, see payload.curves
    started: float = field(default_factory=time.time)
    progress: Progress = field(default_factory=Progress)
    early: list[Verdict] = field(default_factory=list)  # of a case that is not done yet
    floors: dict = field(default_factory=dict)  # where and with what floors were measured
    mutants: dict | None = None  # a kill matrix to show
    bred: dict | None = None  # what became of mutants that nobody wrote
    timings: list[dict] = field(default_factory=list)  # by case, see Timing
    read: list[dict] = field(default_factory=list)  # in the code that ran, see reading.py
    due: float = 0.0  # when it may be written again, by time.monotonic

    def add(self, verdicts: list[Verdict]) -> list[Verdict]:
        self.early = []
        self.verdicts += verdicts
        return verdicts

    def add_early(self, verdicts: list[Verdict]) -> None:
        """Verdicts of a case that goes on: shown until `add` brings all of it."""
        self.early += verdicts

    def known(self) -> list[Verdict]:
        return self.verdicts + self.early

    def counts(self) -> dict[str, int]:
        counter = Counter(v.status.value for v in self.known())
        return {status.value: counter[status.value] for status in Status}

    def heading(self) -> dict:
        """What a report says of itself, verdicts left out."""
        return {
            "schema": SCHEMA,
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seconds": round(time.time() - self.started, 1),
            "progress": asdict(self.progress),
            "peak_memory_mib": round(peak_memory()),  # of this process, the workers left out
            "machine": platform.machine(),
            "commit": commit(),
            "environment": self.environment,
            "counts": self.counts(),
        }

    def to_dict(self) -> dict:
        """report.json, and all that the page shows: "causes" is the list of parity/engine/tell/causes.py."""
        verdicts = self.known()
        causes = [cause.to_dict() for cause in causes_of(verdicts)]
        more = {"curves": self.curves, "floors": self.floors, "mutants": self.mutants}
        more["bred"] = self.bred
        more |= {"timings": self.timings, "causes": causes, "read": self.read}
        return self.heading() | more | {"verdicts": [v.to_dict() for v in verdicts]}

    def write(self) -> tuple[Path, Path]:
        """report.json and report.html."""
        started = time.monotonic()
        paths = self.folder / "report.json", self.folder / "report.html"
        found = self.to_dict()
        write_json(paths[0], found, indent=None)
        with replacing(paths[1]) as temporary:
            temporary.write_text(render(found, shown(self.folder)))
        now = time.monotonic()
        self.due = now + max(OFTEN, (now - started) / SHARE)
        return paths

    def write_when_due(self) -> None:
        """`write`, unless that was done a moment ago: a run spends no more than SHARE of its time on it."""
        if time.monotonic() >= self.due:
            self.write()


@cache
def commit() -> str:
    """Of the repository around the working directory, "" where there is none."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
