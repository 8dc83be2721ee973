"""The terminal: rich's console, tables and progress, in which names are text (display.py), never markup or commands."""

from __future__ import annotations

import sys

import rich.console
import rich.progress
import rich.table
from rich.text import Text

from door.display import plain


class Console(rich.console.Console):
    """What is printed as a string is one line as it is; to be styled it has to be a rich.text.Text."""

    def __init__(self, **options):
        super().__init__(markup=False, highlight=False, emoji=False, **options)

    def print(self, *objects, **options) -> None:
        super().print(*(plain(o) if isinstance(o, str) else o for o in objects), **options)

    def render_str(self, text: str, **options) -> Text:
        lines = [plain(line) for line in text.split("\n")]
        return super().render_str("\n".join(lines), **(options | {"markup": False, "emoji": False}))


class Table(rich.table.Table):
    """Rows of strings, each on one line."""

    def add_row(self, *cells, **options) -> None:
        super().add_row(*(Text(plain(c)) if isinstance(c, str) else c for c in cells), **options)


class TextColumn(rich.progress.TextColumn):
    """Of a progress bar: what a task says."""

    def render(self, task) -> Text:
        return Text(plain(self.text_format.format(task=task)).rstrip() or " ", justify="left")


def say(text, error: bool = False) -> None:
    """A line on stdout or stderr, however long, as it is."""
    print(plain(text), file=sys.stderr if error else sys.stdout, flush=error)
