"""Mutants of what judges: the harness's own comparisons, floors, bounds, statistics, partners, oracle and causes, and
the regrets of choices. Whoever weakens one of these lets a wrong port pass; their unit tests must see it.
"""

from __future__ import annotations

import re
import time
from functools import cache

from parity.mutants import ROOT
from parity.mutants.breeding import Bred, bred, draw
from parity.suite.breeding.progress import CAUGHT, EQUIVALENT, SURVIVED, Outcome
from parity.suite.breeding.tested import asked_of
from parity.suite.breeding.unit_tests import CHECK, OTHERS, imported, is_apt, run_tests
from parity.suite.breeding.verdict import reason_for

SIDE = "harness"
COUNT = 60
# files of the engine that are not drawn from, by why
UNDRAWN = {
    "it shows, proposes or times what others judge": (
        *("ask/mapping", "sides/memory", "sides/ran", "tell/reproduce", "tell/shown"),
        *("values/kernels", "values/proposing", "values/stopwatch"),
    ),
    "names, and limits that tests/test_gates.py holds to those of docs/parity.md": (
        *("judge/checks", "judge/gates"),
    ),
    "it builds, starts, hands over: what breaks there ends the run, or weights come back otherwise": (
        *("sides/checkpoint", "sides/half", "sides/imports", "sides/pretrained", "sides/server"),
        *("sides/workers", "values/chain", "values/scratch", "values/transport"),
    ),
    "it runs in a side's own process, where none of these is planted; tests ask workers": (
        *("sides/forcing", "sides/model", "sides/own_step", "sides/plain", "sides/runner"),
        "sides/stepper",
    ),
}
WORKERS_TOO = re.compile(OTHERS)


def engine() -> list[str]:
    """All that is there of the engine but what is UNDRAWN: a new file is drawn from unless somebody says why not."""
    found = (p for p in (ROOT / "parity" / "engine").glob("*/*.py") if p.name != "__init__.py")
    undrawn = {f"parity/engine/{name}.py" for names in UNDRAWN.values() for name in names}
    return sorted({p.relative_to(ROOT).as_posix() for p in found} - undrawn)


FILES = (
    *engine(),
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
def tests_of(module: str) -> list[str]:
    """Test files that import the module, its namesake first, then those that import what imports it, then its own that
    ask workers: these have no mutant, but what they answer is judged here."""
    names = importers(module) | {module}
    files = [p for p in sorted((ROOT / "tests").glob("test_*.py")) if p.name != "test_breeding.py"]
    files.sort(key=lambda p: p.stem != f"test_{stem(module)}")
    direct = [p for p in files if module in imported(p) or p.stem == f"test_{stem(module)}"]
    found = [p for p in direct if is_apt(p, module)]
    found += [p for p in files if p not in found and is_apt(p, module) and names & imported(p)]
    found += [p for p in direct if p not in found and is_apt(p, module, WORKERS_TOO)]
    return [p.relative_to(ROOT).as_posix() for p in found]


def stem(module: str) -> str:
    return module.rpartition(".")[2]


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
    for tests in filter(None, asked_of(mutant, tests_of(mutant.module), FILES)):
        outcome.tried += tests
        test, why = run_tests(tests, mutant.name)
        if test:
            outcome.outcome, outcome.check = CAUGHT, CHECK
            outcome.node, outcome.reason = test, why
            break
    if not outcome.tried:
        outcome.reason = "no test runs this line"
    outcome.seconds = round(time.monotonic() - started, 1)
    return outcome
