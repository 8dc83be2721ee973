"""The parts of a campaign: what each draws, and how it goes on until its time is over."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from parity.engine.workers import FRAMEWORKS
from parity.mutants.breeding import TOGETHER, Bred
from parity.suite.breeding import judges, together, variations
from parity.suite.breeding.campaign import Campaign, drawn
from parity.suite.breeding.checks import Nursery, all_checks
from parity.suite.breeding.progress import Outcome, Progress
from parity.suite.breeding.verdict import settle

Work = list[tuple[str, Callable[[], Outcome]]]  # the key of an outcome, and what makes it


def wanted(options) -> list[Bred]:
    """The mutants of both sides, one after the other."""
    pairs = zip(*(drawn(side, options.count, options.seed) for side in FRAMEWORKS))
    return [mutant for pair in pairs for mutant in pair]


@contextmanager
def campaigning(folder: Path) -> Iterator[Campaign]:
    with Nursery() as nursery:
        campaign = Campaign(nursery, all_checks(), folder)
        campaign.learn()
        yield campaign


def go_through(work: Work, progress: Progress, minutes: float) -> None:
    """Does what has no outcome yet, until the time is over."""
    end = time.monotonic() + minutes * 60 if minutes else float("inf")
    for number, (_, make) in enumerate(work, 1):
        if time.monotonic() > end:
            left = len(work) - number + 1
            print(f"stopped: {left} left; --resume goes on", file=sys.stderr)
            return
        outcome = make()
        progress.add(outcome)
        print(f"{number}/{len(work)} {told(outcome)}", file=sys.stderr, flush=True)


def told(outcome: Outcome) -> str:
    where = f"{outcome.check} / {outcome.node}" if outcome.check else outcome.reason
    return f"{outcome.outcome:<11}{outcome.side:<7} {outcome.name}: {where} ({outcome.seconds} s)"


def try_mutants(options, found: dict[str, Progress]) -> None:
    progress = found["mutants"]
    left = [m for m in wanted(options) if not progress.has(m)]
    if left:
        with campaigning(options.out) as campaign:
            work = [
                (m.name, lambda m=m: settle(campaign.attempt(m), m, campaign.proven)) for m in left
            ]
            go_through(work, progress, options.minutes)


def try_judges(options, found: dict[str, Progress]) -> None:
    progress = found["judges"]
    left = [m for m in judges.drawn(options.judges, options.seed) if not progress.has(m)]
    work = [(m.name, lambda m=m: judges.attempt(m)) for m in left]
    go_through(work, progress, options.minutes)


def try_together(options, found: dict[str, Progress]) -> None:
    """Groups of the first part's mutants."""
    progress = found["together"]
    known = found["mutants"].of(wanted(options))
    left = [
        (check, mutants)
        for check, mutants in together.groups(known, options.seed)
        if (" ".join(m.side for m in mutants), TOGETHER.join(m.name for m in mutants))
        not in progress.found
    ]
    if left:
        with campaigning(options.out) as campaign:
            work = [
                (check, lambda c=check, m=mutants: together.attempt(campaign, c, m))
                for check, mutants in left
            ]
            go_through(work, progress, options.minutes)


def try_sound(options, found: dict[str, Progress]) -> None:
    progress = found["sound"]
    with campaigning(options.out) as campaign:
        work: Work = [
            (m.name, lambda m=m: variations.attempt(campaign, m))
            for pair in zip(*(variations.rewritings(campaign, s, options.seed) for s in FRAMEWORKS))
            for m in pair
            if not progress.has(m)
        ]
        work += [
            (check.name, lambda c=check: variations.examined(campaign, c))
            for check in variations.other_inputs(options.seed)
            if ("", check.name) not in progress.found
        ]
        go_through(work, progress, options.minutes)


PARTS = {
    "mutants": try_mutants,
    "judges": try_judges,
    "together": try_together,
    "sound": try_sound,
}
