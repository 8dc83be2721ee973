"""What of the port's own code ran in all that was compared, and what nothing looked at.

Before: sides/ran.py. Asked by everything.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from parity.case import Case
from parity.engine.ask.called import file_of
from parity.engine.judge.checks import NOT_LOOKED_INTO
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.sides.workers import Workers

HERE = "parity.engine.sides.ran"
NAMES = 12  # told of each file
TRIVIAL = ("__repr__", "__str__", "extra_repr", "__len__")


def look_at_code(case: Case, workers: Workers) -> dict[str, list[dict]]:
    """Of both sides what sides/ran.py tells of their files."""
    passed = [file_of(half) for half in (case.reference, case.candidate)]
    return workers.run(f"{HERE}:told", passed, sides=case.labels)


def unreached(name: str, side: str, files: list[Mapping]) -> list[Verdict]:
    """A NOT_RUN with what never ran of a side's code, none where all of it did or there is none of its own."""
    text = never(files)
    where = name, NOT_LOOKED_INTO, f"{side}'s code"
    return [Verdict(*where, Status.NOT_RUN, message=f"{side}: {text}")] if text else []


def together(runs: Iterable[list[Mapping]]) -> list[dict]:
    """The files of several runs: a function ran where it did in any of them."""
    found: dict[str, dict] = {}
    for file in (file for files in runs for file in files):
        one = found.setdefault(file["path"], dict(file) | {"ran": [], "never": []})
        one["ran"] = list(dict.fromkeys([*one["ran"], *file["ran"]]))
        names = dict.fromkeys([*one["never"], *file["never"]])
        one["never"] = [name for name in names if name not in one["ran"]]
    return list(found.values())


def never(files: list[Mapping]) -> str:
    """ "3 of 5 functions ran; never: nets/rpn.py: normal_init; not imported: train.py"; "" where all of them did."""
    known = [f | {"never": [n for n in f["never"] if not is_trivial(n)]} for f in files]
    ran = sum(len(f["ran"]) for f in known)
    total = ran + sum(len(f["never"]) for f in known)
    parts = []
    for file in known:
        names = merged(file["never"], file["ran"])
        if names:
            more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
            parts.append(f"{short(file)}: {', '.join(names[:NAMES])}{more}")
    away = [short(f) for f in known if not f["ran"] and not f["never"] and not is_package(f)]
    if not ran or not (parts or away):
        return ""
    text = f"{ran} of {total} functions ran" + (f"; never: {'; '.join(parts)}" if parts else "")
    more = f" and {len(away) - NAMES} more" if len(away) > NAMES else ""
    return text + (f"; not imported: {', '.join(away[:NAMES])}{more}" if away else "")


def merged(names: list[str], ran: list[str]) -> list[str]:
    """A class of which nothing ran by its own name alone."""
    begun = {n.partition(".")[0] for n in ran}
    of = (n.partition(".")[0] if n.partition(".")[0] not in begun else n for n in names)
    return list(dict.fromkeys(of))


def is_trivial(name: str) -> bool:
    return name.rpartition(".")[2] in TRIVIAL


def is_package(file: Mapping) -> bool:
    return os.path.basename(file["path"]) == "__init__.py"


def short(file: Mapping) -> str:
    return os.path.relpath(file["path"], file["root"])
