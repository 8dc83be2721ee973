"""What the checks let pass: asked of the unit tests, then of what was judged by hand."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

from parity.mutants.breeding import Bred, parsed
from parity.suite.breeding.progress import CAUGHT, EQUIVALENT, SURVIVED, Outcome
from parity.suite.breeding.unit_tests import CHECK, ask_tests

EITHER = "which of two numbers is named first changes nothing"
KINDS = "isinstance takes its types in any order"
LISTED = "an entry of __all__, by which nothing is imported; test_mirror.py holds both sides' alike"
GUARD = "a guard against callers that hand over lists of two lengths: none does"
EMPTY = "the constructor of Jittor's Module is empty"
SYMMETRIC = {"max", "min", "maximum", "minimum", "logical_and", "logical_or", "gcd"}
BY_HAND = Path(__file__).with_name("equivalent.json")


@cache
def by_hand() -> list[dict]:
    """[{"file", "function", "old", "new", "reason"}]: changes that no output can show, judged by a person; of several
    alike in one function "at" is the text around the one."""
    return json.loads(BY_HAND.read_text())


def reason_for(mutant: Bred) -> str:
    """Why a mutant is equivalent, "" where nobody says so; `{side}_impl` stands for both sides'."""
    if is_guard(mutant):
        return GUARD
    if is_symmetric(mutant):
        return EITHER
    if is_of_types(mutant):
        return KINDS
    if is_empty(mutant):
        return EMPTY
    if mutant.file.endswith("/__init__.py") and not mutant.function and mutant.old[0] in "'\"":
        return LISTED
    files = (mutant.file, mutant.file.replace(f"{mutant.side}_impl", "{side}_impl"))
    key = (mutant.function, mutant.old, mutant.new)
    rows = (r for r in by_hand() if (r["function"], r["old"], r["new"]) == key)
    rows = (r for r in rows if r["file"] in files and is_at(mutant, r.get("at", "")))
    return next((r["reason"] for r in rows), "")


def is_at(mutant: Bred, text: str) -> bool:
    """Whether a mutant is inside of this text of its line; of no text it is."""
    if not text:
        return True
    begin = mutant.path.read_text().splitlines()[mutant.line - 1].find(text)
    return 0 <= begin <= mutant.column < begin + len(text)


def is_guard(mutant: Bred) -> bool:
    """Whether it is `strict` of a zip that is lost."""
    line = mutant.path.read_text().splitlines()[mutant.line - 1]
    off = line[: mutant.column].endswith("strict=")
    lost = mutant.old == f"{mutant.new.removesuffix(')')}, strict=True)"
    return (mutant.old.startswith("zip(") and lost) or (off and mutant.old == "True")


def is_empty(mutant: Bred) -> bool:
    """Whether it is the call of the constructor of Jittor's Module that is lost."""
    owner, _, name = mutant.function.rpartition(".")
    lost = mutant.old == "super().__init__()" and mutant.new in ("pass", "super()")
    if mutant.side != "jittor" or name != "__init__" or not lost:
        return False
    kinds = (x for x in ast.walk(parsed(mutant.path)) if isinstance(x, ast.ClassDef))
    return any([ast.unparse(b) for b in x.bases] == ["nn.Module"] for x in kinds if x.name == owner)


def is_symmetric(mutant: Bred) -> bool:
    """Whether two arguments are exchanged of which it does not matter."""
    if mutant.operator != "arguments":
        return False
    try:
        call = ast.parse(mutant.old, mode="eval").body
    except SyntaxError:  # shortened
        return False
    name = getattr(call, "func", None)
    name = getattr(name, "attr", getattr(name, "id", ""))
    return name in SYMMETRIC and len(call.args) == 2 and not call.keywords


def is_of_types(mutant: Bred) -> bool:
    """Whether two of the types are exchanged that something is asked to be an instance of."""
    calls = (
        x for x in ast.walk(parsed(mutant.path)) if isinstance(x, ast.Call) and len(x.args) == 2
    )
    asked = [x.args[1] for x in calls if getattr(x.func, "id", "") == "isinstance"]
    places = [(x.lineno, x.col_offset) for x in asked if isinstance(x, ast.Tuple)]
    return mutant.operator == "arguments" and (mutant.line, mutant.column) in places


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
