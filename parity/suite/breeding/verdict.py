"""What the checks let pass: asked of the unit tests, then of what was judged by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

from parity.mutants.breeding import Bred
from parity.suite.breeding.progress import CAUGHT, EQUIVALENT, SURVIVED, Outcome
from parity.suite.breeding.unit_tests import CHECK, ask_tests

GUARD = "a guard against callers that hand over lists of two lengths: none does"
BY_HAND = Path(__file__).with_name("equivalent.json")


@cache
def by_hand() -> list[dict]:
    """[{"file", "function", "old", "new", "reason"}]: changes that no output can show, judged by a person."""
    return json.loads(BY_HAND.read_text())


def reason_for(mutant: Bred) -> str:
    """Why a mutant is equivalent, "" where nobody says so; `{side}_impl` stands for both sides'."""
    if is_guard(mutant):
        return GUARD
    file = mutant.file.replace(f"{mutant.side}_impl", "{side}_impl")
    key = (file, mutant.function, mutant.old, mutant.new)
    rows = (r for r in by_hand() if (r["file"], r["function"], r["old"], r["new"]) == key)
    return next((r["reason"] for r in rows), "")


def is_guard(mutant: Bred) -> bool:
    """Whether it is `strict` of a zip that is lost."""
    line = mutant.path.read_text().splitlines()[mutant.line - 1]
    off = line[: mutant.column].endswith("strict=")
    lost = mutant.old == f"{mutant.new.removesuffix(')')}, strict=True)"
    return (mutant.old.startswith("zip(") and lost) or (off and mutant.old == "True")


def settle(outcome: Outcome, mutant: Bred, proven: Callable[[Bred], str]) -> Outcome:
    """The outcome of a survivor: caught by a unit test, equivalent for a reason or by proof, or SURVIVED."""
    if outcome.outcome != SURVIVED:
        return outcome
    reason = reason_for(mutant)
    if reason:
        outcome.outcome, outcome.reason = EQUIVALENT, reason
        return outcome
    test, why = ask_tests([mutant])
    if test:
        outcome.outcome, outcome.check, outcome.node = CAUGHT, CHECK, test
        outcome.reason = why
        return outcome
    proof = proven(mutant)
    if proof:
        outcome.outcome, outcome.reason = EQUIVALENT, proof
    return outcome
