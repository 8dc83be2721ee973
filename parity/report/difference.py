"""What two reports tell together, on a terminal and as a page: what turned red, got worse, disappeared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from rich.text import Text

from door.display import plain
from door.files import replacing
from door.terminal import Console
from parity.pages import render
from parity.report import changes, gist
from parity.report.changes import BAD, BETTER, GONE, GREEN, RED, WORSE, Change
from parity.report.gist import KINDS, Answer, kind_of
from parity.report.page import compared

LISTED = 12  # changes of a kind that a terminal shows
ROWS = 5000  # and that the page shows
COLOURS = {RED: "red", WORSE: "red", GONE: "yellow", GREEN: "green", BETTER: "green"}


def answer(found: list[Change]) -> Answer:
    """ "3 turned red, 2 got worse"; what is bad gives the colour."""
    counts = Counter(change.kind for change in found)
    told = [f"{counts[kind]:,} {kind}" for kind in changes.KINDS if counts[kind]]
    bad = counts[RED] + counts[WORSE]
    status = "FAIL" if bad else "INCONCLUSIVE" if counts[GONE] else "PASS"
    return Answer(status, ", ".join(told) or "Nothing changed by more than its noise")


def tell(old: Mapping, new: Mapping, found: list[Change], console: Console) -> None:
    """The answer, and the first changes of each kind."""
    whole = answer(found)
    colour = {"FAIL": "bold red", "INCONCLUSIVE": "bold yellow"}.get(whole.status, "bold green")
    console.print(Text(f"{whole.text}.", style=colour))
    for label, report in (("old", old), ("new", new)):
        told = gist.answer({"environment": {}} | dict(report))
        console.print(
            Text(plain(f"{label}: {told.text} ({report.get('created', '')})")), soft_wrap=True
        )
    for kind in changes.KINDS:
        of_kind = [change for change in found if change.kind == kind]
        if of_kind:
            console.print(Text(f"{kind}: {len(of_kind)}", style=COLOURS.get(kind, "")))
        for change in of_kind[:LISTED]:
            console.print(Text(plain(f"    {change}")), soft_wrap=True)
        if len(of_kind) > LISTED:
            console.print(f"    ... and {len(of_kind) - LISTED} more")


def write_page(path: Path, old: Mapping, new: Mapping, found: list[Change]) -> Path:
    """One page of both reports."""
    cells: dict[str, dict[str, Counter]] = {}
    for change in found:
        row = cells.setdefault(change.case, {})
        row.setdefault(kind_of(change.check), Counter())[change.kind] += 1
    used = {kind for row in cells.values() for kind in row}
    text = render(
        "difference.html.j2",
        answer=answer(found),
        reports=[
            (label, gist.answer({"environment": {}} | dict(r)), compared(r))
            for label, r in (("old", old), ("new", new))
        ],
        columns={kind: title for kind, title in KINDS.items() if kind in used},
        matrix=[
            (
                case,
                {
                    k: (level(c), ", ".join(f"{n} {w}" for w, n in c.items()))
                    for k, c in row.items()
                },
            )
            for case, row in cells.items()
        ],
        sections=[
            (kind, [c for c in found if c.kind == kind][:ROWS], sum(c.kind == kind for c in found))
            for kind in changes.KINDS
        ],
        bad=BAD,
        number=lambda v, name: "" if not v or v.get(name) is None else f"{v[name]:.1e}",
    )
    with replacing(path) as temporary:
        temporary.write_text(text)
    return path


def level(counts: Counter) -> str:
    """For a colour."""
    for kind, found in ((RED, "fail"), (WORSE, "5"), (GONE, "left"), (GREEN, "0"), (BETTER, "1")):
        if counts[kind]:
            return found
    return "exact"
