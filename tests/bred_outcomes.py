"""Outcomes, mutants and causes that tests of bred mutants make up."""

from __future__ import annotations

from parity.engine.tell.causes import Cause
from parity.mutants import ROOT
from parity.mutants.breeding import Bred
from parity.suite.breeding.progress import SURVIVED, Outcome


def an_outcome(**changes) -> Outcome:
    base = {"name": "a.py:1:0:constant:0", "side": "torch", "file": "a.py", "function": "f"}
    base |= {"change": "`1` became `2`", "operator": "constant", "outcome": SURVIVED}
    return Outcome(**(base | changes))


def a_mutant(**changes) -> Bred:
    base = {"side": "jittor", "file": "jittor_impl/detr/model.py", "line": 5, "column": 0}
    base |= {"operator": "constant", "number": 0, "function": "MLP.execute", "first": 5, "last": 5}
    return Bred(**(base | changes))


def a_cause(where: str, node: str = "", check: str = "float64 local forward", summary="") -> Cause:
    return Cause("case", where, "", "kind", "sure", summary, check=check, node=node or where)


def line_of(file: str, text: str) -> int:
    lines = (ROOT / file).read_text().splitlines()
    return next(k for k, line in enumerate(lines, 1) if text in line)


def a_mutant_at(file: str, function: str, text: str) -> Bred:
    line = line_of(file, text)
    side = file.partition("_impl")[0] if "_impl" in file else "torch"
    changes = {"side": side, "file": file, "function": function, "line": line}
    return a_mutant(**changes, first=line, last=line)
