"""Rates, and every survivor, as JSON and as a page of the documentation."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

from jinja2 import Environment

from neutral.files import replacing, write_json
from parity.mutants import ROOT
from parity.suite.breeding.campaign import CAUGHT, EQUIVALENT, SURVIVED, Outcome
from parity.suite.breeding.unit_tests import CHECK

HERE = Path(__file__).resolve().parent


def summary(outcomes: list[Outcome], seed: int, wanted: int) -> dict:
    """What is counted: of the modules and sides only what the suite caught, as unit tests name none."""
    caught = [o for o in outcomes if o.outcome == CAUGHT]
    suite = [o for o in caught if o.check != CHECK]
    spoken = [o for o in suite if o.guilty]
    counts = {
        "wanted": wanted,
        "tried": len(outcomes),
        "caught": len(caught),
        "by_suite": len(suite),
        "equivalent": sum(o.outcome == EQUIVALENT for o in outcomes),
        "survived": sum(o.outcome == SURVIVED for o in outcomes),
        "right": sum(o.right for o in suite),
        "right_first": sum(o.right_first for o in suite),
        "spoken": len(spoken),
        "guilty_right": sum(o.guilty == o.side for o in spoken),
        "seconds": round(sum(o.seconds for o in outcomes)),
    }
    text = "{tried} of {wanted} mutants tried: {caught} caught, {equivalent} equivalent, {survived} survived".format(
        **counts
    )
    created = time.strftime("%Y-%m-%d", time.gmtime())
    rows = [asdict(o) for o in outcomes]
    return {"created": created, "seed": seed, "counts": counts, "text": text, "outcomes": rows}


def write_table(found: dict, out: Path, docs: bool) -> None:
    write_json(out / "breeding.json", found)
    if not docs:
        return
    write_json(ROOT / "logs" / "reference" / "breeding.json", found)
    page = Environment(trim_blocks=True, lstrip_blocks=True, autoescape=False)
    text = page.from_string((HERE / "breeding.md.j2").read_text()).render(found=found)
    with replacing(ROOT / "docs" / "breeding.md") as temporary:
        temporary.write_text(text)
