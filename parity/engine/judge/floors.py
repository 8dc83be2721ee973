"""Noise floors, read: how far the reference's own float32 is from float64, summed in another order, started one unit
in the last place away, or simply run again.

A floor is the greatest error of any variant, in units of u = 2^-24, relative L2 and greatest, by case,
section ("forward", "gradients", and the local ones) and node.

Before: gates.py. ask/measure.py measures them; precision.py judges by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from door import schema
from parity.engine.judge import gates
from parity.engine.values.shapes import FloorsContent
from parity.errors import InputError

SCHEMA = "detector-parity/floors/1"


class Floors:
    """Floors of one case, measured on `device`; without any, the priors of gates.py hold."""

    def __init__(
        self, sections: Mapping[str, Mapping[str, list[float]]] | None = None, device: str = ""
    ):
        self.sections, self.device = sections or {}, device

    def check_device(self, device: str) -> None:
        """InputError where they are another device's: its noise says nothing about this one's."""
        if self.sections and self.device not in ("", device):
            raise InputError(
                f"floors measured on {self.device} judge nothing that ran on {device}; "
                f"measure {device}'s (`parity floors --device {device}`), in a file of their own"
            )

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
    """Floors of one device as they were measured: by case, and `about`: where, with what, when."""

    about: Mapping = field(default_factory=dict)
    cases: Mapping = field(default_factory=dict)

    @property
    def device(self) -> str:
        return self.about.get("device", "cpu")

    def of(self, case: str) -> Floors:
        return Floors(self.cases.get(case), self.device)


def read_floors(path: Path) -> FloorsFile:
    """The file's; nothing where there is none. InputError when it is of another kind."""
    if not path.exists():
        return FloorsFile()
    content = schema.read(path, dict[str, Any])
    if content.get("schema") != SCHEMA:
        raise InputError(
            f"{path}: not a file of floors ({SCHEMA}); measure them with `parity floors`"
        )
    schema.check(content, FloorsContent, str(path))
    about = {k: v for k, v in content.items() if k != "cases"}
    return FloorsFile(about, content["cases"])


def given_floors(path: Path, case: str, device: str) -> Floors:
    """A case's there, of a file that a user names; InputError where that has none of it."""
    cases = read_floors(path).cases
    if case not in cases:
        there = f"has floors of {', '.join(cases)}" if cases else "has no floors"
        raise InputError(f"{path}: {there}, not of {case}; `parity floors` measures them")
    found = read_floors(path).of(case)
    found.check_device(device)
    return found
