"""The outcome of a parity run: terminal table, report.json and one self-contained report.html."""

from __future__ import annotations

import base64
import io
import json
import platform
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
from jinja2 import Environment
from rich.console import Console
from rich.table import Table

from neutral.files import replacing, write_json
from parity.changes import SCHEMA
from parity.compare import first_divergence
from parity.verdicts import Status, Verdict

matplotlib.use("Agg")
from matplotlib import pyplot


@dataclass
class Report:
    verdicts: list[Verdict] = field(default_factory=list)
    environment: dict = field(default_factory=dict)
    curves: dict = field(
        default_factory=dict
    )  # losses of float32 steps by case, see steps.run_tube
    started: float = field(default_factory=time.time)

    def add(self, verdicts: list[Verdict]) -> list[Verdict]:
        self.verdicts += verdicts
        return verdicts

    def groups(self) -> list[tuple[str, str, list[Verdict]]]:
        """(case, check, verdicts) in the order in which they came."""
        found: dict[tuple[str, str], list[Verdict]] = {}
        for verdict in self.verdicts:
            found.setdefault((verdict.case, verdict.check), []).append(verdict)
        return [(case, check, verdicts) for (case, check), verdicts in found.items()]

    def counts(self) -> dict[str, int]:
        counter = Counter(v.status.value for v in self.verdicts)
        return {status.value: counter[status.value] for status in Status}

    def to_dict(self) -> dict:
        return {
            "schema": SCHEMA,
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seconds": round(time.time() - self.started, 1),
            "machine": platform.machine(),
            "environment": self.environment,
            "counts": self.counts(),
            "verdicts": [v.to_dict() for v in self.verdicts],
        }

    def write(self, folder: Path) -> tuple[Path, Path]:
        """report.json and report.html in `folder`."""
        write_json(folder / "report.json", self.to_dict(), indent=None)
        with replacing(folder / "report.html") as temporary:
            temporary.write_text(render(self))
        return folder / "report.json", folder / "report.html"

    def print(self, console: Console) -> None:
        table = Table(title="parity: PyTorch and Jittor", title_justify="left")
        for name in ("case", "check"):
            table.add_column(name)
        for name in ("PASS", "FAIL", "INCONCL.", "NOT RUN", "worst", "limit"):
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


def summarise(verdicts: list[Verdict]) -> dict:
    """One row of the summary: counts per status, the worst measurement, the first FAIL."""
    counter = Counter(v.status for v in verdicts)
    measured = [v for v in verdicts if v.measured is not None and v.limit]
    worst = max(measured, key=lambda v: v.measured / v.limit, default=None)
    first = first_divergence(verdicts)
    style = (
        "red"
        if counter[Status.FAIL]
        else "yellow"
        if counter[Status.INCONCLUSIVE] + counter[Status.NOT_RUN]
        else ""
    )
    return {
        "counts": [str(counter[status]) for status in Status],
        "worst": f"{worst.measured:.1e}" if worst else "",
        "limit": f"{worst.limit:.1e}" if worst else "",
        "first": f"{first.node} {first.message[:100]}" if first else "",
        "style": style,
    }


def error_chart(verdicts: list[Verdict], title: str) -> str:
    """Measured error and limit of every node in order, as a data URL of a PNG."""
    rows = [v for v in verdicts if v.measured is not None and v.limit]
    figure, axes = pyplot.subplots(figsize=(8, 2.2), dpi=80)
    smallest = 1e-19
    axes.semilogy([max(v.measured, smallest) for v in rows], ".", markersize=3, label="measured")
    axes.semilogy([v.limit for v in rows], "-", linewidth=1, color="firebrick", label="limit")
    axes.set(title=title, xlabel="node, in order of execution", ylabel="error")
    axes.legend(fontsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight")
    pyplot.close(figure)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


PAGE = Path(__file__).with_name("report.html.j2")


def render(report: Report) -> str:
    """The whole page as a string, charts included."""
    groups = []
    for case, check, verdicts in report.groups():
        statuses = {v.status.value for v in verdicts} - {"PASS"}
        plotted = [v for v in verdicts if v.measured is not None and v.limit]
        groups.append(
            {
                "case": case,
                "check": check,
                "verdicts": verdicts,
                "row": summarise(verdicts),
                "worst_status": next(
                    (s for s in ("FAIL", "INCONCLUSIVE", "NOT_RUN") if s in statuses), ""
                ),
                "chart": error_chart(plotted, f"{case}: {check}") if len(plotted) >= 10 else "",
            }
        )
    page = Environment(autoescape=True).from_string(PAGE.read_text())
    environment = json.dumps(report.environment, indent=1)
    return page.render(report=report.to_dict(), groups=groups, environment=environment)
