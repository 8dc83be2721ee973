"""Values that reach other branches: what tensors at the borders of modules, and targets, may become (probing.py).

Before: ask/probing.py, which chooses; forcing.py puts them in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from parity.engine.values import tree


@dataclass(frozen=True)
class Probe:
    """What every float array at a border becomes, and every array of the targets; ties: equal values may be put in
    any order, so that integers are not compared; natural: a case that training meets, so that a side that fails on it
    is wrong; only: the one border that is changed, "" for all."""

    name: str
    change: Callable = lambda x: x
    targets: Callable = lambda targets: targets
    ties: bool = False
    natural: bool = False
    only: str = ""

    @property
    def title(self) -> str:
        return f"{self.name}, of {self.only} alone" if self.only else self.name


def are_boxes(x) -> bool:
    """Whether an array looks like corners (x1, y1, x2, y2), several of them."""
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f" or x.ndim < 2 or x.shape[-1] != 4:
        return False
    sizes = x[..., 2:] - x[..., :2]
    return x.shape[-2] > 1 and bool((sizes >= 0).all() and (sizes > 0).any())


def touching(x: np.ndarray) -> np.ndarray:
    """Every other box begins at the corner where the one before it ends."""
    if not are_boxes(x):
        return x
    x, pairs = x.copy(), x.shape[-2] // 2 * 2
    sizes = x[..., 1:pairs:2, 2:] - x[..., 1:pairs:2, :2]
    x[..., 1:pairs:2, :2] = x[..., 0:pairs:2, 2:]
    x[..., 1:pairs:2, 2:] = x[..., 0:pairs:2, 2:] + sizes
    return x


def equal(x: np.ndarray) -> np.ndarray:
    return np.broadcast_to(x[..., :1, :], x.shape).copy() if are_boxes(x) else x


def everywhere(change: Callable) -> Callable:
    """`change` of every array of a tree."""
    return lambda targets: tree.replaced(
        targets, lambda x: isinstance(x, np.ndarray), lambda _, x: change(x)
    )


def emptied(targets):
    """No objects: in each mapping that has boxes, all arrays as long as these."""
    if isinstance(targets, Mapping):
        counts = {
            len(x)
            for x in targets.values()
            if isinstance(x, np.ndarray) and x.ndim == 2 and x.shape[1] == 4
        }
        if len(counts) == 1:
            return {
                k: x[:0] if isinstance(x, np.ndarray) and x.ndim and len(x) in counts else x
                for k, x in targets.items()
            }
        return {k: emptied(x) for k, x in targets.items()}
    if type(targets) in (tuple, list):
        return type(targets)(map(emptied, targets))
    return targets


AS_GIVEN = Probe("the values as they are")
PROBES = (
    AS_GIVEN,
    Probe("64 times the values", lambda x: 64 * x),
    Probe("64 times the values, of the other sign", lambda x: -64 * x),
    Probe("1e-9 times the values", lambda x: 1e-9 * x),
    Probe("zeros", lambda x: 0 * x, ties=True),
    Probe("boxes that touch", touching, everywhere(touching), natural=True),
    Probe("boxes that are all the same", equal, everywhere(equal), ties=True, natural=True),
    Probe("images without objects", targets=emptied, natural=True),
)
# of one input at a time where the reference refuses all at once: a probability beside a logit
ONE_BY_ONE = PROBES[1:4]
MOST_INPUTS = 8  # that are changed by themselves
BY_NAME = {probe.name: probe for probe in PROBES}
