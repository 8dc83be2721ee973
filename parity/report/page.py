"""The page of a parity run: everything that report.html shows, as one string that needs no other file."""

from __future__ import annotations

import base64
import io
from collections import Counter
from pathlib import Path

import matplotlib
import numpy as np
from jinja2 import Environment
from markupsafe import Markup

from door.display import as_text, plain
from door.jsontext import dumps
from parity.atlas.catalogue import ENTRIES
from parity.atlas.judge import brief, read_record
from parity.atlas.page import told
from parity.engine import checks
from parity.engine.localise import classify, culprits
from parity.engine.verdicts import Status, Verdict, first_divergence

matplotlib.use("Agg")
from matplotlib import pyplot

matplotlib.rcParams["text.parse_math"] = False  # a dollar in a name is a dollar


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


def tube_chart(name: str, runs: dict) -> str:
    """Losses of both sides and of PyTorch's copies, and their distances from PyTorch, as a data URL of a PNG."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 2.6), dpi=80)
    losses = {k: np.array([step["loss"] for step in runs[k]]) for k in ("torch", "jittor")}
    copies = np.array([[step["loss"] for step in run] for run in runs["copies"]])
    left.plot(losses["torch"], label="PyTorch", linewidth=3, alpha=0.5)
    left.plot(losses["jittor"], "--", label="Jittor")
    left.set(title=name, xlabel="step", ylabel="loss")
    smallest = 1e-9
    for copy in copies:
        right.semilogy(np.abs(copy - losses["torch"]) + smallest, color="gray", linewidth=0.7)
    right.semilogy([], color="gray", label="PyTorch, one ulp away")
    right.semilogy(np.abs(losses["jittor"] - losses["torch"]) + smallest, "C1--", label="Jittor")
    right.set(xlabel="step", ylabel="distance from PyTorch")
    for axes in (left, right):
        axes.legend(fontsize=7)
    return as_data_url(figure)


def as_data_url(figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight")
    pyplot.close(figure)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


NODE_CHECKS = list(checks.ON_NODES)
HERE = Path(__file__).resolve().parent
SECTIONS = {
    "summary": "Summary",
    "environment": "Environment",
    "nodes": "Nodes",
    "ledger": "Choices",
    "steps": "Steps and curves",
    "mutants": "Kill matrix",
    "atlas": "Semantics atlas",
    "others": "What is not a node",
}


def node_data(verdicts: list[Verdict]) -> dict:
    """What report.js reads: every verdict on a node, numbers to two digits."""

    def short(x: float | None) -> float | None:
        return None if x is None or not np.isfinite(x) else float(f"{x:.2g}")

    statuses = [s.value for s in Status]
    cases: dict[str, dict] = {}
    for v in verdicts:
        if v.check not in NODE_CHECKS:
            continue
        entry = [short(v.measured), short(v.limit), statuses.index(v.status.value), short(v.floor)]
        if v.status is not Status.PASS:
            entry += [plain(v.guilty or ""), plain(v.message[:300])]
        node = cases.setdefault(plain(v.case), {}).setdefault(plain(v.node), {})
        node[NODE_CHECKS.index(v.check)] = entry
    return {"checks": NODE_CHECKS, "statuses": statuses, "cases": cases}


def environment_rows(environment: dict) -> tuple[list[str], list[tuple[str, list]]]:
    """Column titles, and for each property its value in every column."""
    names = dict.fromkeys(name for values in environment.values() for name in values)
    rows = [(name, [values.get(name, "") for values in environment.values()]) for name in names]
    return list(environment), rows


def culprit_rows(verdicts: list[Verdict]) -> list[dict]:
    by_case: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        by_case.setdefault(verdict.case, []).append(verdict)
    return [
        {
            "case": case,
            "owner": owner,
            "kind": classify(failed),
            "message": f"{failed[0].node}: {failed[0].message}",
            "script": next((v.script for v in failed if v.script), ""),
        }
        for case, found in by_case.items()
        for owner, failed in culprits(found).items()
    ]


def atlas_rows(verdicts: list[Verdict]) -> list[dict]:
    """The semantics atlas: what was recorded, and what this run found of each entry."""
    record = read_record()
    now = {v.node: v for v in verdicts if v.case.startswith("semantics on ")}
    rows = []
    for entry in ENTRIES:
        found = record.get("cpu", {}).get("entries", {}).get(entry.id, {})
        verdict = now.get(entry.id)
        rows.append(
            {
                "id": entry.id,
                "title": entry.title,
                "cpu": told(record, "cpu", entry),
                "cuda": told(record, "cuda", entry),
                "status": verdict.status.value if verdict else "not run",
                "message": verdict.message if verdict else "",
                "torch": entry.torch,
                "jittor": entry.jittor_code,
                "gives_torch": brief(found["torch"]) if found else "",
                "gives_jittor": brief(found["jittor"]) if found else "",
                "safe": entry.safe,
                "effect": entry.effect,
            }
        )
    return rows


def render(report) -> str:
    """The whole page as a string: no file, no network is needed to read it."""
    verdicts, groups = report.known(), []
    for case, check, found in report.groups():
        statuses = {v.status.value for v in found} - {"PASS"}
        worst = next((s for s in ("FAIL", "INCONCLUSIVE", "NOT_RUN") if s in statuses), "")
        groups.append(
            {"case": case, "check": check, "row": summarise(found), "worst_status": worst}
        )
    sides, environment = environment_rows(report.environment)
    page = Environment(autoescape=True, finalize=as_text).from_string(
        (HERE / "report.html.j2").read_text()
    )
    # inside of a script element "<" could end it, or begin a comment
    data = dumps(node_data(verdicts), separators=(",", ":")).replace("<", "\\u003c")
    return page.render(
        report=report.heading(),
        groups=groups,
        sections=SECTIONS.items(),
        culprits=culprit_rows(verdicts),
        sides=sides,
        environment=environment,
        floors=report.floors,
        decisions=[
            v.to_dict()
            for v in verdicts
            if v.check == checks.CHOICES_32 and (v.message or v.status is not Status.PASS)
        ],
        charts=[(name, tube_chart(name, runs)) for name, runs in report.curves.items()],
        mutants=report.mutants,
        atlas=atlas_rows(verdicts),
        others=[
            v.to_dict() | {"message": v.message}
            for v in verdicts
            if v.status is not Status.PASS and v.check not in (*NODE_CHECKS, checks.CHOICES_32)
        ],
        css=Markup((HERE / "report.css").read_text()),
        js=Markup((HERE / "report.js").read_text()),
        data=Markup(data),
    )
