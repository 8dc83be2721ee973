"""Losses among causes: every number that a criterion gives by name is a cause of its own, but for the sum of others;
several that have one explanation (the same factor, the same loss of every layer) are one.

Before: consequences.py. causes.py asks.
"""

from __future__ import annotations

import re

from parity.engine.judge import kinds
from parity.engine.judge.verdicts import Verdict
from parity.engine.tell.consequences import BACKWARD, LOCAL
from parity.engine.values.nodes import ROOT

RESULT = "result"  # of a criterion: the first word of its group
NAMED = re.compile(re.escape(ROOT) + r"\[([A-Za-z_]\w*)\]$")
NUMBER = r"(-?\d[\d.]*(?:e[-+]?\d+)?)"
NUMBERS = re.compile(rf"{NUMBER}(?: \(\S+\))? for {NUMBER}")  # the candidate's for the reference's
TIMES = re.compile(r"([-\d/.]+) times")
LAYER = re.compile(r"[._]?\d+(?=$|[._])")
DIGITS = 1e-4  # of a sum that was told to six digits


def criteria(failed: list[Verdict]) -> set[str]:
    """Modules and functions that give wrong numbers by name, as criteria do."""
    return {
        v.owner
        for v in failed
        if v.check in LOCAL and v.check not in BACKWARD
        if NAMED.match(v.node) and NUMBERS.search(v.message)
    }


def result_of(verdict: Verdict, owners: set[str]) -> tuple | None:
    """The group of what is said of one result of these, None for others."""
    named = NAMED.match(verdict.node)
    if not named or verdict.check not in LOCAL or verdict.owner not in owners:
        return None
    return (RESULT, verdict.owner, named[1])


def followers(groups: dict[tuple, list[Verdict]], failed: list[Verdict]) -> list[Verdict]:
    """Takes from the groups what follows from results of criteria: sums of them, gradients of what they are made of.
    failed: whatever follows from something else, too."""
    named = [key for key in groups if key[0] == RESULT]
    found: list[Verdict] = []
    for key in [key for key in named if is_sum(groups[key][0], failed)]:
        found += groups.pop(key)
    for owner in dict.fromkeys(key[1] for key in named):
        rest = groups.get(("module", owner), [])
        if rest and all(v.check in BACKWARD for v in rest):
            found += groups.pop(("module", owner))
    return found


def is_sum(verdict: Verdict, failed: list[Verdict]) -> bool:
    """Whether a result is off by as much as those before it together."""
    before = []
    for other in failed:
        if other is verdict:
            break
        if NAMED.match(other.node) and (other.check, other.owner) == (verdict.check, verdict.owner):
            before.append(away(other))
    own = away(verdict)
    if own is None or not before or None in before:
        return False
    return abs(own - sum(before)) <= DIGITS * sum(map(abs, before))


def away(verdict: Verdict) -> float | None:
    """By how much a number differs, as far as its message tells."""
    found = NUMBERS.search(verdict.message)
    return float(found[1]) - float(found[2]) if found else None


def explanation(verdict: Verdict) -> tuple:
    """Equal for losses that are wrong for one reason, as far as can be told."""
    name = verdict.node.rpartition("/")[2]
    times = TIMES.search(verdict.message)
    if verdict.kind == kinds.CONSTANT and times:
        return (verdict.check, verdict.owner, times[1])
    if verdict.kind == kinds.SIGN:
        return (verdict.check, verdict.owner, kinds.SIGN)
    return (verdict.check, verdict.owner, verdict.kind, LAYER.sub("", name))
