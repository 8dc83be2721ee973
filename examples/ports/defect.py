"""What an example is: a pair file, two halves with packages of the same name, and defects that can be planted."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from parity.case import Case, FunctionCase
from parity.engine.tell.causes import Cause
from parity.errors import InputError
from parity.loading import load_file
from parity.mutants import replaced_once

HERE = Path(__file__).resolve().parent
PORT = "port"  # the candidate's folder of an example


@dataclass(frozen=True)
class Defect:
    """In `file` (below port/) `old` becomes `new`: what the first cause must then be.

    where: pattern (fnmatch) of the cause's place, or several; kind: of kinds.py, or several that a user would take as
    the same answer. node: pattern of the value that the cause rests on, where its place is a whole function. case:
    whose name in the pair file's CASES; checks: what is run of it, names of CHECKS (trial.py). fast: in the default
    tests.
    """

    name: str
    file: str
    old: str
    new: str
    where: str | tuple[str, ...]
    kind: str | tuple[str, ...]
    node: str = "*"
    case: str = "model"
    checks: tuple[str, ...] = ("examine",)
    fast: bool = False

    def patched(self, port: Path) -> str:
        """The port's file with the defect; InputError unless `old` occurs exactly once."""
        path = port / self.file
        if not path.is_file():
            raise InputError(f"defect {self.name}: {path} does not exist")
        try:
            return replaced_once(path, self.old, self.new, f"defect {self.name}")
        except ValueError as error:
            raise InputError(str(error)) from None

    def names(self, cause: Cause, reference: str) -> bool:
        """Whether that is the expected cause: its place, its kind, and not the reference's fault."""
        places = (self.where,) if isinstance(self.where, str) else self.where
        kinds = (self.kind,) if isinstance(self.kind, str) else self.kind
        place = any(fnmatch.fnmatchcase(cause.where, pattern) for pattern in places)
        rests = fnmatch.fnmatchcase(cause.node, self.node.replace("[", "[[]"))
        return place and rests and cause.kind in kinds and cause.side != reference

    @property
    def expected(self) -> str:
        places = (self.where,) if isinstance(self.where, str) else self.where
        kinds = (self.kind,) if isinstance(self.kind, str) else self.kind
        at = "" if self.node == "*" else f" at {self.node}"
        return f"{' or '.join(places)}: {' or '.join(kinds)}{at}"


@dataclass(frozen=True)
class Example:
    """An example's folder, what it compares, by name, and its defects."""

    name: str
    folder: Path
    cases: Mapping[str, Case | FunctionCase]
    defects: tuple[Defect, ...]

    @property
    def port(self) -> Path:
        return self.folder / PORT

    def defect(self, name: str) -> Defect:
        found = {d.name: d for d in self.defects}
        if name not in found:
            raise InputError(f"{self.name} has no defect {name!r}: {', '.join(found)}")
        return found[name]


def example_names(folder: Path = HERE) -> list[str]:
    return sorted(path.parent.name for path in folder.glob("*/pair.py"))


def load_example(name: str, folder: Path = HERE) -> Example:
    """The example of that name; InputError where there is none, or what it says of itself does not hold."""
    here = folder / name
    if name not in example_names(folder):
        raise InputError(f"no example {name!r}: {', '.join(example_names(folder))}")
    cases = getattr(load_file(here / "pair.py"), "CASES", None)
    defects = getattr(load_file(here / "defects.py"), "DEFECTS", None)
    if not isinstance(cases, Mapping) or not cases:
        raise InputError(f"{here / 'pair.py'}: give CASES, a mapping of cases by name")
    if not defects:
        raise InputError(f"{here / 'defects.py'}: give DEFECTS, a list")
    example = Example(name, here, cases, tuple(defects))
    if len({d.name for d in example.defects}) != len(example.defects):
        raise InputError(f"{here / 'defects.py'}: two defects of one name")
    for defect in example.defects:
        defect.patched(example.port)
        if defect.case not in cases:
            raise InputError(f"defect {defect.name}: pair.py's CASES has no {defect.case!r}")
    return example
