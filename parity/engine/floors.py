"""Noise floors, read: how far the reference's own float32 is from float64, summed in another order, started one unit
in the last place away, or simply run again. measure.py measures them; the gates judge by them.

A floor is the greatest error of any variant, in units of u = 2^-24, relative L2 and greatest, by case,
section ("forward", "gradients", and the local ones) and node.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from parity.engine import gates
from parity.errors import InputError
from parity.files import read_json

SCHEMA = "detector-parity/floors/1"


class Floors:
    """Floors of one case; without any, the priors of gates.py hold."""

    def __init__(self, sections: Mapping[str, Mapping[str, list[float]]] | None = None):
        self.sections = sections or {}

    def of(self, section: str, node: str) -> float | None:
        """The floor of the relative L2 error, as a fraction."""
        floor = self.sections.get(section, {}).get(node)
        return None if floor is None else floor[0] * gates.U32

    def limits(self, section: str, node: str, priors: tuple[float, float]) -> tuple[float, float]:
        """The least limits for relative L2 and greatest error: FLOOR_FACTOR times the floor, or the prior
        where that is more: a node where PyTorch's variants agree by chance is no reason for an alarm."""
        floor = self.sections.get(section, {}).get(node, (0.0, 0.0))
        return tuple(
            max(prior, gates.FLOOR_FACTOR * x * gates.U32) for prior, x in zip(priors, floor)
        )


@dataclass(frozen=True)
class FloorsFile:
    """Floors as they were measured: by case, and `about`: where, with what, when."""

    about: Mapping = field(default_factory=dict)
    cases: Mapping = field(default_factory=dict)

    def of(self, case: str) -> Floors:
        return Floors(self.cases.get(case))


@cache
def read_floors(path: Path) -> FloorsFile:
    """The file's; nothing where there is none. InputError when it is of another kind."""
    if not path.exists():
        return FloorsFile()
    content = read_json(path)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise InputError(
            f"{path}: not a file of floors ({SCHEMA}); measure them with `parity floors`"
        )
    about = {k: v for k, v in content.items() if k != "cases"}
    return FloorsFile(about, content["cases"])
