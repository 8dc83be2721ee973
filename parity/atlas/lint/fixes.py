"""Applies the edits of findings: each makes the code mean what PyTorch's code of the same text means."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterable
from pathlib import Path

from door.files import replacing
from parity.atlas.lint.finding import Edit, Finding


def apply(text: str, findings: Iterable[Finding]) -> tuple[str, list[Finding]]:
    """The text with the findings' edits, and those that could be made: of two that overlap, the first."""
    lines = [
        line.encode() for line in re.findall(r"[^\n]*\n|[^\n]+", text)
    ]  # as Python counts them
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    whole = b"".join(lines)

    def offset(place: tuple[int, int]) -> int:
        return starts[place[0] - 1] + place[1]

    made, taken = [], []
    for finding in findings:
        spans = [(offset(e.start), offset(e.end), e) for e in finding.edits]
        if spans and not any(overlap(a, b) for a in spans for b in taken):
            made.append(finding)
            taken += spans
    for start, end, edit in sorted(taken, key=lambda s: (s[0], s[1]), reverse=True):
        whole = whole[:start] + edit.text.encode() + whole[end:]
    return whole.decode(), made


def overlap(a: tuple[int, int, Edit], b: tuple[int, int, Edit]) -> bool:
    if (
        a[0] == a[1] or b[0] == b[1]
    ):  # an insertion meets what it lies within, or another at its place
        return a[0] == b[0] == a[1] == b[1] or b[0] < a[0] < b[1] or a[0] < b[0] < a[1]
    return a[0] < b[1] and b[0] < a[1]


def fix_file(path: Path, findings: list[Finding]) -> list[Finding]:
    """Writes the file anew, in its encoding and with its line ends; the findings that are mended.

    Nothing is written when the result would no longer be Python.
    """
    with path.open("rb") as file:
        encoding, _ = tokenize.detect_encoding(file.readline)
    text = path.read_bytes().decode(encoding)
    if re.search(r"\r(?!\n)", text):
        return []  # lines of an old Macintosh: places are counted otherwise
    fixed, made = apply(text, findings)
    try:
        ast.parse(fixed)
        written = fixed.encode(encoding)
    except (SyntaxError, ValueError):
        return []
    if made:
        with replacing(path) as temporary:
            temporary.write_bytes(written)
            temporary.chmod(path.stat().st_mode & 0o777)
    return made
