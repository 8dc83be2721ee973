"""Sound variations: the code rewritten, other weights, other images and sizes. Any FAIL is a false alarm."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from parity.engine.judge.verdicts import first_divergence
from parity.engine.judge.weights import drawn_weights
from parity.engine.sides.workers import Worker
from parity.engine.tell.causes import causes_of
from parity.mutants.breeding import Bred, bred, draw
from parity.mutants.sound import ROUNDED, SOUND
from parity.suite.breeding.campaign import Campaign, files
from parity.suite.breeding.checks import Examined
from parity.suite.breeding.progress import ALARM, SILENT, UNSOUND, Outcome
from parity.suite.cases import DetectorCase
from parity.suite.mutants import experiments

REWRITTEN, WEIGHTS, PICTURES = 30, 20, 20  # rewritings a side; the others
ALL = 2 * REWRITTEN + WEIGHTS + PICTURES
ASKED = 2  # checks of a rewriting, those that say where first
VARIED = (experiments.DETR, experiments.RCNN, experiments.SEGMENTING, experiments.LIKE_TF)
NUMBERS = 40  # images to choose from
HASHED = "numbers that both sides share are the same bit for bit, and this rounds otherwise"
INPUTS = "inputs"  # operator of what is no rewriting


def rewritings(campaign: Campaign, side: str, seed: int) -> list[Bred]:
    """Of code that a check runs."""
    found = {
        file: [m for m in bred(file, side, operators=SOUND) if is_sound(m)] for file in files(side)
    }
    seen = {
        file: [m for m in mutants if campaign.checks_of([m])] for file, mutants in found.items()
    }
    return draw(seen, REWRITTEN, seed)


def is_sound(mutant: Bred) -> bool:
    """Whether it keeps the bits of what both sides share: batches are hashed, initial weights are the same."""
    return not (mutant.file.startswith("neutral/") and mutant.operator in ROUNDED)


class Salted(Examined):
    """A case with other weights."""

    def __init__(self, name: str, case: DetectorCase, salt: str):
        super().__init__(name, case)
        self.salt = salt

    def weights(self, worker: Worker) -> dict[str, np.ndarray]:
        if not hasattr(self, "drawn"):
            self.drawn = drawn_weights(worker.call("shapes"), self.salt)
        return self.drawn


def other_inputs(seed: int) -> Iterator[Examined]:
    """Cases with other weights, then with other images: one to four, which are of other sizes."""
    for k in range(WEIGHTS):
        case = VARIED[k % len(VARIED)]
        yield Salted(f"{case.name}, weights {seed}-{k}", case, f"variation {seed}/{k}/")
    random = np.random.default_rng(seed)
    for k in range(PICTURES):
        case = VARIED[k % len(VARIED)]
        images = tuple(map(int, random.choice(NUMBERS, 1 + k % 4, replace=False)))
        side = 96 + 8 * int(random.integers(9))  # not all multiples of a stride
        overrides = (*case.overrides, f"transform.val_size={side}")
        found = replace(case, images=images, overrides=overrides)
        yield Examined(f"{case.name}, images {images}, short side {side}", found)


def named(name: str, seed: int) -> Examined:
    """The other inputs of that name."""
    return next(check for check in other_inputs(seed) if check.name == name)


def attempt(campaign: Campaign, mutant: Bred) -> Outcome:
    """A rewriting on the first of the checks that run its lines."""
    started = time.monotonic()
    outcome = Outcome(
        *(mutant.name, mutant.side, mutant.file, mutant.function),
        *(mutant.text, mutant.operator, SILENT),
    )
    if not is_sound(mutant):
        outcome.outcome, outcome.reason = UNSOUND, HASHED
        return outcome
    for check in campaign.checks_of([mutant])[:ASKED]:
        outcome.tried.append(check.name)
        alarm(outcome, campaign.ask(check, [mutant]))
    outcome.seconds = round(time.monotonic() - started, 1)
    return outcome


def examined(campaign: Campaign, check: Examined) -> Outcome:
    started = time.monotonic()
    outcome = Outcome(check.name, "", "", "", check.name, INPUTS, SILENT, tried=[check.name])
    alarm(outcome, check.attempt(campaign.nursery, {}))
    campaign.nursery.forget(check)
    outcome.seconds = round(time.monotonic() - started, 1)
    return outcome


def alarm(outcome: Outcome, verdicts: Iterable) -> None:
    verdicts = list(verdicts)
    found = first_divergence(verdicts)
    if found is not None and outcome.outcome == SILENT:
        outcome.outcome, outcome.check, outcome.node = ALARM, found.check, found.node
        outcome.causes = Campaign.shown(causes_of(verdicts))
        outcome.reason = found.message[:300]
