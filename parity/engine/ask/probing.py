"""Inputs that reach the other branches: every module of both sides is run on changed values, and compared again.

Forced (tracer.py), a run can be given any value at every border of a module: 64 times what came there, of the other
sign, next to nothing, zero, boxes that touch. A clamp, an epsilon, a mask that only one side has then shows where it
is, however deep, while nothing explodes on the way; also one that changes gradients only, which are those of a fixed
weighting of what every module gives. What differs already with the values as they are is told elsewhere and not here
again.

Before: sides/probes.py, sides/forcing.py and sides/branches.py. Asked by everything.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from parity.case import Case
from parity.engine.ask.examination import Examination
from parity.engine.ask.result import Result
from parity.engine.ask.training import prepared
from parity.engine.judge import gates, kinds
from parity.engine.judge.branching import (
    BACKWARD,
    BETWEEN,
    alone,
    difference,
    differs,
    follows,
    has_equal_neighbours,
    has_ties,
    is_float,
    is_number,
    is_ranked,
    is_rounding,
    one_way,
    size_of,
    tells,
)
from parity.engine.judge.checks import BRANCHES
from parity.engine.judge.crashes import unfinished
from parity.engine.judge.detections import flattened
from parity.engine.judge.localise import gradient_owner, place_of
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.sides.probes import (
    AS_GIVEN,
    MOST_INPUTS,
    ONE_BY_ONE,
    PROBES,
    Probe,
    are_boxes,
)
from parity.engine.sides.workers import Workers
from parity.engine.tell.known import AS_ROUNDED
from parity.engine.values.aligned import aligned, shared_nodes
from parity.engine.values.nodes import OUTSIDE, ROOT
from parity.engine.values.record import Record
from parity.errors import WorkerDied, WorkerError

HERE = "parity.engine.sides.forcing"
INPUT, RESULT = (re.compile(re.escape(ROOT) + tail) for tail in (r"/in[^#]*$", r"(?!/in)"))
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
        self.ranked: list[str] = []
        # what one side alone has is not forced
        self.shared: set[str] | None = None
        self.refused = False  # the last probe, by the reference, or it is no number that came of it
        self.decided: dict[str, list[dict]] = {side: [] for side in case.labels}

    def run(self, told: Callable) -> list[Verdict]:
        """All verdicts; where a side dies or the time is over, those of before, too."""
        try:
            self.all(told)
        except (WorkerError, WorkerDied) as error:
            lost = unfinished(self.case.name, error, [BRANCHES], self.case.labels[0])
            return self.verdicts + lost
        return self.verdicts + one_way(self.name, self.decided)

    def all(self, told: Callable) -> None:
        first = self.case.labels[0]
        base = self.examination.path(first, "base")
        options = {"targets": self.examination.targets, "gradients": False}
        self.workers[first].call("trace", self.examination.inputs, out=base, **options)
        for probe in PROBES:
            if self.applies(probe, base):
                self.one(probe, base, told)
                if self.refused:
                    for single in self.singles(probe, base):
                        self.one(single, base, told)
            if not self.agreed:  # nothing to be compared again
                break

    def applies(self, probe: Probe, base: Path) -> bool:
        if not probe.natural:
            return True
        targets = self.examination.targets
        if probe.targets(targets) is not targets and differs(targets, probe.targets(targets)):
            return True
        nodes = Record(base)["nodes"]
        return any(probe.change(nodes[n]) is not nodes[n] for n in nodes if are_boxes(nodes[n]))

    def singles(self, probe: Probe, base: Path) -> list[Probe]:
        """The same for one input at a time."""
        nodes = Record(base)["nodes"]
        floats = [n for n in nodes if INPUT.match(n) and is_float(nodes[n])]
        if probe not in ONE_BY_ONE or not 1 < len(floats) <= MOST_INPUTS:
            return []
        return [replace(probe, only=name) for name in floats]

    def one(self, probe: Probe, base: Path, told: Callable) -> None:
        before = len(self.verdicts)
        sides, paths, errors = self.case.labels, {}, {}
        for side in sides:
            paths[side] = self.submit(side, probe, base)
        for side in sides:
            try:
                self.decided[side].append(self.workers[side].result())
            except (WorkerError, WorkerDied) as error:
                errors[side] = error
                if isinstance(error, WorkerDied):
                    self.examination.prepare((side,), "float64")
        self.refused = sides[0] in errors
        if errors:
            self.tell_errors(probe, errors)
        else:
            self.compare(probe, base, *(Record(paths[side]) for side in sides))
        for path in paths.values():
            path.unlink(missing_ok=True)
        told(probe.title, self.verdicts[before:])

    def submit(self, side: str, probe: Probe, base: Path, name: str = "probe") -> Path:
        """Asks a side for a run on changed values; where it will be recorded."""
        out = self.examination.path(side, name)
        targets = probe.targets(self.examination.targets)
        change = (probe.name, probe.only)
        given = (change, self.examination.inputs, targets, base, out, self.shared)
        backward = self.case.gradients and not probe.ties  # which have several derivatives
        self.workers[side].submit("run", f"{HERE}:probed", *given, backward)
        return out

    def tell_errors(self, probe: Probe, errors: dict[str, Exception]) -> None:
        """Values that a side refuses are no defect, unless training meets them and the reference takes them."""
        first, second = self.case.labels
        wrong = probe.natural and first not in errors
        status = Status.FAIL if wrong else Status.NOT_RUN
        text = "; ".join(f"{side}: {error}" for side, error in errors.items())
        self.verdicts.append(
            Verdict(
                *(self.name, BRANCHES, probe.title, status),
                message=f"with {probe.title}: {text}",
                kind=kinds.CRASH if wrong else "",
                guilty=second if wrong else "",
            )
        )

    def compare(self, probe: Probe, base: Path, reference: Record, candidate: Record) -> None:
        differing: dict[tuple, tuple] = {}
        passed, candidate = 0, aligned(reference, candidate)
        if probe is AS_GIVEN:
            self.shared = set(shared_nodes(reference, candidate))
        self.refused = not all(
            is_number(x) for n, x in reference["nodes"].items() if RESULT.match(n)
        )
        tied = self.tied(probe, reference["nodes"])
        for name, a, b in self.pairs(probe, reference, candidate):
            if tied and (name[0] in BACKWARD or follows(name[1], a, tied)):
                continue  # any order of equal scores is right
            size = self.agreed.get(name, 0.0)
            found = difference(a, b, size, probe.ties, name[0] in BACKWARD)
            if probe is AS_GIVEN:
                if found is None:
                    self.agreed[name] = size_of(a)
            elif name in self.agreed and found is not None:
                differing[name] = found
            passed += found is None and is_number(a) and tells(*name, a)
        if passed and probe is not AS_GIVEN:
            self.verdicts.append(
                Verdict(self.name, BRANCHES, probe.title, Status.PASS, message=f"{passed} compared")
            )
        rounded = self.rounded(probe, base, reference, differing)
        for name, found in differing.items():
            if name not in rounded:
                self.failed.add(name)
            self.tell(probe, name, found, (reference, candidate), name in rounded)
        if differing:
            self.examination.prepare((self.case.labels[0],), "float64")

    def tied(self, probe: Probe, nodes: Mapping) -> dict[str, np.ndarray]:
        """Scores that come ranked from the values as they are, and now have equal ones among them."""
        if probe is AS_GIVEN:
            self.ranked = [n for n in nodes if is_ranked(nodes[n])]
            return {}
        found = {n: nodes[n] for n in self.ranked if n in nodes}
        return {n: x for n, x in found.items() if has_equal_neighbours(x)}

    def rounded(self, probe: Probe, base: Path, exact: Record, differing: Mapping) -> set[tuple]:
        """Those of the differences that the reference itself has as soon as it computes in float32: there what is
        saturated shows a rounded constant much enlarged, as 1 - p at p = 1 - 1e-4. It is left in float32."""
        doubtful = {n: found[2] for n, found in differing.items() if found[2] <= gates.CANCELLED}
        first = self.case.labels[0]
        if not doubtful:
            return set()
        try:
            self.examination.prepare((first,), "float32")
            out = self.submit(first, probe, base, "probe 32")
            self.workers[first].result()
        except (WorkerError, WorkerDied):
            return set()
        coarse = Record(out)
        found = {
            (section, node)
            for (section, node), measured in doubtful.items()
            if node in coarse.get(section, {})
            and is_rounding(exact[section][node], coarse[section][node], measured)
        }
        out.unlink(missing_ok=True)
        return found

    def pairs(self, probe: Probe, reference, candidate) -> Iterator[tuple]:
        """((section, node), the reference's array, the candidate's) of what is compared and has not failed yet."""
        for section in SECTIONS:
            if section == "losses" and reference.get("weighted"):
                continue  # the harness's own sums, whose terms may cancel: outputs are nodes
            two = [t.get(section, {}) for t in (reference, candidate)]
            if section == "detections":
                two = [flattened(t) for t in two]
                if has_ties(two[0]):
                    continue
            for node in two[0]:
                if node in two[1] and (section, node) not in self.failed:
                    yield (section, node), two[0][node], two[1][node]

    def tell(self, probe: Probe, name: tuple, found: tuple, records: tuple, rounded: bool) -> None:
        reference = records[0]
        (section, node), (kind, text, measured) = name, found
        owner = reference["owners"].get(node, OUTSIDE) if section == "nodes" else OUTSIDE
        if section in BACKWARD:
            owner = gradient_owner(reference)(section, node)
            kind, text = kinds.BACKWARD, f"its gradient: {text or 'another result'}"
        node = f"loss/{node}" if section == "losses" else node
        status = Status.KNOWN if rounded else Status.FAIL
        verdict = Verdict(
            *(self.name, BRANCHES, node, status, measured, gates.BRANCH),
            message=f"with {probe.title} only: {text or 'another result'}",
            owner=owner,
            kind=kind,
        )
        if rounded:
            self.verdicts.append(verdict.but(message=f"{AS_ROUNDED}; {verdict.message}"))
            return
        code = [place_of(verdict, t) for t in records]
        more = []
        for k, (side, keys) in enumerate(alone(self.decided).items()):
            if keys:
                code[k] = keys[0].rpartition(BETWEEN)[0]
                more.append(f"only {side} has {', '.join(k.rpartition('/')[2] for k in keys[:3])}")
        message = "; ".join([verdict.message, *more])
        kind = kinds.BRANCH if more and kind != kinds.BACKWARD else kind
        self.verdicts.append(verdict.but(code=tuple(code), message=message, kind=kind))
