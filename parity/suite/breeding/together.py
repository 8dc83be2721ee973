"""Several mutants at once: whether all are named, at once or one after the other as they are mended."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping

from parity.engine.tell.causes import causes_of
from parity.mutants.breeding import TOGETHER, Bred
from parity.suite.breeding import again
from parity.suite.breeding.campaign import Campaign
from parity.suite.breeding.progress import CAUGHT, SURVIVED, Outcome
from parity.suite.breeding.right import is_right
from parity.suite.breeding.unit_tests import CHECK

COUNTS = {2: 50, 3: 20}  # groups by size
AT_ONCE, IN_TURN = "all at once", "in turn, as they are mended"


def groups(outcomes: Iterable[Outcome], seed: int) -> list[tuple[str, list[Bred]]]:
    """(check, mutants): of those that the same check caught and named alone, in functions apart, every second group of
    both sides."""
    by_check: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.outcome == CAUGHT and outcome.check != CHECK and outcome.right:
            by_check.setdefault(outcome.tried[-1], []).append(outcome)
    rng, found = random.Random(seed), []
    for size, count in COUNTS.items():
        drawn: set[frozenset] = set()
        for attempt in range(20 * count):
            if len(drawn) == count:
                break
            checks = sorted(by_check)
            check = rng.choices(checks, [len(by_check[c]) for c in checks])[0] if checks else ""
            pool = by_check.get(check, [])
            chosen = rng.sample(pool, min(size, len(pool)))
            # a twin with the same change is no difference
            apart = {(o.file.removeprefix(f"{o.side}_impl/"), o.function) for o in chosen}
            sides = {o.side for o in chosen}
            key = frozenset((o.side, o.name) for o in chosen)
            if len(apart) < size or key in drawn or not (attempt % 2 or len(sides) == 2):
                continue
            mutants = [again.present(o) for o in chosen]
            if all(mutants):  # code may have changed
                drawn.add(key)
                found.append((check, mutants))
    return found


def key(mutants: list[Bred]) -> tuple[str, str]:
    """Under which an outcome is kept: sides, names."""
    return " ".join(m.side for m in mutants), TOGETHER.join(m.name for m in mutants)


def members(outcome: Outcome, found: Mapping[tuple[str, str], Outcome]) -> list[Bred] | None:
    """The mutants of a group's outcome, of the code as it is now; None where one is gone."""
    names = zip(outcome.side.split(), outcome.name.split(TOGETHER), strict=True)
    mutants = [again.present(found[key]) for key in names]
    return mutants if all(mutants) else None


def attempt(campaign: Campaign, check: str, mutants: list[Bred]) -> Outcome:
    """All planted; those that are named are mended, until none is left or none is named."""
    started, left, rounds = time.monotonic(), list(mutants), 0
    first = mutants[0]
    campaign.learn([check])
    outcome = Outcome(
        *reversed(key(mutants)),
        *(first.file, first.function, "; ".join(m.text for m in mutants), again.TOGETHER, SURVIVED),
        tried=[check],
    )
    while left:
        rounds += 1
        # alone each is named, or it would not have been drawn
        found = left if rounds > 1 and len(left) == 1 else named_of(campaign, check, left, outcome)
        if not found:
            break
        left = [m for m in left if m not in found]
    if outcome.causes:
        outcome.outcome = CAUGHT
    outcome.right, outcome.right_first = not left, not left and rounds == 1
    outcome.reason = f"not named: {', '.join(m.name for m in left)}" if left else ""
    outcome.reason = outcome.reason or (AT_ONCE if rounds == 1 else IN_TURN)
    outcome.seconds = round(time.monotonic() - started, 1)
    return outcome


def named_of(campaign: Campaign, check: str, mutants: list[Bred], outcome: Outcome) -> list[Bred]:
    """Those of the mutants that a cause names when all are planted."""
    causes = causes_of(campaign.ask(campaign.checks[check], mutants))
    if causes and not outcome.check:
        outcome.check, outcome.node = causes[0].check, causes[0].node
        outcome.causes = campaign.shown(causes)
        outcome.guilty = causes[0].side
    learned = campaign.learned[check]
    return [m for m in mutants if any(is_right(m, c, learned[m.side]) for c in causes)]
