"""Rates, and every survivor, as JSON and as a page of the documentation."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from jinja2 import Environment

from door.files import read_json, replacing, write_json
from parity.mutants import ROOT
from parity.suite.breeding import together, variations
from parity.suite.breeding.again import mended
from parity.suite.breeding.progress import (
    ALARM,
    CAUGHT,
    EQUIVALENT,
    SILENT,
    SURVIVED,
    Outcome,
    Progress,
)
from parity.suite.breeding.unit_tests import CHECK

HERE = Path(__file__).resolve().parent
LATER = ("judges", "together", "sound")  # parts that a campaign may not have come to
REFERENCE = ROOT / "logs" / "reference" / "breeding.json"


def counted(outcomes: list[Outcome]) -> dict:
    """What is counted: of the modules and sides only what the suite caught, as unit tests name none."""
    caught = [o for o in outcomes if o.outcome == CAUGHT]
    suite = [o for o in caught if o.check != CHECK]
    spoken = [o for o in suite if o.guilty]
    return {
        "tried": len(outcomes),
        "caught": len(caught),
        "by_suite": len(suite),
        "equivalent": sum(o.outcome == EQUIVALENT for o in outcomes),
        "proven": sum(o.is_proven for o in outcomes),
        "survived": sum(o.outcome == SURVIVED for o in outcomes),
        "right": sum(o.right for o in suite),
        "right_first": sum(o.right_first for o in suite),
        "spoken": len(spoken),
        "guilty_right": sum(o.guilty in o.side.split() for o in spoken),
        "silent": sum(o.outcome == SILENT for o in outcomes),
        "alarms": sum(o.outcome == ALARM for o in outcomes),
        "seconds": round(sum(o.seconds for o in outcomes)),
    }


def summary(found: Mapping[str, Progress], options) -> dict:
    """All parts: outcomes, counts, how many are unexplained, and a line that tells it."""
    outcomes = {part: list(progress.found.values()) for part, progress in found.items()}
    counts = {part: counted(rows) for part, rows in outcomes.items()}
    names = {"mutants": "mended"} | {part: f"{part} mended" for part in LATER}
    for part, name in names.items():
        later = mended(outcomes[part], outcomes["again"])
        counts[name] = counted(later)
        survived = [new for old, new in zip(outcomes[part], later) if old.outcome == SURVIVED]
        counts[f"survivors of {part}"] = counted(survived)
    counts["mutants"]["wanted"] = 2 * options.count
    counts["judges"]["wanted"] = options.judges
    counts["together"]["wanted"] = sum(together.COUNTS.values())
    counts["sound"]["wanted"] = variations.ALL
    left = ("mended", "judges mended", "together", "sound mended")
    unexplained = sum(counts[part]["survived"] + counts[part]["alarms"] for part in left)
    found = {
        "created": time.strftime("%Y-%m-%d", time.gmtime()),
        "seed": options.seed,
        "commit": options.commit,
        "before": before(options.seed),
        "counts": counts,
        "unexplained": unexplained,
        "outcomes": {part: [shortly(o) for o in rows] for part, rows in outcomes.items()},
    }
    found["latest"] = {part: latest(found, part) for part in LATER}
    return found | {"text": told(found)}


def told(found: Mapping) -> str:
    """All parts in a line, with the seed of those of another campaign."""
    texts = {
        "judges": "{caught} of {tried} of what judges caught",
        "together": "{right} of {tried} groups all named",
        "sound": "{alarms} alarms in {tried} sound variations",
    }
    first = "{tried} of {wanted} mutants tried: {caught} caught, {equivalent} equivalent, {survived} survived"
    lines = [first.format(**found["counts"]["mutants"])]
    for part, text in texts.items():
        last = found["latest"][part]
        seed = f" (seed {last['seed']})" if last["seed"] != found["seed"] else ""
        lines.append(text.format(**last["counts"]) + seed)
    return "; ".join(lines)


def before(seed: int) -> dict:
    """Seed and counts of the committed campaign of another seed, and what was before that; {} where there is none."""
    known = read_json(REFERENCE) if REFERENCE.is_file() else {}
    if known.get("seed") == seed:
        return known.get("before", {})
    return {key: known[key] for key in ("seed", "counts", "before") if key in known}


def latest(found: Mapping, part: str) -> dict:
    """Seed and counts of the last campaign that tried something of a part."""
    while not found["counts"][part]["tried"] and found.get("before"):
        found = found["before"]
    counts = found["counts"]
    since = {
        name: counts.get(key, {})
        for name, key in (("mended", f"{part} mended"), ("survivors", f"survivors of {part}"))
    }
    return {"seed": found["seed"], "counts": counts[part]} | since


def shortly(outcome: Outcome) -> dict:
    """What is kept of it: the check that caught it, and of causes those that are not plainly right."""
    shown = outcome.causes[: 1 if outcome.right_first else 3]
    tried = outcome.tried[-1:] if outcome.outcome == CAUGHT else outcome.tried
    return asdict(outcome) | {"causes": shown, "tried": tried}


def write_table(found: dict, out: Path, docs: bool) -> None:
    write_json(out / "breeding.json", found)
    if not docs:
        return
    write_json(REFERENCE, found)
    with replacing(ROOT / "docs" / "breeding.md") as temporary:
        temporary.write_text(page(found))


def page(found: Mapping) -> str:
    """As Markdown."""
    pages = Environment(trim_blocks=True, lstrip_blocks=True, autoescape=False)
    return pages.from_string((HERE / "breeding.md.j2").read_text()).render(found=found)
