"""The page of a parity run: everything that report.html shows, from a report as report.json has it.

Tables are made here, so that they are there without a script; pictures and long lists are drawn by
templates/report.*.js from `payload`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from parity.atlas.catalogue import ENTRIES
from parity.atlas.judge import brief, read_record
from parity.atlas.page import told
from parity.engine.judge import checks
from parity.pages import render as render_page
from parity.report import gist
from parity.report.bred import bred
from parity.report.gist import FAIL, INCONCLUSIVE, KINDS, NAMES, NOT_RUN, PASS, Cell
from parity.report.payload import payload

CARDS = 24  # causes that get one
ROWS = 24  # of a matrix that is not halved, to stand side by side
LEVELS = (
    *(("0", "1e-5"), ("1", "1e-4"), ("2", "1e-3"), ("3", "1e-2"), ("4", "0.1"), ("5", "1")),
    *(("exact", "equal"), ("fail", "fails"), ("unsure", "inconclusive"), ("known", "known")),
    ("left", "not run"),
)
SCRIPTS = tuple(f"report.{part}.js" for part in ("core", "depth", "tables", "main"))


def render(report: Mapping, folder: str = "logs/parity") -> str:
    """The whole page as a string. `folder`: where its scripts that reproduce failures are, as a user would write it."""
    verdicts, answer = report["verdicts"], gist.answer(report)
    cells = gist.matrix(verdicts)
    used = {kind for row in cells.values() for kind in row}
    causes = [card(c, folder) for c in gist.what_is_wrong(report)]
    size = len(cells) if len(cells) <= ROWS else (len(cells) + 1) // 2
    rows = list(cells.items())
    return render_page(
        "report.html.j2",
        report={"progress": {"state": "finished", "done": 0, "cases": 0, "running": ""}} | report,
        answer=answer,
        compared=compared(report),
        columns=[kind for kind in KINDS if kind in used],
        kinds=KINDS,
        levels=LEVELS,
        matrix=[rows[k : k + size] for k in range(0, len(rows), size or 1)],
        causes=causes[:CARDS],
        more_causes=max(0, len(causes) - CARDS),
        sides=gist.sides_of(report),
        depth=line_of(v for v in verdicts if v["check"] in checks.ON_NODES),
        comparisons=", ".join(
            f"{count:,} {status.replace('_', ' ')}" for status, count in report["counts"].items()
        ),
        gradients=gradients(verdicts),
        choices=choices(verdicts),
        steps=line_of(v for v in verdicts if gist.kind_of(v["check"]) == "steps"),
        floors=floors(report.get("floors") or {}),
        mutants=mutants(report.get("mutants")),
        bred=bred(report.get("bred")),
        atlas=atlas(verdicts),
        environment=environment(report.get("environment", {})),
        timings=timings(report),
        others=others(verdicts),
        number=lambda x: "" if x is None else f"{x:.2g}",
        scripts=SCRIPTS,
        data=payload(report),
    )


def compared(report: Mapping) -> str:
    """Versions, machine, date, commit: one line."""
    found = report.get("environment", {})
    parts = [
        f"{NAMES.get(side, side)} {facts.get('version', '')}".strip()
        for side, facts in found.items()
        if side != "machine"
    ]
    machine = found.get("machine", {})
    parts += [str(machine["cpu"])] if machine.get("cpu") else []
    parts += [f"Python {machine['python']}"] if machine.get("python") else []
    parts.append(str(report.get("created", "")))
    if report.get("seconds") is not None:
        parts.append(f"{report['seconds']:.0f} s")
    parts += [f"commit {report['commit']}"] if report.get("commit") else []
    return " · ".join(p for p in parts if p)


def card(cause: Mapping, folder: str) -> dict:
    """What a card shows of a cause."""
    script, side = str(cause.get("script") or ""), cause.get("side") or ""
    names = {"reference_code": "reference", "candidate_code": "candidate"}
    tags = [cause.get("kind"), f"{NAMES.get(side, side)}'s side" if side else "side not told"]
    tags += [cause["confidence"]] if cause.get("confidence") else []
    follow = cause.get("consequences") or 0
    return {
        "case": cause["case"],
        "where": cause.get("where") or cause["case"],
        "tags": [t for t in tags if t],
        "summary": cause.get("summary", ""),
        "also": cause.get("also", []),
        "names": cause.get("names", []),
        "node": cause.get("node", ""),
        "check": cause.get("check", ""),
        "codes": [(label, cause[name]) for name, label in names.items() if cause.get(name)],
        "consequences": f"{follow:,} other failures follow from it" if follow else "",
        "command": f"python {path_of(script, folder)}" if script else "",
    }


def path_of(script: str, folder: str) -> str:
    """A script's name, or its path, from where a user stands."""
    return script if "/" in script else str(PurePosixPath(folder) / "reproduce" / script)


def line_of(verdicts: Iterable[Mapping]) -> dict:
    """A section's verdict in a line."""
    cell = Cell()
    for verdict in verdicts:
        cell.add(verdict)
    if not cell.counts:
        return {"status": NOT_RUN, "text": "nothing compared", "cell": cell}
    near = "" if cell.share is None else f", worst at {gist.nearness(cell.share)}"
    failed = f", {cell.counts[FAIL]:,} FAIL" if cell.counts[FAIL] else ""
    text = f"{sum(cell.counts.values()):,} compared{near}{failed}"
    return {"status": cell.status, "text": text, "cell": cell}


def gradients(verdicts: list[Mapping]) -> dict:
    found = [v for v in verdicts if "gradient" in v["check"]]
    rows: dict[str, Cell] = {}
    for verdict in found:
        rows.setdefault(verdict["case"], Cell()).add(verdict)
    return line_of(found) | {"rows": list(rows.items())}


def choices(verdicts: list[Mapping]) -> dict:
    made = [v for v in verdicts if v["check"] == checks.CHOICES_32]
    other = [v for v in made if v.get("message") or v["status"] != PASS]
    failed = sum(v["status"] == FAIL for v in made)
    text = (
        f"{len(made):,} kinds of float32 choices, {len(other)} made otherwise, {failed} unexplained"
    )
    rows = [{"measured": None, "limit": None, "message": ""} | v for v in other]
    status = FAIL if failed else PASS if made else NOT_RUN
    return {"status": status, "text": text if made else "none compared", "rows": rows}


def floors(about: Mapping) -> dict:
    if not about:
        return {"text": "none measured", "about": "The priors of gates.py hold."}
    machine, versions = about.get("machine", {}), about.get("versions", {})
    told_of = (
        f"Measured {about.get('measured', '')} on {machine.get('cpu', '')}, {machine.get('cores', '')} cores,"
        f" torch {versions.get('torch', '')}, over: {', '.join(about.get('variants', ()))}."
    )
    return {"text": f"measured {about.get('measured', '')}", "about": told_of}


def mutants(found: Mapping | None) -> dict:
    if not found:
        return {"status": NOT_RUN, "text": "not run", "rows": []}
    rows = found["mutants"]
    named, alarms = sum(m["as_named"] for m in rows), len(found.get("false_alarms", ()))
    text = (
        f"{named} of {len(rows)} caught by the named check at the named node, {alarms} false alarms in"
        f" {found.get('sound_runs', 0)} sound runs ({found.get('created', '')[:10]})"
    )
    used = list(dict.fromkeys(m["check"] for m in rows if m["caught"]))
    columns = sorted(used, key=lambda c: list(KINDS).index(gist.kind_of(c)))
    sound = named == len(rows) and not alarms
    return {"status": PASS if sound else FAIL, "text": text, "rows": rows, "checks": columns}


def atlas(verdicts: list[Mapping]) -> dict:
    """The semantics atlas: what was recorded, and what this run found of each entry."""
    record = read_record()
    now = {v["node"]: v for v in verdicts if v["case"].startswith("semantics on ")}
    rows = []
    for entry in ENTRIES:
        found = record.get("cpu", {}).get("entries", {}).get(entry.id, {})
        verdict = now.get(entry.id, {"status": "not run"})
        rows.append(
            {
                "id": entry.id,
                "title": entry.title,
                "cpu": told(record, "cpu", entry),
                "cuda": told(record, "cuda", entry),
                "status": verdict["status"],
                "message": verdict.get("message", ""),
                "torch": entry.torch,
                "jittor": entry.jittor_code,
                "gives_torch": brief(found["torch"]) if found else "",
                "gives_jittor": brief(found["jittor"]) if found else "",
                "safe": entry.safe,
                "effect": entry.effect,
            }
        )
    text = f"{len(rows)} entries" + ("" if now else ", as recorded; not run here")
    found = line_of(now.values())
    text += f", {len(now)} run, {found['cell'].counts[FAIL]} changed" if now else ""
    return {"status": found["status"] if now else "", "text": text, "rows": rows}


def environment(found: Mapping) -> dict:
    """Both sides' properties beside each other, and the machine's."""
    sides = [side for side in found if side != "machine"]
    names = dict.fromkeys(name for side in sides for name in found[side])
    rows = []
    for name in names:
        values = [as_line(found[side].get(name, "")) for side in sides]
        rows.append((name, values, len(set(values)) > 1 and name not in ("framework", "libraries")))
    differing = sum(differs for *_, differs in rows)
    return {
        "status": "",
        "text": f"{len(rows)} properties, {differing} differ" if rows else "not told",
        "sides": [NAMES.get(side, side) for side in sides],
        "rows": rows,
        "machine": [(name, as_line(v)) for name, v in found.get("machine", {}).items()],
    }


def as_line(value) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    if value is None or isinstance(value, bool):
        return {True: "yes", False: "no", None: "none"}[value]
    return str(value)


def timings(report: Mapping) -> dict:
    rows = sorted(report.get("timings", ()), key=lambda t: -t["seconds"])
    if not rows:
        return {"text": "not measured", "rows": []}
    comparing, kernels = (sum(t[name] for t in rows) for name in ("comparing", "kernels"))
    text = f"{sum(t['seconds'] for t in rows):.0f} s, of which {comparing:.0f} s comparing; {kernels} kernels compiled"
    return {"text": text, "rows": rows}


def others(verdicts: list[Mapping]) -> dict:
    rows = [{"message": ""} | v for v in verdicts if v["status"] in (NOT_RUN, INCONCLUSIVE)]
    left = sum(v["status"] == NOT_RUN for v in rows)
    text = f"{left} not run, {len(rows) - left} inconclusive"
    return {"status": NOT_RUN if rows else PASS, "text": text, "rows": rows}
