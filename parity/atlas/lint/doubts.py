"""Which entries are told by default: those that were true on ports which nobody had seen, as far as that was judged.

tests/lint_judged.json holds every finding of the blind rounds with its verdict, parity/atlas/lint/judged.py its counts.
`python -m scripts.lint_rates --write` takes the one from the other, and judges the choice by rounds left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from parity.atlas.lint.finding import DOUBTED, WARNING, Finding
from parity.atlas.lint.judged import JUDGED

USUAL, WEIGHT = 0.75, 2  # what is known of an entry never told: so many findings at the usual rate
WANTED = 0.55


def expected(true: int, other: int) -> float:
    """The rate of true findings to be expected of an entry, by what was judged."""
    return (true + WEIGHT * USUAL) / (true + other + WEIGHT)


def doubted(judged: Mapping[str, tuple[int, int]]) -> frozenset[str]:
    """judged: by entry, how many findings were true, and how many advice or false."""
    return frozenset(entry for entry, counts in judged.items() if expected(*counts) < WANTED)


ENTRIES = doubted(JUDGED)


def weighed(finding: Finding) -> Finding:
    """A warning of an entry that was seldom true, as doubted."""
    if finding.level == WARNING and finding.entry in ENTRIES:
        return replace(finding, level=DOUBTED)
    return finding
