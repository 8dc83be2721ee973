"""What of the port's own code ran in all that was compared, and what nothing looked at.

Before: sides/ran.py. Asked by everything.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from parity.case import Case
from parity.engine.ask.called import file_of
from parity.engine.judge.checks import NOT_LOOKED_INTO
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.sides.workers import Workers

HERE = "parity.engine.sides.ran"
NAMES = 12  # told of each file
TRIVIAL = ("__repr__", "__str__", "extra_repr", "__len__")


def look_at_code(case: Case, workers: Workers) -> tuple[list[Verdict], dict[str, list[dict]]]:
    """A NOT_RUN with what never ran of the candidate's, none where all of it did or there is no code of its own; and of
    both sides what sides/ran.py tells of their files."""
    passed = [file_of(half) for half in (case.reference, case.candidate)]
    found = workers.run(f"{HERE}:told", passed, sides=case.labels)
    side = case.labels[1]
    text = never(found[side])
    if not text:
        return [], found
    node = f"{side}'s code"
    verdict = Verdict(case.name, NOT_LOOKED_INTO, node, Status.NOT_RUN, message=f"{side}: {text}")
    return [verdict], found


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
