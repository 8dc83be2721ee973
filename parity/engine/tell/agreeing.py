"""FAILs that something else shows to be none: gradients of one function where those of the whole agree; what rounding
chooses of equal values where all agrees that is computed from the same ones.

Before: consequences.py. known.py asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from parity.engine.judge import checks
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.tell.consequences import is_of_function

GRADIENTS = (
    *(checks.GRADIENTS_64, checks.NODE_GRADIENTS_64, checks.LOCAL_GRADIENTS_64),
    *(checks.GRADIENTS_32, checks.LOCAL_GRADIENTS_32),
)
MADE_GOOD = "what it is part of has the reference's gradients"
EQUALS = "of values that are equal but for rounding; given the same values nothing fails"
# the frameworks' own; what a port chooses itself may break ties wrongly, and nothing else show it
CHOSEN = re.compile(r"(?:relu|max_pool) in ")
OTHERS = re.compile(r"\d+ of \d+ elements differ$")
LOCAL = (checks.LOCAL_FORWARD_64, checks.LOCAL_GRADIENTS_64)


def known_as(verdict: Verdict, why: str) -> Verdict:
    message = "; ".join(filter(None, (why, verdict.message)))
    return verdict.but(status=Status.KNOWN, message=message)


def made_good(verdicts: list[Verdict]) -> dict[int, Verdict]:
    """KNOWN in the place of FAILs on gradients of single functions where all gradients of the whole agree."""
    found = [v for v in verdicts if v.check in GRADIENTS]
    whole = [v for v in found if not is_of_function(v)]
    if not whole or any(v.status is Status.FAIL for v in whole):
        return {}
    odd = (v for v in found if is_of_function(v) and v.status is Status.FAIL)
    return {id(v): known_as(v, MADE_GOOD) for v in odd}


def evened(verdicts: Iterable[Verdict]) -> dict[int, Verdict]:
    """KNOWN in the place of FAILs on what ReLUs and max-pools choose in the whole float64 run, as where padding has one
    value, and on gradients of nodes before them; where these are all that fails, and forced runs agree both ways."""
    verdicts = list(verdicts)
    failed = [v for v in verdicts if v.status is Status.FAIL]
    odd = [v for v in failed if is_choice(v)]
    rest = [v for v in failed if not is_choice(v)]
    agreed = {v.check for v in verdicts if v.status is Status.PASS}
    if not odd or not agreed.issuperset(LOCAL):
        return {}
    if any(v.check != checks.NODE_GRADIENTS_64 or v.measured is None for v in rest):
        return {}
    return {id(v): known_as(v, EQUALS) for v in failed}


def is_choice(verdict: Verdict) -> bool:
    chosen = verdict.check == checks.CHOICES_64 and CHOSEN.match(verdict.node)
    return bool(chosen and OTHERS.match(verdict.message))
