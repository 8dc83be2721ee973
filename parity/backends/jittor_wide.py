"""Jittor's cross entropy by sums. Its own takes the mean of the labels' weights as a sum of 1/n in float32, whatever it
is given: the same rounding n times over.

Arguments and results are those of jittor.nn's function. In float64 runs it stands in for it, and says so; in float32
where `steady` asks for it.

Before: replacing.py. jittor.py installs it; jittor_norms.py takes it for second looks in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, wraps

import jittor_setup
from parity.backends.replacing import everywhere

jt = jittor_setup.import_jittor()
OWN = (jt.nn.cross_entropy_loss,)  # no name of this module's own, which would be replaced, too
CALLED: set[str] = set()  # names of functions that were stood in for since the last question
STEADY: list[list[str]] = []  # lists that want to hear of them in float32, too


def by_sums(output, target, weight=None, ignore_index=None, reduction="mean"):
    """The same, of an output [N, C] or [N, C, H, W], in its own width; its sums are float64."""
    own = None if weight is None else weight.cast(output.dtype)
    each = OWN[0](output, target, own, ignore_index, "none")
    if reduction == "none":
        return each
    total = each.float64().sum()
    if reduction == "sum":
        return total.cast(output.dtype)
    labels = target.reshape((-1,))
    shares = ((labels >= 0) & (labels < output.shape[1])).float64()
    if weight is not None:
        shares = own.float64()[labels]
    if ignore_index is not None:  # a label that is no index has no weight, but what lies there
        shares = jt.ternary(labels == ignore_index, jt.zeros_like(shares), shares)
    return (total / shares.sum()).cast(output.dtype)


def is_taken(output) -> bool:
    return isinstance(output, jt.Var) and output.ndim in (2, 4)


@cache
def install() -> None:
    """Once for a process; again does nothing."""

    @wraps(OWN[0])
    def cross_entropy_loss(output, target, weight=None, ignore_index=None, reduction="mean"):
        is_wide = is_taken(output) and str(output.dtype) == "float64"
        if not is_wide and not (STEADY and is_taken(output)):
            return OWN[0](output, target, weight, ignore_index, reduction)
        if is_wide:
            CALLED.add("cross_entropy_loss")
        for called in STEADY:
            called.append("cross_entropy_loss")
        return by_sums(output, target, weight, ignore_index, reduction)

    everywhere({OWN[0]: cross_entropy_loss})


@contextmanager
def steady(called: list[str]) -> Iterator[None]:
    """Inside, it is by sums in float32, too; its name goes into `called` where it is."""
    STEADY.append(called)
    try:
        yield
    finally:
        STEADY.pop()


def stood_in() -> list[str]:
    """Jittor's functions in whose place others computed since this was asked last."""
    found = sorted(CALLED)
    CALLED.clear()
    return found
