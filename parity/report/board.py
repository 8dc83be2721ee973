"""A live table of a run on a terminal: a row for each group of cases, what runs now, and how far it all is.

live.py decides when it is shown.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import rich.box
from rich.console import Group
from rich.live import Live
from rich.text import Text

from door.display import plain
from door.terminal import Console, Table
from parity.engine.judge.verdicts import Verdict
from parity.report.gist import FAIL, Cell
from parity.report.screen import duration
from parity.report.terminal import OF_STATUS, block, colours_of


@dataclass
class Row:
    """Of one group: cases that are to run, and what those that did came to."""

    cases: int
    done: int = 0
    failed: int = 0
    seconds: float = 0.0
    cell: Cell = field(default_factory=Cell)


class Board:
    """Drawn on a copy of the terminal's descriptor: pytest's leads elsewhere while tests are captured."""

    in_place = True

    def __init__(self, file, groups: Mapping[str, int]):
        try:
            self.stream = os.fdopen(os.dup(file.fileno()), "w", encoding="utf-8")
            self.copied = True
        except (AttributeError, OSError, io.UnsupportedOperation):
            self.stream, self.copied = file, False
        self.rows = {name: Row(count) for name, count in groups.items()}
        self.now, self.stage, self.group = "", "", ""
        self.began = time.monotonic()
        self.console = Console(file=self.stream, force_terminal=True)
        self.live = Live(
            get_renderable=self.picture,
            console=self.console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self.live.start()

    def picture(self) -> Group:
        table = Table(box=rich.box.SIMPLE_HEAD, pad_edge=False)
        for name in ("", "cases", "compared", "FAIL", "worst", "time"):
            table.add_column(name, justify="left" if not name else "right", no_wrap=True)
        colours = colours_of(self.console)
        for name, row in self.rows.items():
            mark = block(row.cell, colours) if row.cell.counts else Text("    ")
            bad = row.failed or row.cell.counts[FAIL]
            style = "red" if bad else "bold" if name == self.group else "" if row.done else "dim"
            table.add_row(
                name,
                f"{row.done}/{row.cases}",
                f"{sum(row.cell.counts.values()):,}" if row.cell.counts else "",
                str(max(row.failed, row.cell.counts[FAIL]) or ""),
                mark,
                duration(row.seconds) if row.done else "",
                style=style,
            )
        done, cases = (sum(getattr(r, n) for r in self.rows.values()) for n in ("done", "cases"))
        compared = sum(sum(r.cell.counts.values()) for r in self.rows.values())
        whole = f"{done}/{cases} cases, {compared:,} compared, {duration(time.monotonic() - self.began)}"
        lines = [Text(line) for line in (whole, self.now, self.stage) if line]
        return Group(table, *lines)

    def add(self, group: str, status: str, verdicts: list[Verdict], seconds: float) -> None:
        """A case has ended."""
        row = self.rows.setdefault(group, Row(0))
        row.done += 1
        row.failed += status == FAIL
        row.seconds += seconds
        for verdict in verdicts:
            row.cell.add(
                {
                    "status": verdict.status.value,
                    "measured": verdict.measured,
                    "limit": verdict.limit,
                }
            )
        self.stage = ""
        self.live.refresh()

    def line(self, text: str, status: str = "") -> None:
        """A line that stays, above the table."""
        self.live.console.print(Text(plain(text), style=OF_STATUS.get(status, "")), soft_wrap=True)

    def change(self, text: str) -> None:
        self.now = plain(text.strip())
        self.live.refresh()

    def close(self) -> None:
        self.live.stop()
        if self.copied:
            self.stream.close()
