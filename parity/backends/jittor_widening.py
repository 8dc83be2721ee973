"""A port's code that says float32 itself, as its reference does: in float64 runs that means float64.

Before: nothing. jittor.py installs it where engine/ask/examine.py finds that the reference refuses float64.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import jittor_setup

jt = jittor_setup.import_jittor()
CASTS = ("cast", "astype")  # with the dtype as an argument
OWN = {name: getattr(jt.Var, name) for name in ("float32", "float", *CASTS)}


def wide(dtype):
    """What stands for a dtype given as a name or as one of jittor's or Python's own."""
    name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", str(dtype))
    return "float64" if name in ("float32", "float") else dtype


def widened(own: Callable) -> Callable:
    @wraps(own)
    def cast(x, dtype, *args, **named):
        return own(x, wide(dtype), *args, **named)

    return cast


def widen(on: bool) -> None:
    """From now on, or no longer."""
    for name, own in OWN.items():
        other = widened(own) if name in CASTS else jt.Var.float64
        setattr(jt.Var, name, other if on else own)
