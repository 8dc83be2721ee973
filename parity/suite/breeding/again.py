"""What a campaign did not settle, once more: on the code as it is now, with what was mended since."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache

from parity.mutants import ROOT
from parity.mutants.breeding import EVERY, Bred, bred
from parity.suite.breeding.progress import ALARM, CAUGHT, SURVIVED, Outcome
from parity.suite.breeding.unit_tests import CHECK

TOGETHER = "together"  # operator of several at once


def is_open(outcome: Outcome) -> bool:
    """Whether it survived, or the suite named another place first; of several at once, whether one was not named; of
    what is sound, whether it alarmed."""
    if outcome.operator == TOGETHER:
        return not outcome.right
    named = outcome.check == CHECK or outcome.right_first
    return outcome.outcome in (SURVIVED, ALARM) or (outcome.outcome == CAUGHT and not named)


@cache
def all_of(file: str, side: str) -> list[Bred]:
    return bred(file, side, operators=EVERY) if (ROOT / file).is_file() else []


def present(outcome: Outcome) -> Bred | None:
    """The same change of the code as it is now, the nearest of several; None where there is none any more."""
    line = int(outcome.name.split(":")[1])
    same = [
        m
        for m in all_of(outcome.file, outcome.side)
        if (m.function, m.text, m.operator) == (outcome.function, outcome.change, outcome.operator)
    ]
    return min(same, key=lambda m: abs(m.line - line), default=None)


def under(outcome: Outcome, name: str) -> Outcome:
    """An outcome under the name that the campaign has."""
    return replace(outcome, name=name)


def mended(outcomes: Iterable[Outcome], again: Iterable[Outcome]) -> list[Outcome]:
    """The campaign's outcomes, those that were asked again in their place."""
    later = {(o.side, o.name): o for o in again}
    return [later.get((o.side, o.name), o) for o in outcomes]
