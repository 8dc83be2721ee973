"""What a comparison came to: a Verdict, and when several are no comparison at all.

Before: checks.py. How one is earned stands in judging.py, by what limits in gates.py; ask/result.py has what a whole
case came to.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from parity.engine.judge.checks import BEFORE, WEIGHTS
from parity.engine.values.nodes import ROOT


class Status(str, enum.Enum):
    """What a comparison earns."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_RUN = "NOT_RUN"
    KNOWN = (
        "KNOWN"  # differs, in a way that is known and no defect (known.py); a FAIL with --strict
    )


@dataclass(frozen=True)
class Verdict:
    """case: what was run; check: which gate; node: where; measured against limit; why, when not PASS.

    owner: the module whose code is responsible, where that is known; guilty: the label of a side, or "" when
    the evidence does not tell; sides: errors of reference and candidate against float64; floor: the noise floor
    measured there; script: a file that reproduces the failure; kind: in what way a FAIL differs (kinds.py); code: where
    in the code of each side, "FILE:LINE" or ""; shape and rms: of the reference's array, and the root mean square of
    its values; values: what values.py tells of both arrays; explains: modules that are wrong for what this function
    does alone; names: all of those of which the message tells a few.
    """

    case: str
    check: str
    node: str
    status: Status
    measured: float | None = None
    limit: float | None = None
    message: str = ""
    owner: str = ""
    guilty: str = ""
    sides: tuple[float, float] | None = None
    floor: float | None = None
    script: str = ""
    kind: str = ""
    code: tuple[str, str] | None = None
    shape: tuple[int, ...] | None = None
    rms: float | None = None
    values: dict | None = None
    explains: tuple[str, ...] | None = None
    names: tuple[str, ...] | None = None

    def to_dict(self) -> dict:
        """Without what is empty."""
        fields = {k: v for k, v in vars(self).items() if v is not None and v != ""}
        return fields | {"status": self.status.value}

    def but(self, **changes) -> Verdict:
        """The same with other values of these fields; dataclasses.replace takes ten times as long."""
        other = object.__new__(Verdict)
        other.__dict__.update(self.__dict__, **changes)
        return other

    def __str__(self) -> str:
        numbers = "" if self.measured is None else f" {self.measured:.3g} (limit {self.limit:.3g})"
        return f"{self.status.value} {self.case} / {self.check} / {self.node}:{numbers} {self.message}".rstrip()


EMPTY, NO_GRADIENT = "empty on both sides", "no gradient on either side"  # messages
ZERO, STILL = "0 on both sides", "nothing moves on either side"  # of losses, of training steps
HOLLOW = (EMPTY, ZERO, STILL)  # which prove nothing
ENVIRONMENT = "environment"  # the case of what is said of the machine
ALL_EMPTY = (
    "all that comes out is empty or 0 on both sides; give inputs of which something comes out"
)
GIVEN = f"{ROOT}/in["  # nodes that begin so are what was put in


def is_nothing(verdicts: Iterable[Verdict]) -> bool:
    """Whether nothing of any case was compared: what did not run, empty arrays, and the machine are no comparison."""
    verdicts = list(verdicts)
    return is_hollow(verdicts) or all(
        v.status is Status.NOT_RUN or v.message == EMPTY or v.case == ENVIRONMENT for v in verdicts
    )


def is_hollow(verdicts: Iterable[Verdict]) -> bool:
    """Whether all that was computed is HOLLOW: what is judged besides are names, weights and inputs."""
    verdicts = list(verdicts)
    return any(v.message in HOLLOW for v in verdicts) and not any(
        proves(v.case, v.check, v.node, v.status, v.message) for v in verdicts
    )


def proves(case: str, check: str, node: str, status: str, message: str) -> bool:
    """Whether a verdict is one on something that was computed."""
    return (
        status in (Status.PASS, Status.FAIL, Status.KNOWN)
        and message not in (*HOLLOW, NO_GRADIENT)
        and case != ENVIRONMENT
        and not (check in BEFORE or check.startswith(WEIGHTS) or node.startswith(GIVEN))
    )


def first_divergence(verdicts: list[Verdict]) -> Verdict | None:
    """The first FAIL in the order in which things are computed: forward, losses, then backward."""
    return next((v for v in verdicts if v.status is Status.FAIL), None)
