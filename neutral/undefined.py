"""A number that cannot be told (AP without objects, a rate that a log lacks) is not 0: NaN in memory, null in JSON,
`-` in tables, a gap in charts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable


def defined(value) -> float | None:
    """The number as it goes into JSON: None for what is none (text, None, NaN, infinity)."""
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    if not math.isfinite(number):
        return None
    return value if isinstance(value, int) else number


def shown(value, digits: int = 4) -> str:
    """The number as it stands in a table."""
    number = defined(value)
    return "-" if number is None else f"{number:.{digits}f}"


def mean(values: Iterable) -> float:
    """Of those that are defined; NaN when none is."""
    known = [number for value in values if (number := defined(value)) is not None]
    return sum(known) / len(known) if known else math.nan
