"""The precision gate: two float32 runs against the float64 reference, node by node.

Before: less_precise.py, which judges arrays, and ledger.py, choices. Forced runs are localise.py's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from parity.engine.judge import checks, gates
from parity.engine.judge.detections import compare_detections_32
from parity.engine.judge.floors import Floors
from parity.engine.judge.gradients import (
    absent_if_zero,
    nothing_on_either_side,
    precision_gradient_scale,
)
from parity.engine.judge.judging import SIDES, judge_nodes
from parity.engine.judge.ledger import compare_ledgers
from parity.engine.judge.less_precise import judge_precision
from parity.engine.judge.rounding import summation_errors
from parity.engine.judge.semantic import flatten_losses, loss_sizes
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.values.aligned import aligned


@dataclass(frozen=True)
class PrecisionGate:
    """Judges float32 runs of a case; `three` are always the float64 reference, and the sides' float32."""

    case: str
    floors: Floors = field(default_factory=Floors)
    sides: tuple[str, str] = SIDES

    def compare(self, exact: Mapping, reference: Mapping, candidate: Mapping) -> list[Verdict]:
        """Free runs, which both repeat the choices of the float64 one: nothing differs because of another choice."""
        candidate = aligned(exact, candidate)
        three = (exact, reference, candidate)
        made = summation_errors(exact)
        inherited, greatest = {}, 0.0
        for node in exact["nodes"]:
            inherited[node] = greatest = max(greatest, made.get(node, 0.0))
        errors: dict[str, float] = {}
        nodes = [t["nodes"] for t in three]
        verdicts = self.nodes(checks.FORWARD_32, nodes, "forward", inherited, errors)
        verdicts = not_reached(verdicts, exact)
        verdicts += self.losses(three, inherited_error(errors, exact["evidence"]))
        verdicts += compare_ledgers(self.case, errors, reference, candidate, self.sides)
        if all("detections" in t for t in three):
            found = (t["detections"] for t in three)
            verdicts += compare_detections_32(self.case, *found, self.sides)
        if not all("gradients" in t for t in three):
            return verdicts
        gradients = [t["gradients"] for t in three]
        return verdicts + self.gradients(checks.GRADIENTS_32, gradients, "gradients")

    def nodes(
        self,
        check: str,
        three: list[Mapping],
        section: str,
        summation: Mapping[str, float],
        errors: dict[str, float] | None = None,
    ) -> list[Verdict]:
        """`section` of the floors; `summation` as `summation_errors` has it.

        `errors` gets the greatest error of any value of each node, of the worse side, as a fraction of its greatest
        value.
        """
        exact, reference, candidate = three

        def judge_one(node, a, b):
            prior = max(gates.PRECISION_LEAST, summation.get(node, 0.0))
            least, least_max = self.floors.limits(section, node, (prior, gates.MAXIMUM_LEAST))
            verdict = judge_precision(
                self.case,
                check,
                node,
                a,
                b,
                exact.get(node),
                gates.PRECISION_FACTOR,
                least,
                gates.MAXIMUM_FACTOR,
                least_max,
                greatest=errors,
                sides=self.sides,
            )
            return verdict.but(floor=self.floors.of(section, node))

        return judge_nodes(self.case, check, reference, candidate, judge_one, self.sides)

    def losses(self, three: tuple, inherited: float) -> list[Verdict]:
        check = checks.LOSSES_32
        if three[0].get(
            "weighted"
        ):  # the harness's own sums, whose terms may cancel: the outputs are nodes
            return []
        exact, reference, candidate = map(flatten_losses, three)
        least = max(gates.LOSS, gates.PRECISION_FACTOR * inherited)
        uncancelled = loss_sizes(three[0])

        def judge_one(node, a, b):
            return judge_precision(
                self.case,
                check,
                node,
                a,
                b,
                exact.get(node),
                gates.PRECISION_FACTOR,
                least,
                scale=uncancelled.get(node, 0.0),
                sides=self.sides,
            )

        if not reference and not candidate:
            return []
        return judge_nodes(self.case, check, reference, candidate, judge_one, self.sides)

    def gradients(self, check: str, three: list[Mapping], section: str) -> list[Verdict]:
        """By node or parameter."""
        exact, reference, candidate = (absent_if_zero(x) for x in three)
        scale = precision_gradient_scale(exact)

        def judge_one(node, a, b):
            if a is None and b is None:
                return nothing_on_either_side(self.case, check, node, gates.GRADIENT_LEAST)
            least, _ = self.floors.limits(section, node, (gates.GRADIENT_LEAST,) * 2)
            verdict = judge_precision(
                self.case,
                check,
                node,
                a,
                b,
                exact.get(node),
                gates.GRADIENT_FACTOR,
                least,
                scale=scale,
                sides=self.sides,
            )
            return verdict.but(floor=self.floors.of(section, node))

        if not reference and not candidate:
            return []
        return judge_nodes(self.case, check, reference, candidate, judge_one, self.sides)


def not_reached(verdicts: list[Verdict], exact: Mapping) -> list[Verdict]:
    """FAILs of nodes as NOT_RUN that the float64 reference has not, because it raised: code of float32 alone."""
    message = "the reference raised in float64, and there is nothing to measure by"
    return [
        v.but(status=Status.NOT_RUN, message=message)
        if exact.get("crashes") and v.status is Status.FAIL and v.node not in exact["nodes"]
        else v
        for v in verdicts
    ]


def inherited_error(errors: Mapping[str, float], evidence: Iterable[str]) -> float:
    """Greatest float32 error of single outputs that decide (Subject.evidence), judged on their own: a loss of a few
    sampled regions cannot be more exact. `errors` are those of all nodes, see PrecisionGate.nodes."""
    if not evidence:
        return 0.0
    deciding = re.compile(rf"(?:{'|'.join(map(re.escape, evidence))})(\[\d\])?(#\d+)?$")
    return max((error for node, error in errors.items() if deciding.match(node)), default=0.0)
