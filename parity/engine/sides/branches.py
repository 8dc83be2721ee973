"""Which way the comparisons, clamps, maxima and masks of a user's own code were decided, by place in that code.

A branch that no input reaches is compared by nobody: probing.py gives inputs that reach the other way. The backends
send every such call here (`watching_branches`, base.py); what the frameworks' own layers do inside is not looked at.

Before: values/places.py. forcing.py has it watch runs, ask/probing.py judges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from parity.engine.judge.branching import BETWEEN
from parity.engine.values import places

KEPT = 64  # conditions of one place that wait to be looked at together
LIMITS = (("min", "min_v", "min_val"), ("max", "max_v", "max_val"))  # both frameworks' names


SYMBOLS = {"gt": ">", "lt": "<", "ge": ">=", "le": "<=", "eq": "==", "ne": "!="}
SYMBOLS |= {"greater": ">", "less": "<", "greater_equal": ">=", "less_equal": "<="}
SYMBOLS |= {"equal": "==", "not_equal": "!="}
# the bounds of a call that gives none; those in GIVEN take them as arguments
BOUNDED = {"clamp": (None, None), "clip": (None, None), "hardtanh": (-1, 1)}
BOUNDED |= {"relu": (0, None), "relu6": (0, 6)}
GIVEN = ("clamp", "clip", "hardtanh")
COMPARED = ("gt", "lt", "ge", "le", "eq", "ne")
CHOOSING = (*BOUNDED, "maximum", "minimum", "where", "masked_fill")


class Branches:
    """For every place: whether its condition was true anywhere, and false anywhere. `choosing` and `compared`: names
    of functions and of comparisons that backends send here."""

    choosing, compared = CHOOSING, COMPARED

    def __init__(self, backend):
        self.backend = backend
        self.busy = False  # inside of what is looked at: what that calls is no branch of its own
        self.waiting: dict[str, list] = {}
        self.seen: dict[str, list[bool]] = {}

    def call(self, frame, name: str, function: Callable, args: tuple, named: dict, passed=()):
        """function(*args, **named), called from `frame`, its decisions kept by place where that is the user's code;
        frames of the modules `passed` may lie between."""
        if self.busy:
            return function(*args, **named)
        place = places.direct(frame, passed)
        self.busy = True
        try:
            result = function(*args, **named)
            if place:
                for what, condition in decisions(name, result, args, named):
                    self.keep(f"{place}{BETWEEN}{what}", condition)
            return result
        finally:
            self.busy = False

    def keep(self, key: str, condition) -> None:
        if not self.backend.is_tensor(condition):
            return
        waiting = self.waiting.setdefault(key, [])
        waiting.append(condition)
        if len(waiting) >= KEPT:
            self.look(key)

    def look(self, key: str) -> None:
        for condition in self.waiting.pop(key, ()):
            values = self.backend.to_numpy(condition)
            found = self.seen.setdefault(key, [False, False])
            found[0] |= bool(values.any())
            found[1] |= bool((values == 0).any())

    def told(self) -> dict[str, list[bool]]:
        """[true somewhere, false somewhere] by "FILE:LINE: what"."""
        for key in list(self.waiting):
            self.look(key)
        return self.seen


def decisions(name: str, result, args: tuple, named: dict) -> Iterator[tuple[str, object]]:
    """(what is asked, the answer element by element) of a call; nothing where its arguments are others."""
    name = name.strip("_")
    if name in SYMBOLS and len(args) == 2:
        yield f"{SYMBOLS[name]} {shown(args[1])}", result
        return
    names = ("input", "x", "self")
    first = args[0] if args else next((named[n] for n in names if n in named), None)
    rest = args[1:] if args else ()
    if first is None:
        return
    if name in BOUNDED:
        for k, (side, default) in enumerate(zip(("min", "max"), BOUNDED[name])):
            bound = next((named[n] for n in LIMITS[k] if n in named), default)
            bound = rest[k] if k < len(rest) and name in GIVEN else bound
            if bound is not None:
                yield f"{side}={shown(bound)}", first < bound if side == "min" else first > bound
    elif name in ("clamp_min", "clamp_max"):
        side = name[-3:]
        bound = rest[0] if rest else named.get(side)
        yield f"{side}={shown(bound)}", first < bound if side == "min" else first > bound
    elif name in ("maximum", "minimum", "max", "min"):
        other = rest[0] if rest else named.get("other")
        if hasattr(other, "dtype") or (name.endswith("imum") and other is not None):
            yield f"{name[:3]} with {shown(other)}", first > other
    elif name in ("where", "ternary"):
        found = [x for x in (first, *rest) if "bool" in str(getattr(x, "dtype", ""))]
        if len(found) == 1 and len(rest) == 2:
            yield "where", found[0]
    elif name == "masked_fill" and rest:
        yield "mask", rest[0]


def shown(value) -> str:
    """A number, or that it is a tensor."""
    return f"{value:g}" if isinstance(value, (int, float)) else "a tensor"
