"""Ranges of numbers, declared where a number is declared: `lr: Annotated[float, Range(0)]`.

A number that is NaN or infinite is in no range.
"""

from __future__ import annotations

import math
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from door.errors import InputError


@dataclass(frozen=True)
class Range:
    """From `low` to `high`, these included but for those that `above` and `below` take out."""

    low: float = -math.inf
    high: float = math.inf
    above: bool = False  # more than `low`
    below: bool = False  # less than `high`

    def __contains__(self, value: float) -> bool:
        try:
            if not math.isfinite(value):
                return False
        except OverflowError:  # an integer that no float can hold
            pass
        low = value > self.low if self.above else value >= self.low
        return low and (value < self.high if self.below else value <= self.high)

    def __str__(self) -> str:
        low, high = (_digits(x) for x in (self.low, self.high))
        if math.isinf(self.low) and math.isinf(self.high):
            return "any finite number"
        if math.isinf(self.high):
            return f"above {low}" if self.above else f"{low} or more"
        start = f"above {low}" if self.above else low
        return f"{start} to below {high}" if self.below else f"{start} to {high}"

    def checked(self, value, name: str):
        """`value`; InputError, begun with `name`, when it is not within."""
        if value not in self:
            raise InputError(f"{name}={value}: give {self}")
        return value


def _digits(value: float) -> str:
    return f"{value:g}" if math.isinf(value) or value != int(value) else str(int(value))


FINITE = Range()
SEEDS = Range(0, 2**63 - 1)
SIDES = Range(1, 65535)  # pixels, the most that JPEG can hold

Any = Annotated[float, FINITE]
Least0 = Annotated[float, Range(0)]
Above0 = Annotated[float, Range(0, above=True)]
Share = Annotated[float, Range(0, 1)]
Part = Annotated[float, Range(0, 1, below=True)]
Side = Annotated[int, SIDES]
Seed = Annotated[int, SEEDS]
Count = Annotated[int, Range(1, 10**6)]
Count0 = Annotated[int, Range(0, 10**6)]
Layers = Annotated[int, Range(1, 1000)]
Channels = Annotated[int, Range(1, 65536)]
Channels0 = Annotated[int, Range(0, 65536)]
Rate = Annotated[float, Range(0, 1e30)]
Epochs = Annotated[int, Range(0, 10**6)]


def number(kind: type, within: Range) -> Callable[[str], float]:
    """For argparse's `type`: reads an int or a float of the range, and says which that is."""

    def read(text: str):
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if value not in within:
            what = "an integer" if kind is int else "a number"
            raise ArgumentTypeError(f"{text!r}: give {what}, {within}")
        return value

    return read


def add_number(
    parser: ArgumentParser, name: str, kind: type, within: Range, help: str = "", **more
) -> None:
    """An option that takes a number; its help says the range."""
    text = f"{help} ({within})" if help else str(within)
    parser.add_argument(name, type=number(kind, within), help=text, **more)
