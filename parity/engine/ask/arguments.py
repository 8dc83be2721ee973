"""Which arguments of one side's call of a function are which of the other side's.

Before: values/tree.py. called.py asks.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from parity.engine.values import tree

NUMBERS = (bool, int, float)
# (True, which of the reference's) or (False, a value of the candidate's own)
Place = tuple[bool, object]


def places(ours: Mapping, theirs: Mapping) -> list[Place] | None:
    """Where each argument of the candidate's call comes from; None where the two calls are given, or give, things of
    another form. By position, or by name where a side takes more, or takes them in another order."""
    if not alike(ours["results"], theirs["results"]):
        return None
    count = len(ours["arguments"])
    if alike(ours["arguments"], theirs["arguments"][:count]):
        return [(True, k) for k in range(count)]
    return by_name(ours, theirs)


def by_name(ours: Mapping, theirs: Mapping) -> list[Place] | None:
    """The candidate's own value, as it has it in its call, of what the reference does not take; no array is one."""
    values = ours["arguments"]
    left = {name: k for k, name in enumerate(ours["names"]) if name not in ours["usual"]}
    found: list[Place] = []
    for name, own in zip(theirs["names"], theirs["arguments"], strict=True):
        others = [n for n in left if n == name] or [n for n in left if n not in theirs["names"]]
        name = next((n for n in others if alike(values[left[n]], own)), None)
        if name is not None:
            found.append((True, left.pop(name)))
        elif arrays(own):
            return None
        else:
            found.append((False, own))
    if any(arrays(values[k]) for k in left.values()):
        return None
    # what is the candidate's own may belong to arrays of these sizes alone
    given = [k for is_given, k in found if is_given]
    sizes = [[x.shape for x in arrays(values[k])] for k in given]
    own = [theirs["arguments"][k] for k, (is_given, _) in enumerate(found) if is_given]
    return found if sizes == [[x.shape for x in arrays(x)] for x in own] else None


def arrays(value) -> list[np.ndarray]:
    return [x for _, x in tree.leaves(value, lambda x: isinstance(x, np.ndarray))]


def alike(a, b) -> bool:
    """Whether two trees are of one form: containers, ranks of arrays, whether they hold floats."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(alike(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        scalars = {a.shape, b.shape} == {(), (1,)}  # Jittor does not tell them apart
        return (a.ndim == b.ndim or scalars) and (a.dtype.kind == "f") == (b.dtype.kind == "f")
    if isinstance(a, NUMBERS) and isinstance(b, NUMBERS):
        return True
    return type(a) is type(b)
