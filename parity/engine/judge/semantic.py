"""The semantic gate: everything that two float64 runs hold, in the order of execution.

Before: judging.py, which compares arrays. Forced runs are localise.py's, float32 is precision.py's.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from parity.engine.judge import checks, gates
from parity.engine.judge.detections import compare_detections
from parity.engine.judge.gradients import absent_if_zero, judge_gradient, semantic_gradient_scale
from parity.engine.judge.judging import (
    NOTHING,
    SIDES,
    are_of_two_widths,
    judge,
    judge_equal,
    judge_nodes,
    narrowed,
    only_on_one_side,
)
from parity.engine.judge.outcomes import (
    compare_changed,
    compare_moved,
    compare_plain,
    told_stand_ins,
)
from parity.engine.judge.verdicts import ZERO, Status, Verdict
from parity.engine.values.aligned import aligned
from parity.engine.values.arrays import Selection

CHOICE = "choice "  # in a trace's order, before the name of a choice


def compare_semantics(
    case: str, reference: Mapping, candidate: Mapping, sides: tuple[str, str] = SIDES
) -> list[Verdict]:
    """The whole gate, on two float64 traces."""
    return compare_forward_64(case, reference, candidate, sides) + compare_backward_64(
        case, reference, candidate, sides
    )


def compare_forward_64(
    case: str, reference: Mapping, candidate: Mapping, sides: tuple[str, str] = SIDES
) -> list[Verdict]:
    """Nodes and choices, losses, what post-processing gives."""
    candidate = aligned(reference, candidate)
    verdicts = compare_changed(case, reference, candidate, sides)
    verdicts += compare_moved(case, reference, candidate, sides)
    verdicts += told_stand_ins(case, checks.LOSSES_64, reference, candidate, sides)
    verdicts += compare_execution(case, reference, candidate, sides)
    verdicts += compare_plain(case, checks.PLAIN_64, reference, candidate, sides)
    verdicts += compare_losses(case, checks.LOSSES_64, reference, candidate, gates.LOSS_64, sides)
    present = ["detections" in t for t in (reference, candidate)]
    if all(present):
        found = (t["detections"] for t in (reference, candidate))
        verdicts += compare_detections(
            case, checks.DETECTIONS_64, *found, gates.SEMANTIC_FORWARD, sides
        )
    elif any(present):
        verdicts.append(only_on_one_side(case, checks.DETECTIONS_64, "(all)", present[0], sides))
    return verdicts


def compare_execution(
    case: str, reference: Mapping, candidate: Mapping, sides: tuple[str, str] = SIDES
) -> list[Verdict]:
    """Nodes and choices: what is chosen lies between the nodes that it was chosen from and those behind it."""
    verdicts = []
    if not reference["nodes"] and not candidate["nodes"]:
        return [Verdict(case, checks.FORWARD_64, "(all)", Status.FAIL, message=NOTHING)]
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is looked at and told
        for entry in dict.fromkeys([*reference["order"], *candidate["order"]]):
            is_choice = entry.startswith(CHOICE)
            name = entry.removeprefix(CHOICE)
            section, check = (
                ("choices", checks.CHOICES_64) if is_choice else ("nodes", checks.FORWARD_64)
            )
            a, b = (t[section].get(name) for t in (reference, candidate))
            if a is None or b is None:
                verdicts.append(only_on_one_side(case, check, name, a is not None, sides))
            elif is_choice:
                verdicts.append(judge_equal(case, check, name, b, a))
            else:
                verdicts.append(judge(case, check, name, b, a, gates.SEMANTIC_FORWARD))
    return verdicts


def flatten_losses(trace: Mapping) -> dict[str, np.ndarray]:
    """Loss components, logged errors, then the total, as float64 scalars; Jittor's have shape (1,)."""
    values = {f"loss/{k}": v for k, v in trace["losses"].items()}
    values |= {f"error/{k}": v for k, v in trace["errors"].items()}
    values |= {"loss/total": trace["total"]} if "total" in trace else {}
    return {k: np.asarray(v, dtype=np.float64).reshape(-1) for k, v in values.items()}


def loss_at(trace: Mapping, node: str):
    """What flatten_losses calls `node`, as the side has it."""
    section, _, name = node.partition("/")
    if node == "loss/total" and "total" in trace:
        return trace["total"]
    return trace["losses" if section == "loss" else "errors"].get(name)


def loss_sizes(trace: Mapping) -> dict[str, float]:
    """What losses made by the harness are compared with besides themselves: they nearly cancel at times."""
    return {f"loss/{name}": size for name, size in trace.get("sizes", {}).items()}


def compare_losses(
    case: str,
    check: str,
    reference: Mapping,
    candidate: Mapping,
    limit: float,
    sides: tuple[str, str] = SIDES,
) -> list[Verdict]:
    """Every component; one that is 0 on both sides proves nothing, none on either side is NOT_RUN."""

    def judge_one(node, a, b):
        verdict = judge(case, check, node, b, a, limit, uncancelled.get(node, 0.0))
        held = [
            np.asarray(x) for t in (candidate, reference) if (x := loss_at(t, node)) is not None
        ]
        if verdict.status is Status.FAIL and len(held) == 2 and are_of_two_widths(*held):
            return narrowed(verdict, *held)
        if verdict.status is Status.PASS and node.startswith("loss/") and not a.any():
            return verdict.but(status=Status.INCONCLUSIVE, message=ZERO)
        return verdict

    ours, theirs = flatten_losses(reference), flatten_losses(candidate)
    uncancelled = loss_sizes(reference)
    if not ours and not theirs:
        message = "no loss on either side: nothing that floats comes out"
        return [Verdict(case, check, "(all)", Status.NOT_RUN, message=message)]
    return judge_nodes(case, check, ours, theirs, judge_one, sides)


def compare_backward_64(
    case: str, reference: Mapping, candidate: Mapping, sides: tuple[str, str] = SIDES
) -> list[Verdict]:
    """The semantic gate's gradients, where there are any."""
    candidate = aligned(reference, candidate)
    if not any("gradients" in t for t in (reference, candidate)):
        return []
    if any(t.get("crashes") and "gradients" not in t for t in (reference, candidate)):
        return []  # a side did not get there
    if "gradients" not in reference:
        # nothing there can be differentiated, where Jittor calls every float differentiable: of its nodes that
        # says nothing, of its parameters that nothing may reach them
        ours, theirs = dict.fromkeys(candidate["gradients"]), candidate["gradients"]
        check = checks.GRADIENTS_64
        return compare_gradients_64(case, check, ours, theirs, sides) if theirs else []
    if "gradients" not in candidate:
        names = ("node_gradients", "gradients")
        candidate = {name: dict.fromkeys(reference[name]) for name in names}
    # backward, the first node to diverge is the last one of the forward pass
    ours = reference["node_gradients"]
    nodes = Selection(ours, reversed(list(ours)))
    theirs = without_extra_inputs(reference, candidate)
    verdicts = []
    if nodes or theirs:
        verdicts += compare_gradients_64(case, checks.NODE_GRADIENTS_64, nodes, theirs, sides)
    ours, theirs = (t["gradients"] for t in (reference, candidate))
    if ours or theirs:
        verdicts += compare_gradients_64(case, checks.GRADIENTS_64, ours, theirs, sides)
    return verdicts


def without_extra_inputs(reference: Mapping, candidate: Mapping) -> Selection:
    """The candidate's node gradients, but for what is a constant in the reference (an argument, what frozen layers
    give): Jittor does not know that it is."""
    ours, theirs = reference["node_gradients"], candidate["node_gradients"]
    known = reference["nodes"]
    return Selection(
        theirs, [n for n in theirs if n in ours or (n not in known and "/in" not in n)]
    )


def compare_gradients_64(
    case: str,
    check: str,
    reference: Mapping,
    candidate: Mapping,
    sides: tuple[str, str] = SIDES,
) -> list[Verdict]:
    """Gradients by node or parameter, in the order of the reference."""
    ours, theirs = absent_if_zero(reference), absent_if_zero(candidate)
    scale = semantic_gradient_scale(ours)

    def judge_one(node, a, b):
        return judge_gradient(case, check, node, b, a, gates.SEMANTIC_GRADIENT, scale)

    return judge_nodes(case, check, ours, theirs, judge_one, sides)
