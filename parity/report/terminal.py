"""One screen at the end of a run: the answer, what is wrong, the matrix in blocks of colour, where the page is.

Where there is no terminal, or somebody asked for less or more (-q, -v, CI), the same in plain lines.

Read gist.py first.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.style import Style
from rich.text import Text

from door.display import plain, shortened
from door.terminal import Console, Table
from parity.engine.judge.checks import NOT_LOOKED_INTO
from parity.engine.tell.causes import Cause, told
from parity.report import gist
from parity.report.gist import FAIL, KINDS, KNOWN, NOT_RUN, STATUSES, Cell

SHORT = {  # titles of columns, two to four letters
    **{"weights": "wgt", "steps": "step", "other": "oth"},
    **{
        f"{kind}{bits}": short
        for bits in ("64", "32")
        for kind, short in (
            ("forward", "fwd"),
            ("choices", "cho"),
            ("losses", "los"),
            ("gradients", "grd"),
            ("local", "loc"),
        )
    },
}
COLOURS = {  # of cells by level, as on the page
    **{"0": "#1f8a5b", "1": "#4aa574", "2": "#83bf8b", "3": "#bfd492", "4": "#eccf6d"},
    **{
        "5": "#efa13b",
        "exact": "#9fc7dd",
        "fail": "#c62828",
        "unsure": "#d9a520",
        "known": "#6a5fa8",
    },
    "left": "#808080",
}
FEW_COLOURS = {  # of terminals that have eight
    **dict.fromkeys("0123", "green"),
    **{
        "4": "yellow",
        "5": "yellow",
        "exact": "cyan",
        "fail": "red",
        "unsure": "magenta",
        "known": "blue",
    },
    "left": "black",
}
MARKS = {  # without colour: the nearer to the limit, the higher
    **{"0": "▁", "1": "▂", "2": "▃", "3": "▄", "4": "▅", "5": "▆"},
    **{"exact": "=", "fail": "✕", "unsure": "?", "known": "k", "left": "-"},
}
OF_STATUS = {"PASS": "green", "FAIL": "red", "INCONCLUSIVE": "yellow", "NOT_RUN": "yellow"} | {
    "KNOWN": "blue"
}
NAME = 34  # columns of a case's name
AROUND = 14  # lines of the screen beside the matrix and what is wrong
LISTED = 8  # modules that are wrong, lines of what did not run


def on_terminal(console: Console) -> bool:
    """Whether somebody looks: a terminal that can more than lines, and no CI."""
    return console.is_terminal and not console.is_dumb_terminal and not os.environ.get("CI")


def conclude(report: Mapping, folder: str, console: Console, whole: bool) -> None:
    """Tells what a run came to. `whole`: on one screen, else in plain lines.

    folder: of the report, "" where none is written.
    """
    found = gist.answer(report)
    console.print(
        Text(plain(f"{found.text}."), style=f"bold {OF_STATUS[found.status]}"), soft_wrap=True
    )
    print_causes(report, folder, console)
    for line in read_lines(report.get("read", ())):
        console.print(Text(plain(line)), soft_wrap=True)
    if whole:
        console.print()
        for line in blocks(report, console):
            console.print(line, no_wrap=True, overflow="ellipsis")
        console.print()
    else:
        for line in unlike(report):
            console.print(Text(line), soft_wrap=True)
    rows = [v for v in report["verdicts"] if v["status"] == NOT_RUN]
    # what was left out on purpose comes first
    left = {(v["check"] != NOT_LOOKED_INTO, v["case"], v.get("message", "")) for v in rows}
    for _, case, message in sorted(left)[:LISTED]:
        console.print(Text(plain(f"NOT RUN {case}: {message}")), soft_wrap=True)
    if len(left) > LISTED:
        console.print(f"... and {len(left) - LISTED} more that did not run")
    counts = ", ".join(f"{count} {status}" for status, count in report["counts"].items())
    where = f"; report: {plain(folder)}/report.html and report.json" if folder else ""
    console.print(Text(f"verdicts: {counts}{where}"), soft_wrap=True)


def print_causes(report: Mapping, folder: str, console: Console) -> None:
    causes = [
        Cause(**c | {n: tuple(c.get(n, ())) for n in ("also", "names")})
        for c in report.get("causes", ())
    ]
    for line in told(causes[:LISTED], report["counts"].get(KNOWN, 0)):
        style = "red" if line[:1].isdigit() and "cause" not in line else ""
        console.print(Text(plain(line), style=style), soft_wrap=True)
    if len(causes) > LISTED:
        console.print(f"... and {len(causes) - LISTED} more causes")
    for cause in causes[:LISTED]:
        if cause.script:
            path = f"{folder}/reproduce/{cause.script}" if folder else cause.script
            console.print(Text(plain(f"shown by: python {path}")), soft_wrap=True)


def read_lines(found: Sequence[Mapping]) -> Iterable[str]:
    """What is told of code that was read: no cause, as nothing was measured."""
    if found:
        yield f"read in the code that ran, not measured: {len(found)}"
    for one in found[:LISTED]:
        yield f"    {one['place']}: {one['message']} [{one['entry']}]"
    if len(found) > LISTED:
        yield f"    ... and {len(found) - LISTED} more: in report.json, or by parity lint"


def print_table(report: Mapping, console: Console) -> None:
    """Every case and check in a row of its own."""
    table = Table(title="every check", title_justify="left")
    for name in ("case", "check"):
        table.add_column(name)
    for name in ("PASS", "FAIL", "INCONCL.", "NOT RUN", "KNOWN", "worst", "limit"):
        table.add_column(name, justify="right")
    table.add_column("first divergence")
    rows: dict[tuple[str, str], Cell] = {}
    for verdict in report["verdicts"]:
        rows.setdefault((verdict["case"], verdict["check"]), Cell()).add(verdict)
    for (case, check), cell in rows.items():
        worst, first = cell.worst, cell.first
        numbers = [f"{worst[name]:.1e}" if worst else "" for name in ("measured", "limit")]
        why = f"{first['node']} {first.get('message', '')[:100]}" if first else ""
        unsure = cell.counts.keys() - {"PASS"}
        style = "red" if cell.counts[FAIL] else "yellow" if unsure else ""
        table.add_row(
            case, check, *(str(cell.counts[s]) for s in STATUSES), *numbers, why, style=style
        )
    console.print(table)


def unlike(report: Mapping) -> Iterable[str]:
    """A line for each case and kind in which anything does not pass."""
    for case, row in gist.matrix(report["verdicts"]).items():
        for kind, cell in row.items():
            if cell.counts.keys() - {"PASS"}:
                first = f", first {cell.first['node']}" if cell.first else ""
                status = next(s for s in STATUSES[1:] if cell.counts[s])
                yield plain(f"{status:<12} {case}, {KINDS[kind]}: {cell.told()}{first}")


def blocks(report: Mapping, console: Console) -> Iterable[Text]:
    """The matrix, in no more lines than the terminal has: cases that fail first, then those
    with the most kinds of checks, and the last ones in one row."""
    rows = gist.matrix(report["verdicts"])
    columns = [kind for kind in KINDS if any(kind in row for row in rows.values())]
    most = max(4, console.height - AROUND)
    if len(rows) > most:
        bad = {name for name, row in rows.items() if any(c.status == FAIL for c in row.values())}
        names = sorted(rows, key=lambda name: (name not in bad, -len(rows[name])))
        shown, rest = names[: most - 1], names[most - 1 :]
        merged: dict[str, Cell] = {}
        for kind in columns:
            cells = [rows[name][kind] for name in rest if kind in rows[name]]
            if cells:
                merged[kind] = together(cells)
        rows = {name: rows[name] for name in shown} | {f"{len(rest)} further cases": merged}
    yield Text(" " * NAME + "".join(f" {bits_of(kind):<4}" for kind in columns), style="dim")
    yield Text(" " * NAME + "".join(f" {SHORT[kind]:<4}" for kind in columns), style="dim")
    colours = colours_of(console)
    for name, row in rows.items():
        bad = any(cell.status == FAIL for cell in row.values())
        label = shortened(name, NAME - 1)
        line = Text(f"{label:<{NAME}}", style="bold red" if bad else "")
        for kind in columns:
            line.append(" ")
            line.append_text(block(row.get(kind), colours))
        yield line


def bits_of(kind: str) -> str:
    return kind[-2:] if kind[-2:] in ("64", "32") else ""


def colours_of(console: Console) -> Mapping[str, str] | None:
    """By level; None where there are none, or NO_COLOR is set."""
    if console.color_system is None or console.no_color:
        return None
    return FEW_COLOURS if console.color_system == "standard" else COLOURS


def block(cell: Cell | None, colours: Mapping[str, str] | None) -> Text:
    if cell is None:
        return Text("    ")
    if colours is None:
        return Text(f" {MARKS[cell.level]}  ")
    mark = {"fail": " ✕  ", "unsure": " ?  ", "known": " k  ", "left": " -  "}.get(
        cell.level, "    "
    )
    return Text(mark, style=Style(color="white", bgcolor=colours[cell.level], bold=True))


def together(cells: Iterable[Cell]) -> Cell:
    found = Cell()
    for cell in cells:
        found.counts.update(cell.counts)
        found.see(cell.worst, cell.share)
        found.first = found.first or cell.first
    return found


def shown(path: Path) -> str:
    """A path as a user here would write it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_absolute() and path.is_relative_to(here) else path)
