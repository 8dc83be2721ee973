"""The parts of a campaign: what each draws, and how it goes on until its time is over."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path

from parity.engine.sides.workers import FRAMEWORKS
from parity.mutants.breeding import Bred
from parity.mutants.sound import SOUND
from parity.suite.breeding import again, judges, together, variations
from parity.suite.breeding.campaign import Campaign, drawn
from parity.suite.breeding.checks import Nursery
from parity.suite.breeding.progress import Outcome, Progress
from parity.suite.breeding.questions import all_checks
from parity.suite.breeding.verdict import settle


def wanted(options) -> list[Bred]:
    """The mutants of both sides, one after the other."""
    pairs = zip(*(drawn(side, options.count, options.seed) for side in FRAMEWORKS))
    return [mutant for pair in pairs for mutant in pair]


class Ground:
    """Where mutants are tried: warm processes, from when a part first asks for them."""

    def __init__(self, folder: Path):
        self.folder, self.nursery = folder, None

    def __enter__(self) -> Ground:
        return self

    def __exit__(self, *_) -> None:
        if self.nursery is not None:
            self.nursery.close()

    @cached_property
    def campaign(self) -> Campaign:
        self.nursery = Nursery()
        return Campaign(self.nursery, all_checks(), self.folder)


def go_through(work: list[Callable[[], Outcome]], progress: Progress, minutes: float) -> bool:
    """Does what has no outcome yet, until the time is over; whether all is done."""
    end = time.monotonic() + minutes * 60 if minutes else float("inf")
    for number, make in enumerate(work, 1):
        if time.monotonic() > end:
            left = len(work) - number + 1
            print(f"stopped: {left} left; --resume goes on", file=sys.stderr)
            return False
        outcome = make()
        progress.add(outcome)
        print(f"{number}/{len(work)} {told(outcome)}", file=sys.stderr, flush=True)
    return True


def told(outcome: Outcome) -> str:
    where = f"{outcome.check} / {outcome.node}" if outcome.check else outcome.reason
    return f"{outcome.outcome:<11}{outcome.side:<7} {outcome.name}: {where} ({outcome.seconds} s)"


def left_of(drawn: list[Bred], progress: Progress) -> list[Bred]:
    """As many as were not tried yet; code, and with it the draw, may have changed since others were."""
    left = [m for m in drawn if not progress.has(m)]
    return left[: max(0, len(drawn) - len(progress.found))]


def try_mutants(options, found: dict[str, Progress], ground: Ground) -> None:
    progress = found["mutants"]
    left = left_of(wanted(options), progress)

    def settled(mutant: Bred) -> Outcome:
        campaign = ground.campaign
        return settle(campaign.attempt(mutant), mutant, campaign.proven)

    go_through([partial(settled, m) for m in left], progress, options.minutes)


def try_judges(options, found: dict[str, Progress], ground: Ground) -> None:
    progress = found["judges"]
    left = left_of(judges.drawn(options.judges, options.seed), progress)
    go_through([partial(judges.attempt, m) for m in left], progress, options.minutes)


def try_together(options, found: dict[str, Progress], ground: Ground) -> None:
    """Groups of the first part's mutants."""
    progress = found["together"]
    work = [
        partial(lambda check, mutants: together.attempt(ground.campaign, check, mutants), *group)
        for group in together.groups(found["mutants"].found.values(), options.seed)
        if together.key(group[1]) not in progress.found
    ]
    go_through(work, progress, options.minutes)


def try_sound(options, found: dict[str, Progress], ground: Ground) -> None:
    """Other inputs first: rewritings need to know which check runs which lines."""
    progress, started = found["sound"], time.monotonic()
    work = [
        partial(variations.examined, ground.campaign, check)
        for check in variations.other_inputs(options.seed)
        if ("", check.name) not in progress.found
    ]
    if not go_through(work, progress, options.minutes):
        return
    both = (variations.rewritings(ground.campaign, side, options.seed) for side in FRAMEWORKS)
    work = [
        partial(variations.attempt, ground.campaign, mutant)
        for pair in zip(*both)
        for mutant in pair
        if not progress.has(mutant)
    ]
    left = options.minutes - (time.monotonic() - started) / 60
    if not options.minutes or left > 0:
        go_through(work, progress, max(left, 0))


def try_again(options, found: dict[str, Progress], ground: Ground) -> None:
    """What is open of mutants of implementations and of what judges, of groups and of what is sound, on the code as it
    is now."""
    progress, mutants = found["again"], found["mutants"].found
    every = ("judges", "mutants", "together", "sound")
    rows = [o for part in every for o in found[part].found.values()]
    rows = [o for o in rows if again.is_open(o) and (o.side, o.name) not in progress.found]

    def settled(mutant: Bred, name: str) -> Outcome:
        if mutant.side == judges.SIDE:
            return again.under(judges.attempt(mutant), name)
        campaign = ground.campaign
        if mutant.operator in SOUND:
            return again.under(variations.attempt(campaign, mutant), name)
        return again.under(settle(campaign.attempt(mutant), mutant, campaign.proven), name)

    def in_a_group(check: str, group: list[Bred], name: str) -> Outcome:
        return again.under(together.attempt(ground.campaign, check, group), name)

    def with_inputs(name: str) -> Outcome:
        return variations.examined(ground.campaign, variations.named(name, options.seed))

    work = []
    for outcome in rows:
        if outcome.operator == variations.INPUTS:
            work.append(partial(with_inputs, outcome.name))
        elif outcome.operator == again.TOGETHER:
            group = together.members(outcome, mutants)
            work += [partial(in_a_group, outcome.tried[-1], group, outcome.name)] if group else []
        elif (mutant := again.present(outcome)) is not None:
            work.append(partial(settled, mutant, outcome.name))
    go_through(work, progress, options.minutes)


PARTS = {
    "mutants": try_mutants,
    "again": try_again,
    "judges": try_judges,
    "together": try_together,
    "sound": try_sound,
}
