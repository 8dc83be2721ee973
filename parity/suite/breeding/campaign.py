"""One campaign: mutants drawn by seed, each tried on the checks that run its lines, the cheapest first."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from door.files import read_json, write_json
from parity.engine.judge.verdicts import first_divergence
from parity.engine.sides.workers import FRAMEWORKS, Worker
from parity.engine.tell.causes import causes_of
from parity.errors import InputError, WorkerDied, WorkerError
from parity.mutants import ROOT, operators
from parity.mutants.breeding import PLANTING, TOGETHER, Bred, bred, draw
from parity.mutants.covered import Coverage
from parity.mutants.proof import INPUTS
from parity.suite.breeding.checks import Check, Examined, Nursery
from parity.suite.breeding.progress import CAUGHT, PROOF, SURVIVED, Outcome
from parity.suite.breeding.right import is_right

WATCHED = ("torch_impl", "jittor_impl", "neutral")
NOTE, COMPARED = "parity.mutants.proof:begin", "parity.mutants.proof:compared"
BEGIN, SEEN = "parity.mutants.covered:begin", "parity.mutants.covered:seen"
# drawn from, of neutral; what else is there (files, charts, logs) is no part of what two sides compute
NEUTRAL = (
    *("anchors.py", "geometry.py", "parameters.py", "randomness.py", "finite.py"),
    *("data/batching.py", "data/coco.py", "data/annotations.py", "data/scenes.py"),
    *("data/transforms.py", "data/masks.py"),
    *("weights/initial.py", "weights/layout.py"),
)


def files(side: str) -> list[str]:
    """What is mutated on a side, below the project's folder."""
    own = [p.relative_to(ROOT).as_posix() for p in (ROOT / f"{side}_impl").rglob("*.py")]
    shared = [f"neutral/{name}" for name in NEUTRAL]
    return sorted(own) + shared


def drawn(side: str, count: int, seed: int) -> list[Bred]:
    return draw({file: bred(file, side) for file in files(side)}, count, seed)


class Campaign:
    """Knows which check runs which lines, and asks the cheapest first."""

    def __init__(self, nursery: Nursery, checks: Mapping[str, Check], folder: Path):
        self.nursery, self.checks, self.folder = nursery, checks, folder
        self.learned: dict[str, dict[str, dict]] = {}  # by check and side
        self.seconds: dict[str, float] = {}
        self.known: dict = {}  # both, and of which sources

    def learn(self, names: Iterable[str] | None = None) -> None:
        """Sound answers, lines and seconds of these checks, or of all; lines are kept until a source changes."""
        wanted = self.checks if names is None else names
        if all(name in self.learned for name in wanted):
            return
        path = self.folder / "coverage.json"
        if not self.learned:
            digest = sources_digest()
            known = read_json(path) if path.is_file() else {}
            if known.get("sources") != digest:
                known = {"sources": digest, "checks": {}, "seconds": {}}
            self.known, self.learned, self.seconds = known, known["checks"], known["seconds"]
        for name in (n for n in wanted if n not in self.learned):
            check = self.checks[name]
            self.learned[name] = {side: self.lines_of(check, side) for side in FRAMEWORKS}
            self.seconds[name] = round(self.nursery.seconds[name], 2)
            write_json(path, self.known)

    def lines_of(self, check: Check, side: str) -> dict:
        self.nursery.sound(check, side)
        if check.elsewhere:
            return Coverage(()).told({})
        with self.nursery.warm[side].copy(f"{BEGIN}={','.join(WATCHED)}") as worker:
            check.collect(worker, self.nursery.path(check, side, "learning"))
            found = worker.run(SEEN)
        self.nursery.path(check, side, "learning").unlink(missing_ok=True)
        return found

    def checks_of(self, mutants: Iterable[Bred]) -> list[Check]:
        """Those that run a line of any of them, the cheapest first."""
        self.learn()
        mutants = list(mutants)
        seeing = [n for n in self.checks if any(self.sees(n, m) for m in mutants)]
        return [self.checks[n] for n in sorted(seeing, key=self.rank)]

    def rank(self, check: str) -> tuple:
        """Cheap ones first, of those that say where; steps and the like say only that."""
        localises = check == "ops" or type(self.checks[check]) is Examined
        return not localises, self.seconds[check]

    def sees(self, check: str, mutant: Bred) -> bool:
        if mutant.operator == operators.cuda.__name__:
            return False  # on CPUs the emulation alone, tests/test_emulated_cuda.py
        if self.checks[check].elsewhere:
            return mutant.path.name in self.checks[check].elsewhere
        lines = self.learned[check][mutant.side]["lines"].get(mutant.file, ())
        return any(line in mutant.lines for line in lines)

    def attempt(self, *mutants: Bred) -> Outcome:
        """All of them planted at once, until a check turns red."""
        started, first = time.monotonic(), mutants[0]
        outcome = Outcome(
            TOGETHER.join(m.name for m in mutants),
            *(" ".join(dict.fromkeys(m.side for m in mutants)), first.file, first.function),
            *("; ".join(m.text for m in mutants), first.operator, SURVIVED),
        )
        for check in self.checks_of(mutants):
            outcome.tried.append(check.name)
            verdicts = self.ask(check, mutants)
            found = first_divergence(verdicts)
            if found is not None:
                self.explain(outcome, check, verdicts, mutants)
                break
        if not outcome.tried:
            outcome.reason = "no check runs this line"
        outcome.seconds = round(time.monotonic() - started, 1)
        return outcome

    def ask(self, check: Check, mutants: Iterable[Bred]) -> list:
        copies: dict[str, Worker] = {}
        for side in FRAMEWORKS:
            names = [m.name for m in mutants if m.side == side]
            if names:
                copies[side] = self.nursery.warm[side].copy(f"{PLANTING}={TOGETHER.join(names)}")
        try:
            return check.attempt(self.nursery, copies)
        except (WorkerDied, WorkerError, InputError) as error:
            raise RuntimeError(f"{check.name}: a sound side failed: {error}") from error
        finally:
            for worker in copies.values():
                worker.close()

    def proven(self, mutant: Bred) -> str:
        """Why a survivor is equivalent where that can be shown: its function gives the same on random inputs."""
        checks = self.checks_of([mutant])
        if not checks or not mutant.function:
            return ""
        target = f"{NOTE}={mutant.module}:{mutant.function}"
        try:
            with self.nursery.warm[mutant.side].copy(target) as worker:
                checks[0].collect(worker, self.nursery.path(checks[0], mutant.side, "proof"))
                found = worker.run(COMPARED, mutant.name, mutant.side)
        except (WorkerDied, WorkerError, InputError):
            return ""  # no plain function
        finally:
            self.nursery.path(checks[0], mutant.side, "proof").unlink(missing_ok=True)
        if found["inputs"] < INPUTS or found["different"]:
            return ""
        return f"{mutant.function} gives the same on {INPUTS} {PROOF}"

    def explain(self, outcome: Outcome, check: Check, verdicts: list, mutants: tuple) -> None:
        found = first_divergence(verdicts)
        causes = causes_of(verdicts)
        outcome.outcome, outcome.check, outcome.node = CAUGHT, found.check, found.node
        outcome.causes = self.shown(causes)
        hits = []
        for mutant in mutants:
            learned = self.learned[check.name][mutant.side]
            hits.append([is_right(mutant, c, learned) for c in causes])
        outcome.right = all(any(h) for h in hits)
        outcome.right_first = any(h[0] for h in hits if h)
        outcome.guilty = causes[0].side if causes else ""

    @staticmethod
    def shown(causes: list) -> list[dict]:
        parts = ("where", "side", "kind", "check", "node")
        return [{k: getattr(c, k) for k in parts} for c in causes][:8]


def sources_digest() -> str:
    """Of everything that checks run."""
    paths = sorted(p for part in WATCHED for p in (ROOT / part).rglob("*.py"))
    suite = ROOT / "parity" / "suite"
    paths += [suite / f"{name}.py" for name in ("cases", "requests", "subjects", "stepping")]
    paths += [suite / f"{name}.py" for name in ("regrets", "op_cases", "session_requests", "edges")]
    paths += [suite / "breeding" / f"{name}.py" for name in ("checks", "questions")]
    return hashlib.sha256(b"".join(p.read_bytes() for p in paths)).hexdigest()[:16]
