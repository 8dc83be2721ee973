"""What the linter says: where, which entry of the atlas, what to write instead, and the edits that write it."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path

WARNING, DOUBTED, HINT, UNREADABLE = "warning", "doubted", "hint", "error"
UNREAD = "unreadable"  # the entry of a file that could not be read


@dataclass(frozen=True, order=True)
class Edit:
    """Replaces what lies between two places of a file by `text`; lines from 1, columns in bytes from 0."""

    start: tuple[int, int]
    end: tuple[int, int]
    text: str


@dataclass(frozen=True, order=True)
class Finding:
    """line, column: from 1. A warning shows in the code itself, a hint depends on what the code cannot show; what is
    doubted shows in the code, and was seldom a defect of ports judged by hand."""

    path: Path
    line: int
    column: int
    entry: str
    message: str
    level: str = WARNING
    last_line: int = 0
    last_column: int = 0
    edits: tuple[Edit, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        level = "" if self.level == WARNING else f"{self.level}: "
        mark = " (--fix)" if self.edits else ""
        return f"{self.path}:{self.line}:{self.column}: {level}{self.message} [{self.entry}]{mark}"


def before(node: ast.AST, text: str) -> Edit:
    place = (node.lineno, node.col_offset)
    return Edit(place, place, text)


def after(node: ast.AST, text: str) -> Edit:
    place = (node.end_lineno, node.end_col_offset)
    return Edit(place, place, text)


def instead(node: ast.AST, text: str) -> Edit:
    return Edit((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset), text)


def argument(call: ast.Call, text: str) -> Edit:
    """One more argument at the end of a call."""
    given = [*call.args, *(k.value for k in call.keywords)]
    if given:
        last = max(given, key=lambda n: (n.end_lineno, n.end_col_offset))
        generator = isinstance(last, ast.GeneratorExp) and len(given) == 1
        return Edit(*2 * ((last.end_lineno, last.end_col_offset - generator),), f", {text}")
    place = (call.end_lineno, call.end_col_offset - 1)
    return Edit(place, place, text)


def renamed(keyword: ast.keyword, name: str) -> Edit:
    """The keyword under another name."""
    start = (keyword.lineno, keyword.col_offset)
    return Edit(start, (keyword.lineno, keyword.col_offset + len(keyword.arg.encode())), name)
