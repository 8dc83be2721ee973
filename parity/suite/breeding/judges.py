"""Mutants of what judges: the harness's own comparisons, floors, bounds, statistics, partners, oracle and causes, and
the regrets of choices. Whoever weakens one of these lets a wrong port pass; their unit tests must see it.
"""

from __future__ import annotations

import re
import time
from functools import cache
from pathlib import Path

from parity.mutants import ROOT
from parity.mutants.breeding import Bred, bred, draw
from parity.suite.breeding.progress import CAUGHT, EQUIVALENT, SURVIVED, Outcome
from parity.suite.breeding.unit_tests import CHECK, imported, is_apt, run_tests
from parity.suite.breeding.verdict import reason_for

SIDE = "harness"
COUNT = 60
ENGINE = (
    *("ask/initial", "judge/blame", "judge/crashes", "judge/detections", "judge/floors"),
    *("judge/gradients", "judge/judging", "judge/ledger", "judge/less_precise"),
    *("judge/norms", "judge/oracle", "judge/outcomes", "judge/precision"),
    *("judge/rounding", "judge/semantic", "judge/statistics", "judge/steps"),
    *("judge/tube", "judge/ulps", "judge/verdicts", "sides/choices", "sides/makers"),
    *("sides/whereabouts", "tell/causes", "tell/known"),
    *("values/aligned", "values/arrays", "values/places"),
)
FILES = (
    *(f"parity/engine/{name}.py" for name in ENGINE),
    *("parity/suite/regrets.py", "parity/suite/average_precision.py"),
    *("neutral/regret.py", "neutral/choices.py", "door/randomness.py"),
)


def drawn(count: int, seed: int) -> list[Bred]:
    return draw({file: bred(file, SIDE) for file in FILES}, count, seed)


@cache
def importers(module: str) -> frozenset[str]:
    """Modules of the harness, and of what both sides share, that import one."""
    found = set()
    for path in (p for part in ("parity", "neutral", "door") for p in (ROOT / part).rglob("*.py")):
        if module in imported(path):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found.add(".".join(parts).removesuffix(".__init__"))
    return frozenset(found)


@cache
def tests_of(module: str) -> tuple[list[str], ...]:
    """Test files that import the module themselves, those that import what imports it, and of both those that work
    with processes kept warm, which take longest."""
    own = [p for p in sorted((ROOT / "tests").glob("test_*.py")) if p.name != "test_breeding.py"]
    own = [p for p in own if is_apt(p, module)]
    direct = [p for p in own if module in imported(p)]
    behind = [p for p in own if p not in direct and importers(module) & imported(p)]
    slow = [p for p in direct + behind if is_slow(p)]
    quick = ([p for p in found if p not in slow] for found in (direct, behind))
    return tuple(
        [p.relative_to(ROOT).as_posix() for p in found] for found in (*quick, slow) if found
    )


@cache
def is_slow(path: Path) -> bool:
    return re.search(r"warm_workers|import warm|commands import", path.read_text()) is not None


def attempt(mutant: Bred) -> Outcome:
    """Caught by a unit test, equivalent for a reason, or SURVIVED."""
    started = time.monotonic()
    outcome = Outcome(
        *(mutant.name, SIDE, mutant.file, mutant.function, mutant.text, mutant.operator, SURVIVED)
    )
    reason = reason_for(mutant)
    if reason:
        outcome.outcome, outcome.reason = EQUIVALENT, reason
        return outcome
    for files in tests_of(mutant.module):
        if files and outcome.outcome == SURVIVED:
            outcome.tried += files
            test, why = run_tests(files, mutant.name)
            if test:
                outcome.outcome, outcome.check = CAUGHT, CHECK
                outcome.node, outcome.reason = test, why
    outcome.seconds = round(time.monotonic() - started, 1)
    return outcome
