"""What became of one mutant, and a campaign's outcomes, kept as they come."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from door.files import read_json
from parity.mutants.breeding import Bred

CAUGHT, EQUIVALENT, SURVIVED = "caught", "equivalent", "SURVIVED"
PROOF = "random inputs, bit for bit"  # how the reason of a proven one ends
SILENT, ALARM = "silent", "ALARM"  # of sound variations
UNSOUND = "not sound"  # of what was taken for one


@dataclass
class Outcome:
    """What became of one mutant, or of several planted at once."""

    name: str
    side: str
    file: str
    function: str
    change: str
    operator: str
    outcome: str
    check: str = ""
    node: str = ""
    causes: list[dict] = field(default_factory=list)
    right_first: bool = False
    right: bool = False
    guilty: str = ""
    reason: str = ""
    tried: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def is_proven(self) -> bool:
        """Whether it is equivalent by proof, and not by somebody's word."""
        return self.outcome == EQUIVALENT and self.reason.endswith(PROOF)


class Progress:
    """Outcomes by side and name in a file of one line each, so that a campaign that is stopped goes on where it was.

    reference: a committed campaign of the same seed, to go on from where there is no such file yet.
    """

    def __init__(self, path: Path, resume: bool, reference: Path | None = None):
        self.path, self.found = path, {}
        part, _, seed = path.stem.rpartition("-")
        path.parent.mkdir(parents=True, exist_ok=True)
        if resume and path.is_file():
            self.keep(json.loads(line) for line in path.read_text().splitlines())
        elif path.is_file():
            path.unlink()
        if resume and not self.found and reference is not None and reference.is_file():
            known = read_json(reference)
            if str(known.get("seed")) == seed:
                self.keep(known.get("outcomes", {}).get(part, ()))
                for outcome in self.found.values():
                    self.write(outcome)

    def keep(self, rows: Iterable[dict]) -> None:
        for row in rows:
            outcome = Outcome(**row)
            self.found[outcome.side, outcome.name] = outcome

    def add(self, outcome: Outcome) -> None:
        self.found[outcome.side, outcome.name] = outcome
        self.write(outcome)

    def write(self, outcome: Outcome) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(asdict(outcome)) + "\n")

    def has(self, mutant: Bred) -> bool:
        return (mutant.side, mutant.name) in self.found
