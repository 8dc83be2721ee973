"""Local float32 FAILs that are noise: a sum of few numbers errs by chance more or less than the other side's.

How much the reference errs is asked at neighbours, too: at values that differ in the last place. By that a loss which
nearly cancels is judged as what it is, and a formula that loses more than the reference's stays a FAIL.

Before: less_precise.py, norms.py. ask/again.py asks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from parity.engine.judge import gates
from parity.engine.judge.checks import LOCAL_FORWARD_32, LOCAL_GRADIENTS_32
from parity.engine.judge.gradients import absent_if_zero, precision_gradient_scale
from parity.engine.judge.norms import relative
from parity.engine.judge.verdicts import Status, Verdict

NOISE = "the reference errs as much one unit in the last place away"


def is_doubtful(verdict: Verdict, side: str) -> bool:
    """Whether a local FAIL of float32 by `side` may be no more than rounding."""
    local = verdict.check in (LOCAL_FORWARD_32, LOCAL_GRADIENTS_32)
    failed = verdict.status is Status.FAIL and verdict.guilty == side
    return local and failed and verdict.measured is not None


def with_noise(
    verdict: Verdict, neighbours: Iterable[tuple[Mapping, Mapping]], side: str
) -> Verdict:
    """A local float32 FAIL of `side` as KNOWN where the reference errs as much; `neighbours`: two traces of it at each,
    in float64 and in float32."""
    if not is_doubtful(verdict, side):
        return verdict
    # a reference that overflows there is no standard: nothing would be beyond an infinite limit
    errors = filter(math.isfinite, (error_at(verdict, *two) for two in neighbours))
    factor = gates.PRECISION_FACTOR
    if "greatest error" in verdict.message:
        factor = gates.MAXIMUM_FACTOR
    elif verdict.check == LOCAL_GRADIENTS_32:
        factor = gates.GRADIENT_FACTOR
    limit = factor * max(errors, default=0.0)
    if not verdict.measured <= limit:
        return verdict
    message = f"{NOISE}, limit {limit:.1e}; {verdict.message}"
    return verdict.but(status=Status.KNOWN, message=message)


def error_at(verdict: Verdict, exact: Mapping, narrow: Mapping) -> float:
    """The reference's error at a verdict's node, in the measure that the verdict fails by; 0 where there is none."""
    node, section = verdict.node, "nodes"
    if verdict.check == LOCAL_GRADIENTS_32:
        section = "gradients" if node in exact.get("gradients", {}) else "node_gradients"
    two = [t.get(section, {}).get(node) for t in (exact, narrow)]
    if any(x is None for x in two) or two[0].shape != two[1].shape:
        return 0.0
    scale = 0.0
    if section != "nodes":
        scale = precision_gradient_scale(absent_if_zero(exact[section]))
    return relative(two[1] - two[0], two[0], scale, verdict)


def with_steady(verdict: Verdict, steady: Mapping[tuple, Verdict], why: str) -> Verdict:
    """A float32 FAIL as KNOWN where it passes as soon as that framework's own functions are steady; `steady`: verdicts
    of that run by check and node; why: of these functions (norms.reason)."""
    other = steady.get((verdict.check, verdict.node))
    if other is None or other.status is not Status.PASS:
        return verdict
    return verdict.but(status=Status.KNOWN, message=f"{why}; {verdict.message}")
