"""What the linter reads in the port's files that ran: told beside the causes of a run, and never counted with them.

parity/engine/ask/coverage.py says which files ran; parity/atlas/lint reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from parity.atlas.lint import WARNING, Finding, lint_path
from parity.atlas.lint.pairwise import compare_parts
from parity.atlas.lint.parts import parts_in
from parity.engine.values.places import shown
from parity.errors import InputError

OF_ALL = "pins"  # of what is installed, which is in no file that runs
LARGE = 400  # files of a program, more of which are not read as one


def read(code: Mapping[str, list[Mapping]], sides: tuple[str, str]) -> list[dict]:
    """What `parity lint`, with and without --pair, says of the candidate's files that ran: {"place": FILE:LINE,
    "entry", "message"} in order of place, one of a line. `code`: of a Result."""
    reference, port = (ran(code.get(side, ())) for side in sides)
    found: dict[tuple[Path, int], Finding] = {}
    for finding in [*of_program(code.get(sides[1], ()), port), *of_both(reference, port)]:
        found.setdefault((finding.path, finding.line), finding)
    return [
        {"place": shown(f"{f.path}:{f.line}"), "entry": f.entry, "message": f.message}
        for f in sorted(found.values())
    ]


def ran(files: Iterable[Mapping]) -> list[Path]:
    return [Path(file["path"]) for file in files if file["ran"]]


def of_program(files: Iterable[Mapping], port: list[Path]) -> list[Finding]:
    """Read together with what lies beside them, as a program is, unless that is very much."""
    found: list[Finding] = []
    roots = dict.fromkeys(file["root"] for file in files)
    for root in roots if len(list(files)) <= LARGE else ():
        with suppress(InputError, OSError):
            found += lint_path(Path(root)).findings
    return [f for f in found if f.path in port and f.level == WARNING and f.entry != OF_ALL]


def of_both(reference: list[Path], port: list[Path]) -> list[Finding]:
    sides = [list(parts_in(files, [])) for files in (reference, port)]
    if not all(sides):
        return []
    return [f for f in compare_parts(*sides)[0] if f.path in port and f.level == WARNING]
