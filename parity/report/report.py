"""The outcome of a parity run: terminal table, report.json and one self-contained report.html.

Both files can be written while the run goes on, and are whole at any time: `Progress` says how far it is.
"""

from __future__ import annotations

import platform
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from door.terminal import Console, Table
from parity.engine.causes import causes_of
from parity.engine.verdicts import Status, Verdict
from parity.files import peak_memory, replacing, write_json
from parity.report.changes import SCHEMA
from parity.report.page import render, summarise

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


@dataclass
class Report:
    """What a run found; `folder` is where it is written."""

    folder: Path
    verdicts: list[Verdict] = field(default_factory=list)
    environment: dict = field(default_factory=dict)
    curves: dict = field(
        default_factory=dict
    )  # losses of float32 steps by case, see steps.run_tube
    started: float = field(default_factory=time.time)
    progress: Progress = field(default_factory=Progress)
    early: list[Verdict] = field(default_factory=list)  # of a case that is not done yet
    floors: dict = field(default_factory=dict)  # where and with what floors were measured
    mutants: dict | None = None  # a kill matrix to show
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

    def groups(self) -> list[tuple[str, str, list[Verdict]]]:
        """(case, check, verdicts) in the order in which they came."""
        found: dict[tuple[str, str], list[Verdict]] = {}
        for verdict in self.known():
            found.setdefault((verdict.case, verdict.check), []).append(verdict)
        return [(case, check, verdicts) for (case, check), verdicts in found.items()]

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
            "environment": self.environment,
            "counts": self.counts(),
        }

    def to_dict(self) -> dict:
        """report.json: "causes" is the list that parity/engine/causes.py describes."""
        verdicts = self.known()
        causes = [cause.to_dict() for cause in causes_of(verdicts)]
        return self.heading() | {"causes": causes, "verdicts": [v.to_dict() for v in verdicts]}

    def write(self) -> tuple[Path, Path]:
        """report.json and report.html."""
        started = time.monotonic()
        paths = self.folder / "report.json", self.folder / "report.html"
        write_json(paths[0], self.to_dict(), indent=None)
        with replacing(paths[1]) as temporary:
            temporary.write_text(render(self))
        now = time.monotonic()
        self.due = now + max(OFTEN, (now - started) / SHARE)
        return paths

    def write_when_due(self) -> None:
        """`write`, unless that was done a moment ago: a run spends no more than SHARE of its time on it."""
        if time.monotonic() >= self.due:
            self.write()

    def print(self, console: Console) -> None:
        table = Table(title="parity: PyTorch and Jittor", title_justify="left")
        for name in ("case", "check"):
            table.add_column(name)
        for name in ("PASS", "FAIL", "INCONCL.", "NOT RUN", "KNOWN", "worst", "limit"):
            table.add_column(name, justify="right")
        table.add_column("first divergence")
        for case, check, verdicts in self.groups():
            row = summarise(verdicts)
            table.add_row(
                case,
                check,
                *row["counts"],
                row["worst"],
                row["limit"],
                row["first"],
                style=row["style"],
            )
        console.print(table)
        for verdict in self.verdicts:
            if verdict.status is Status.NOT_RUN:
                console.print(f"NOT RUN {verdict.case}: {verdict.message}")
