"""Inputs that reach the other branches: every module of both sides is run on changed values, and compared again.

Forced (tracer.py), a run can be given any value at every border of a module: 64 times what came there, of the other
sign, next to nothing, zero, boxes that touch. A clamp, an epsilon, a mask that only one side has then shows where it
is, however deep, while nothing explodes on the way; also one that changes gradients only, which are those of a fixed
weighting of what every module gives. What differs already with the values as they are is told elsewhere and not here
again.

Before: sides/probes.py, sides/forcing.py and sides/branches.py. Asked by everything.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from parity.case import Case
from parity.engine.ask.examination import Examination
from parity.engine.ask.result import Result
from parity.engine.ask.training import prepared
from parity.engine.judge import gates, kinds
from parity.engine.judge.checks import BRANCHES
from parity.engine.judge.detections import flattened
from parity.engine.judge.judging import are_of_two_widths
from parity.engine.judge.localise import gradient_owner, place_of
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.sides.branches import BETWEEN
from parity.engine.sides.probes import AS_GIVEN, PROBES, Probe, are_boxes
from parity.engine.sides.workers import Workers
from parity.engine.values import tree
from parity.engine.values.aligned import aligned
from parity.engine.values.arrays import norm, ratio
from parity.engine.values.nodes import OUTSIDE
from parity.engine.values.record import Record
from parity.errors import WorkerDied, WorkerError

HERE = "parity.engine.sides.forcing"
TINY = 1e-30  # below, all is rounding; so it is below these fractions of what came there with the values as they are
NOISE, SATURATED = 1e-12, 1e-8
BACKWARD = ("node_gradients", "gradients")
SECTIONS = ("nodes", "losses", "detections", *BACKWARD)


def check_branches(
    case: Case,
    workers: Workers | None = None,
    *,
    device: str = "cpu",
    told: Callable = lambda probe, verdicts: None,
) -> Result:
    """Runs both sides' forward, losses, post-processing and backward on values that reach other branches, in float64.

    A FAIL where the sides differ that agree on the values as they are; NOT_RUN for what was decided one way only in
    all of these runs, by place in the code. told(probe, verdicts) hears of each.
    """

    def ask(examination: Examination, used: Workers) -> list[Verdict]:
        return Probing(case, examination, used).run(told)

    return prepared(case, workers, device, ask, "float64", BRANCHES)


class Probing:
    """All probes of one case; `decided`: by side and run, which way each "FILE:LINE: what" went."""

    def __init__(self, case: Case, examination: Examination, workers: Workers):
        self.case, self.examination, self.workers = case, examination, workers
        self.name = f"{case.name}: branches"
        self.verdicts: list[Verdict] = []
        self.agreed: dict[tuple, float] = {}  # (section, node) on which both agree, with its size
        self.failed: set[tuple] = set()
        self.shared: set[str] | None = (
            None  # nodes that both sides have: what one alone has is not forced
        )
        self.decided: dict[str, list[dict]] = {side: [] for side in case.labels}

    def run(self, told: Callable) -> list[Verdict]:
        first = self.case.labels[0]
        base = self.examination.path(first, "base")
        options = {"targets": self.examination.targets, "gradients": False}
        self.workers[first].call("trace", self.examination.inputs, out=base, **options)
        for probe in PROBES:
            if self.applies(probe, base):
                before = len(self.verdicts)
                self.one(probe, base)
                told(probe.name, self.verdicts[before:])
            if not self.agreed:  # nothing to be compared again
                break
        return self.verdicts + self.one_way()

    def applies(self, probe: Probe, base: Path) -> bool:
        if not probe.natural:
            return True
        targets = self.examination.targets
        if probe.targets(targets) is not targets and differs(targets, probe.targets(targets)):
            return True
        nodes = Record(base)["nodes"]
        return any(probe.change(nodes[n]) is not nodes[n] for n in nodes if are_boxes(nodes[n]))

    def one(self, probe: Probe, base: Path) -> None:
        targets = probe.targets(self.examination.targets)
        sides, paths, errors = self.case.labels, {}, {}
        for side in sides:
            paths[side] = self.examination.path(side, "probe")
            given = (probe.name, self.examination.inputs, targets, base, paths[side], self.shared)
            backward = self.case.gradients and not probe.ties  # which have several derivatives
            self.workers[side].submit("run", f"{HERE}:probed", *given, backward)
        for side in sides:
            try:
                self.decided[side].append(self.workers[side].result())
            except (WorkerError, WorkerDied) as error:
                errors[side] = error
                if isinstance(error, WorkerDied):
                    self.examination.prepare((side,), "float64")
        if errors:
            self.tell_errors(probe, errors)
        else:
            self.compare(probe, *(Record(paths[side]) for side in sides))
        for path in paths.values():
            path.unlink(missing_ok=True)

    def tell_errors(self, probe: Probe, errors: dict[str, Exception]) -> None:
        """Values that a side refuses are no defect, unless training meets them and the reference takes them."""
        first, second = self.case.labels
        wrong = probe.natural and first not in errors
        status = Status.FAIL if wrong else Status.NOT_RUN
        text = "; ".join(f"{side}: {error}" for side, error in errors.items())
        self.verdicts.append(
            Verdict(
                *(self.name, BRANCHES, probe.name, status),
                message=f"with {probe.name}: {text}",
                kind=kinds.CRASH if wrong else "",
                guilty=second if wrong else "",
            )
        )

    def compare(self, probe: Probe, reference: Record, candidate: Record) -> None:
        passed, candidate = 0, aligned(reference, candidate)
        if probe is AS_GIVEN:
            self.shared = set(reference["nodes"]) & set(candidate["nodes"])
        for name, a, b in self.pairs(probe, reference, candidate):
            found = difference(a, b, self.agreed.get(name, 0.0), probe, name[0] in BACKWARD)
            if probe is AS_GIVEN:
                if found is None:
                    self.agreed[name] = size_of(a)
            elif name in self.agreed and found is not None:
                self.failed.add(name)
                self.tell(probe, name, found, reference, candidate)
            passed += found is None
        if passed and probe is not AS_GIVEN:
            self.verdicts.append(
                Verdict(self.name, BRANCHES, probe.name, Status.PASS, message=f"{passed} compared")
            )

    def pairs(self, probe: Probe, reference, candidate) -> Iterator[tuple]:
        """((section, node), the reference's array, the candidate's) of what is compared and has not failed yet."""
        for section in SECTIONS:
            two = [t.get(section, {}) for t in (reference, candidate)]
            if section == "detections":
                two = [flattened(t) for t in two]
                if has_ties(two[0]):
                    continue
            for node in two[0]:
                if node in two[1] and (section, node) not in self.failed:
                    yield (section, node), two[0][node], two[1][node]

    def tell(self, probe: Probe, name: tuple, found: tuple, reference, candidate) -> None:
        (section, node), (kind, text, measured) = name, found
        owner = reference["owners"].get(node, OUTSIDE) if section == "nodes" else OUTSIDE
        if section in BACKWARD:
            owner = gradient_owner(reference)(section, node)
            kind, text = kinds.BACKWARD, f"its gradient: {text or 'another result'}"
        node = f"loss/{node}" if section == "losses" else node
        verdict = Verdict(
            *(self.name, BRANCHES, node, Status.FAIL, measured, gates.BRANCH),
            message=f"with {probe.name} only: {text or 'another result'}",
            owner=owner,
            kind=kind,
        )
        code = [place_of(verdict, t) for t in (reference, candidate)]
        more = []
        for k, (side, keys) in enumerate(self.alone().items()):
            if keys:
                code[k] = keys[0].rpartition(BETWEEN)[0]
                more.append(f"only {side} has {', '.join(k.rpartition('/')[2] for k in keys[:3])}")
        message = "; ".join([verdict.message, *more])
        kind = kinds.BRANCH if more and kind != kinds.BACKWARD else kind
        self.verdicts.append(verdict.but(code=tuple(code), message=message, kind=kind))

    def alone(self) -> dict[str, list[str]]:
        """Of each side the branches that the last probe decided in a new way and the other side has nowhere."""
        asked = {
            side: {key.rpartition(BETWEEN)[2] for run in runs for key in run}
            for side, runs in self.decided.items()
        }
        found = {}
        for side, runs in self.decided.items():
            (other,) = (theirs for name, theirs in asked.items() if name != side)
            found[side] = [
                key
                for key, seen in runs[-1].items()
                if seen != runs[0].get(key) and key.rpartition(BETWEEN)[2] not in other
            ]
        return found

    def one_way(self) -> list[Verdict]:
        """What was decided one way only in all runs."""
        found = []
        for side, runs in self.decided.items():
            everything: dict[str, list[bool]] = {}
            for run in runs:
                for place, (true, false) in run.items():
                    seen = everything.setdefault(place, [False, False])
                    seen[0] |= true
                    seen[1] |= false
            for place, (true, false) in everything.items():
                if true != false:
                    message = f"{side}: {'always' if true else 'never'}, in all inputs tried"
                    found.append(
                        Verdict(self.name, BRANCHES, place, Status.NOT_RUN, message=message)
                    )
        return found


def differs(a, b) -> bool:
    """Whether two trees of one structure have other arrays."""
    pairs = zip(*(tree.leaves(x, lambda v: isinstance(v, np.ndarray)) for x in (a, b)))
    return any(x.shape != y.shape or (x != y).any() for (_, x), (_, y) in pairs)


def has_ties(arrays: Mapping) -> bool:
    """Whether one of these arrays ranks something and has equal values: any order of them is right."""
    return any(
        x.dtype.kind == "f" and x.ndim == 1 and len(np.unique(x)) < len(x) for x in arrays.values()
    )


def size_of(x: np.ndarray | None) -> float:
    if x is None:
        return 0.0
    return norm(np.nan_to_num(x, posinf=0, neginf=0)) if x.dtype.kind == "f" else 0.0


def difference(
    a, b, size: float, probe: Probe, backward: bool = False
) -> tuple[str, str, float] | None:
    """(kind, text, how much) of what a probe shows; `size`: of the node with the values as they are."""
    if backward and (a is None) != (b is None):
        given = np.zeros_like(b if a is None else a)
        a, b = given if a is None else a, given if b is None else b
    if a is None or b is None:
        return None
    if a.shape != b.shape or a.dtype.kind != b.dtype.kind:
        return None if probe.ties else (*kinds.tell(a, b), 1.0)
    if a.dtype.kind != "f":
        return None if probe.ties or (a == b).all() else (*kinds.tell(a, b), 1.0)
    most = gates.BRANCH
    if are_of_two_widths(a, b):  # where float32 has no such number, the other side need have none
        with np.errstate(over="ignore"):
            a, b, most = a.astype(np.float32), b.astype(np.float32), gates.COARSE
    fine = np.isfinite(a), np.isfinite(b)
    odd = (fine[0] != fine[1]) & ~np.isnan(a)  # a reference that is no number is no standard
    if odd.any():
        side = "the candidate" if fine[0][odd].all() else "the reference"
        return kinds.BRANCH, f"not finite in {side} only", 1.0
    a, b = (np.where(fine[0] & fine[1], x, 0.0) for x in (a, b))
    # gradients of what is saturated are differences of numbers near 1
    error = ratio(norm(a - b), norm(a) + max(TINY, (SATURATED if backward else NOISE) * size))
    return (*kinds.tell(a, b), error) if error > most else None
