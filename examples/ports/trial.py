"""Runs an example's right version and its defects, in two worker processes that stay."""

from __future__ import annotations

import dataclasses
import importlib
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import parity
from examples.ports.defect import PORT, Defect, Example
from parity.case import Case, FunctionCase, Side
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.tell.causes import Cause, causes_of
from parity.engine.values.scratch import discard, scratch

# what can be run of a case, by the word that a defect uses
CHECKS = {
    "examine": "examine",
    **{
        word: f"check_{word}"
        for word in (
            *("function", "steps", "tube", "optimiser", "schedule", "data", "postprocess"),
            "initial",
        )
    },
}
RIGHT = "(right version)"


@dataclass(frozen=True)
class Outcome:
    """What came of one version of the port; `defect` is None for the right one."""

    example: str
    defect: Defect | None
    compared: int
    causes: tuple[Cause, ...]
    seconds: float
    reference: str  # the reference's label

    @property
    def name(self) -> str:
        return self.defect.name if self.defect else RIGHT

    @property
    def found(self) -> bool:
        return bool(self.causes)

    @property
    def as_expected(self) -> bool:
        """The right version is silent, and has been compared; a defect's first cause is the one it names."""
        if self.defect is None:
            return not self.causes and self.compared > 0
        return self.found and self.defect.names(self.causes[0], self.reference)

    def to_dict(self) -> dict:
        found = {"example": self.example, "defect": self.name, "compared": self.compared}
        found |= {"expected": self.defect.expected if self.defect else "silence"}
        found |= {"found": self.found, "as_expected": self.as_expected}
        return found | {
            "first": self.causes[0].to_dict() if self.causes else None,
            "causes": len(self.causes),
            "seconds": round(self.seconds, 1),
        }


class Trials:
    """Worker processes of an example: the candidate's path is a copy of the port, which every version is written to."""

    def __init__(self, example: Example):
        self.example = example
        self.folder = scratch("port")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.copy = self.folder / PORT
        self.cases = {name: self.redirected(case) for name, case in example.cases.items()}
        first = next(iter(self.cases.values()))
        self.workers = parity.Workers(first.reference, first.candidate)
        self.reference, self.candidate = self.workers.labels

    def __enter__(self) -> Trials:
        return self

    def __exit__(self, *_) -> None:
        self.workers.close()
        discard(self.folder)

    def redirected(self, case: Case | FunctionCase) -> Case | FunctionCase:
        """The case with the copy in place of the port; no bytecode, which a change within a second would outlive."""

        def moved(side: Side) -> Side:
            port = str(self.example.port)
            path = tuple(str(self.copy) if p == port else p for p in map(str, side.path))
            env = {**side.env, "PYTHONDONTWRITEBYTECODE": "1"}
            return dataclasses.replace(side, path=path, env=env)

        sides = {name: moved(getattr(case, name)) for name in ("reference", "candidate")}
        return dataclasses.replace(case, **sides)

    def plant(self, defect: Defect | None) -> None:
        """Writes the copy anew, and has the candidate's process forget what it had imported of it."""
        shutil.rmtree(self.copy, ignore_errors=True)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(self.example.port, self.copy, ignore=ignored)
        if defect is not None:
            (self.copy / defect.file).write_text(defect.patched(self.example.port))
        folders = [str(self.copy), str(self.example.folder / "pair.py")]
        self.workers.run(f"{__name__}:forget", folders, sides=(self.candidate,))

    def run(self, defect: Defect | None = None) -> Outcome:
        """The right version, of which everything is run that any defect needs, or a version with that defect."""
        started = time.monotonic()
        self.plant(defect)
        verdicts: list[Verdict] = []
        for case, check in wanted(self.example, defect):
            verdicts += checking(check)(self.cases[case], self.workers).verdicts
        return Outcome(
            self.example.name,
            defect,
            sum(v.status is not Status.NOT_RUN for v in verdicts),
            tuple(map(self.in_the_port, causes_of(verdicts))),
            time.monotonic() - started,
            self.reference,
        )

    def in_the_port(self, cause: Cause) -> Cause:
        """The cause, its place in the code told of the port and not of the copy."""
        place = cause.candidate_code.replace(f"{self.copy}/", f"{PORT}/")
        return dataclasses.replace(cause, candidate_code=place)


def wanted(example: Example, defect: Defect | None) -> list[tuple[str, str]]:
    """(case, check) of what is run for this version, each once."""
    versions = example.defects if defect is None else (defect,)
    return list(dict.fromkeys((d.case, check) for d in versions for check in d.checks))


def checking(check: str) -> Callable:
    if check not in CHECKS or not hasattr(parity, CHECKS[check]):
        raise parity.InputError(f"no check {check!r}: {', '.join(CHECKS)}")
    return getattr(parity, CHECKS[check])


def forget(server, places: list[str]) -> None:
    """In a worker: modules below these folders, or of these files, are imported anew when they are next needed."""
    server.forget()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", [])), "")
        if any(Path(file).is_relative_to(place) for place in places):
            del sys.modules[name]
    importlib.invalidate_caches()
