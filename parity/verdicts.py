"""Verdicts, and how a comparison earns one.

A comparison never passes by omission: something present on one side only, another shape or dtype,
a NaN or an infinity that the other side does not have at the same place, or nothing to compare at
all is a FAIL that says so. All arithmetic here is in float64.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from parity import gates


class Status(str, enum.Enum):
    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_RUN = "NOT_RUN"


@dataclass(frozen=True)
class Verdict:
    """case: what was run; check: which gate; node: where; measured against limit; why, when not PASS.

    owner: the module whose code is responsible, where that is known; guilty: "torch", "jittor", or "" when
    the evidence does not tell; sides: errors of PyTorch and of Jittor against float64; floor: the noise floor
    measured there; script: a file that reproduces the failure.
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

    def to_dict(self) -> dict:
        """Without what is empty."""
        fields = {k: v for k, v in vars(self).items() if v is not None and v != ""}
        return fields | {"status": self.status.value}

    def __str__(self) -> str:
        numbers = "" if self.measured is None else f" {self.measured:.3g} (limit {self.limit:.3g})"
        return f"{self.status.value} {self.case} / {self.check} / {self.node}:{numbers} {self.message}".rstrip()


def structural_difference(a: np.ndarray | None, b: np.ndarray | None) -> str | None:
    """Why arrays a and b cannot be compared number by number, or None when they can."""
    if a is None or b is None:
        return None if a is b else f"present on one side only: {'right' if a is None else 'left'}"
    if a.shape != b.shape:
        return f"shapes differ: {a.shape} and {b.shape}"
    if a.dtype != b.dtype:
        return f"dtypes differ: {a.dtype} and {b.dtype}"
    if a.size == 0:
        return "nothing to compare: empty arrays"
    if a.dtype.kind == "f" and not (np.isfinite(a).all() and np.isfinite(b).all()):
        for what, test in (("NaN", np.isnan), ("+inf", np.isposinf), ("-inf", np.isneginf)):
            if (test(a) != test(b)).any():
                return f"{what} at {int((test(a) != test(b)).sum())} places on one side only"
        return f"{int((~np.isfinite(a)).sum())} values are not finite on both sides: agreement means nothing there"
    return None


def relative_l2(a: np.ndarray, b: np.ndarray, floor: float = 0.0) -> float:
    """|a - b| / (|b| + floor) in float64; 0 when both are zero, inf when only b is (and floor is 0)."""
    a, b = (x.astype(np.float64, copy=False) for x in (a, b))
    return _ratio(_norm(a - b), _norm(b) + floor)


def _norm(x: np.ndarray) -> float:
    return float(
        np.sqrt(np.square(x).sum())
    )  # without BLAS, whose threads would fight with the workers


def relative_max(a: np.ndarray, b: np.ndarray, floor: float = 0.0) -> float:
    """max |a - b| / (max |b| + floor) in float64."""
    a, b = (x.astype(np.float64, copy=False) for x in (a, b))
    return _ratio(_greatest(a - b), _greatest(b) + floor)


def _greatest(x: np.ndarray) -> float:
    return float(max(x.max(), -x.min()))


def _ratio(difference: float, size: float) -> float:
    if difference == 0:
        return 0.0
    return difference / size if size else float("inf")


def judge(case: str, check: str, node: str, a, b, limit: float, floor: float = 0.0) -> Verdict:
    """PASS when relative_l2(a, b) <= limit; integers and booleans must be equal."""
    problem = structural_difference(a, b)
    if problem:
        return Verdict(case, check, node, Status.FAIL, message=problem)
    if a is None:
        return Verdict(
            case, check, node, Status.FAIL, message="nothing to compare: absent on both sides"
        )
    if a.dtype.kind != "f":
        return judge_equal(case, check, node, a, b)
    measured = relative_l2(a, b, floor)
    return Verdict(
        case, check, node, Status.PASS if measured <= limit else Status.FAIL, measured, limit
    )


def judge_equal(case: str, check: str, node: str, a: np.ndarray, b: np.ndarray) -> Verdict:
    """PASS when bitwise equal (shape and dtype included)."""
    problem = structural_difference(a, b)
    if problem:
        return Verdict(case, check, node, Status.FAIL, message=problem)
    different = int((a != b).sum())
    message = f"{different} of {a.size} elements differ" if different else ""
    return Verdict(
        case, check, node, Status.FAIL if different else Status.PASS, float(different), 0.0, message
    )


def judge_precision(
    case,
    check,
    node,
    torch32,
    jittor32,
    reference,
    factor,
    limit_floor,
    max_factor=None,
    max_floor=None,
    floor=0.0,
):
    """Both float32 sides against the float64 reference: neither may err much more than the other.

    The guilty side is named. `max_factor` and `max_floor`, when given, judge the greatest error too.
    """
    like = None if reference is None else _like(reference, torch32)
    for side, values in (("torch", torch32), ("jittor", jittor32)):
        problem = structural_difference(values, like)
        if problem:
            return Verdict(
                case,
                check,
                node,
                Status.FAIL,
                message=f"{side} against the float64 reference: {problem}",
            )
    if torch32 is None:  # all three of one shape and dtype by now, or all absent
        return Verdict(
            case, check, node, Status.FAIL, message="nothing to compare: absent on both sides"
        )
    if torch32.dtype.kind != "f":
        return judge_equal(case, check, node, torch32, jittor32)
    reference = reference.astype(np.float64, copy=False)
    differences = [values.astype(np.float64) - reference for values in (torch32, jittor32)]
    tests = [(_norm, factor, limit_floor, "relative L2")]
    if max_factor is not None:
        tests.append((_greatest, max_factor, max_floor, "greatest"))
    worst, sides = None, None
    for measure, times, at_least, name in tests:
        size = measure(reference) + floor
        e_torch, e_jittor = (_ratio(measure(d), size) for d in differences)
        sides = sides or (e_torch, e_jittor)
        for guilty, mine, other in (("jittor", e_jittor, e_torch), ("torch", e_torch, e_jittor)):
            limit = max(times * other, at_least)
            if worst is None or mine / limit > worst[0]:
                worst = (mine / limit, mine, limit, guilty, name)
    ratio, measured, limit, guilty, name = worst
    status = Status.PASS if ratio <= 1 else Status.FAIL
    message = (
        "" if ratio <= 1 else f"{guilty} is the less precise side: {name} error against float64"
    )
    return Verdict(
        case,
        check,
        node,
        status,
        measured,
        limit,
        message,
        guilty="" if ratio <= 1 else guilty,
        sides=sides,
    )


def _like(reference: np.ndarray, values: np.ndarray | None) -> np.ndarray:
    return (
        reference.astype(values.dtype)
        if values is not None and values.dtype.kind == reference.dtype.kind
        else reference
    )


def judge_nodes(case: str, check: str, torch: Mapping, jittor: Mapping, judge_one) -> list[Verdict]:
    """Judges every node of two dictionaries in the order of the first; judge_one(node, a, b).

    Nodes of one side only are FAILs, an empty comparison too.
    """
    if not torch and not jittor:
        return [
            Verdict(
                case,
                check,
                "(all)",
                Status.FAIL,
                message="nothing to compare: no nodes on either side",
            )
        ]
    verdicts = [
        judge_one(node, a, jittor[node])
        if node in jittor
        else Verdict(case, check, node, Status.FAIL, message="torch has this node, jittor has not")
        for node, a in torch.items()
    ]
    return verdicts + [
        Verdict(case, check, node, Status.FAIL, message="jittor has this node, torch has not")
        for node in jittor
        if node not in torch
    ]


class Selection(Mapping):
    """Some of a mapping's items, in the order of `names` (default: all), fetched when they are looked at."""

    def __init__(self, source: Mapping, names: Iterable[str] | None = None, convert=lambda x: x):
        self.source = source
        self.names = dict.fromkeys(source if names is None else names)
        self.convert = convert

    def __getitem__(self, name: str):
        if name not in self.names:
            raise KeyError(name)
        return self.convert(self.source[name])

    def __contains__(self, name) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def absent_if_zero(gradients: Mapping) -> Selection:
    """No gradient is None in PyTorch and zeros in Jittor: both become None, so that names can be compared."""
    return Selection(gradients, convert=lambda g: None if g is None or not g.any() else g)


def nothing_on_either_side(case: str, check: str, node: str, limit: float) -> Verdict:
    return Verdict(case, check, node, Status.PASS, 0.0, limit, "no gradient on either side")


def judge_gradient(
    case: str, check: str, node: str, a, b, limit: float, floor: float = 0.0
) -> Verdict:
    """As `judge`, but absent on both sides is agreement."""
    if a is None and b is None:
        return nothing_on_either_side(case, check, node, limit)
    return judge(case, check, node, a, b, limit, floor)


def total_norm(gradients: Mapping) -> float:
    return float(
        np.sqrt(
            sum(
                float((g.astype(np.float64) ** 2).sum())
                for g in gradients.values()
                if g is not None
            )
        )
    )


def semantic_gradient_floor(gradients: Mapping) -> float:
    """Added to |b|, it makes one float64 epsilon of the total norm count as no difference."""
    return gates.EPS64 / gates.SEMANTIC_GRADIENT * total_norm(gradients)


def precision_gradient_floor(gradients: Mapping) -> float:
    return gates.U32 / gates.GRADIENT_FLOOR * total_norm(gradients)
