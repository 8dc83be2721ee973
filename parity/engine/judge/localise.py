"""Where an error is made, and by whom: local errors of every node, forward and backward.

A forced trace (see tracer.py) computes every node from what the reference had
before it. Its difference from the reference is the node's local error; that of a free run is the total,
and total / local the amplification. The owner of a node is the module whose code computed it: of a
module's arguments the module that called it, of its results itself; backward the other way round.

Before: semantic.py and precision.py, which judge free runs. ask/examination.py asks here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import numpy as np

from parity.engine.judge import gates, kinds
from parity.engine.judge.blame import name_the_guilty
from parity.engine.judge.checks import (
    LOCAL_DETECTIONS_64,
    LOCAL_FORWARD_32,
    LOCAL_FORWARD_64,
    LOCAL_GRADIENTS_32,
    LOCAL_GRADIENTS_64,
    LOCAL_LOSSES_64,
    LOCAL_PLAIN_64,
)
from parity.engine.judge.detections import array_at, compare_detections
from parity.engine.judge.gradients import absent_if_zero, judge_gradient, semantic_gradient_scale
from parity.engine.judge.judging import SHAPES, SIDES, judge, judge_nodes
from parity.engine.judge.norms import with_norms
from parity.engine.judge.outcomes import compare_plain
from parity.engine.judge.precision import PrecisionGate, not_reached
from parity.engine.judge.rounding import summation_errors
from parity.engine.judge.semantic import CHOICE, compare_losses, flatten_losses
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.values.aligned import aligned
from parity.engine.values.nodes import OUTSIDE, call_of, callers_of, module_of, parameter_owner


def compare_local_64(
    case: str,
    reference: Mapping,
    forced: Mapping,
    weights: Mapping,
    sides: tuple[str, str] = SIDES,
) -> list[Verdict]:
    """The semantic gate on the candidate's forced float64 run: what fails here is wrong here.

    `weights` are what both sides were given; an oracle needs them to say which side is wrong.
    """
    owners, forced = reference["owners"], aligned(reference, forced)

    def judge_forward(node, a, b):
        verdict = judge(case, LOCAL_FORWARD_64, node, b, a, gates.SEMANTIC_FORWARD)
        return verdict.but(owner=owners.get(node, OUTSIDE))

    nodes = (t["nodes"] for t in (reference, forced))
    verdicts = judge_nodes(case, LOCAL_FORWARD_64, *nodes, judge_forward, sides)
    verdicts += compare_plain(case, LOCAL_PLAIN_64, reference, forced, sides)
    losses = compare_losses(case, LOCAL_LOSSES_64, reference, forced, gates.LOSS_64, sides)
    verdicts += [v.but(owner=OUTSIDE) for v in losses]
    if "detections" in reference and "detections" in forced:  # of the reference's outputs
        two = (reference["detections"], forced["detections"])
        found = compare_detections(case, LOCAL_DETECTIONS_64, *two, gates.LOSS_64, sides)
        verdicts += [v.but(owner=OUTSIDE) for v in found]
    if "gradients" in reference and "gradients" in forced:
        owner_of = gradient_owner(reference)
        scale = semantic_gradient_scale(absent_if_zero(reference["node_gradients"]))
        for section in ("node_gradients", "gradients"):
            ours, theirs = (absent_if_zero(t[section]) for t in (reference, forced))

            def judge_backward(node, a, b, section=section):
                verdict = judge_gradient(
                    case, LOCAL_GRADIENTS_64, node, b, a, gates.SEMANTIC_GRADIENT, scale
                )
                return verdict.but(owner=owner_of(section, node))

            if ours or theirs:
                verdicts += judge_nodes(
                    case, LOCAL_GRADIENTS_64, ours, theirs, judge_backward, sides
                )
    told = [
        explained(name_the_guilty(v, reference, forced, weights, sides), reference, forced)
        if v.status is Status.FAIL
        else v
        for v in verdicts
    ]
    return with_choice(told, reference, forced)


def with_choice(verdicts: list[Verdict], reference: Mapping, forced: Mapping) -> list[Verdict]:
    """The same; FAILs of what runs in no module tell the first choice that was made otherwise there before them."""
    odd = {id(v) for v in verdicts if v.status is Status.FAIL and v.owner == OUTSIDE}
    name = first_otherwise(reference, forced) if odd else ""
    if not name:
        return verdicts
    order = reference["order"]
    before = set(order[: order.index(f"{CHOICE}{name}")])
    text = f"; before it {name} was chosen otherwise"
    return [
        v.but(message=f"{v.message}{text}")
        if id(v) in odd and v.check != LOCAL_GRADIENTS_64 and v.node not in before
        else v
        for v in verdicts
    ]


def first_otherwise(reference: Mapping, forced: Mapping) -> str:
    """Of the choices that both runs made in no module, the first that differs; "" where none does."""
    made = [t.get("choices", {}) for t in (reference, forced)]
    for entry in reference.get("order", ()):
        name = entry.removeprefix(CHOICE)
        inside = " in " in name and not name.partition("#")[0].endswith(f" in {OUTSIDE}")
        if entry == name or inside or not all(name in choices for choices in made):
            continue
        if not np.array_equal(*(choices[name] for choices in made)):
            return name
    return ""


def explained(verdict: Verdict, reference: Mapping, forced: Mapping) -> Verdict:
    """A local FAIL with its kind, and where in both sides' code it is."""
    if verdict.check == LOCAL_PLAIN_64 or verdict.kind == kinds.MISSING:
        return verdict
    node, backward = verdict.node, verdict.check == LOCAL_GRADIENTS_64
    if node.startswith(("loss/", "error/")):
        pair = [flatten_losses(t).get(node) for t in (reference, forced)]
        told = ", ".join("none" if x is None else f"{float(x[0]):.6g}" for x in pair)
        makers = [t.get("makers", {}).get(node.partition("/")[2], {}) for t in (reference, forced)]
        text = (f"reference and candidate: {told}", computed_by(*makers), verdict.message)
        message = "; ".join(filter(None, text))
        written = (t.get("written", {}).get("losses", "") for t in (reference, forced))
        code = tuple(m.get("code", "") or place for m, place in zip(makers, written, strict=True))
        return verdict.but(kind=kinds.FORMULA, message=message, code=code)
    section = "nodes"
    if backward:
        section = "gradients" if node in reference.get("gradients", {}) else "node_gradients"
    pair = [t.get(section, {}).get(node) for t in (reference, forced)]
    if verdict.check == LOCAL_DETECTIONS_64:
        pair = [array_at(t["detections"], node) for t in (reference, forced)]
    kind, text = kinds.tell(*pair)
    if backward and (pair[1] is None or not pair[1].any()):
        kind, text = kinds.DETACHED, "the candidate's is absent: detached, frozen, or in place"
    if "the layers differ in" in verdict.message:
        kind = kinds.CONSTANT
    message = "; ".join(filter(None, (text, verdict.message)))
    code = tuple(place_of(verdict, t) for t in (reference, forced))
    return verdict.but(kind=kind, message=message, code=code)


def computed_by(reference: Mapping, candidate: Mapping) -> str:
    """Which function makes a number, and in which module's code, on both sides where they differ; "" if unknown."""
    texts = [
        m["function"] + (f" in {m['module']}" if m["module"] else "")
        for m in (reference, candidate)
        if m
    ]
    return f"computed by {' and '.join(dict.fromkeys(texts))}" if texts else ""


def place_of(verdict: Verdict, trace: Mapping) -> str:
    """FILE:LINE of a verdict's owner on one side: the line of the call for what a module was called with, else the
    owner's code."""
    called = trace.get("called", {})
    if verdict.check in (LOCAL_FORWARD_64, LOCAL_FORWARD_32) and "/in" in verdict.node:
        place = called.get(call_of(verdict.node), "")
        if place:
            return place
    return trace["modules"].get(verdict.owner, {}).get("code", "")


def gradient_owner(reference: Mapping) -> Callable[[str, str], str]:
    """owner(section, node): whose code makes a gradient out of those of what follows."""
    callers = callers_of(reference["owners"])
    # what is never called, as a layer whose weight alone is used, has no code that runs
    called = {module_of(node) for node in reference["owners"]}
    modules = {name: x for name, x in reference["modules"].items() if name in called}

    def owner(section: str, node: str) -> str:
        if section == "gradients":
            return parameter_owner(node, modules)
        if "/in" in node:
            return module_of(node)  # a module's own code gives its arguments' gradients
        return callers.get(module_of(node), OUTSIDE)  # its caller's those of its results

    return owner


def compare_local_32(
    gate: PrecisionGate,
    exact: Mapping,
    reference: Mapping,
    candidate: Mapping,
    weights: Mapping = MappingProxyType({}),
) -> list[Verdict]:
    """The precision gate on forced float32 runs of both sides.

    `exact` is the float64 reference forced with the same float32 values, so that what both sides inherit is exact;
    `weights` are what both sides were given.
    """
    owners, three = exact["owners"], (exact, reference, aligned(exact, candidate))
    nodes = [t["nodes"] for t in three]
    found = gate.nodes(LOCAL_FORWARD_32, nodes, "local forward", summation_errors(exact))
    found = not_reached(found, exact)
    verdicts = [v.but(owner=owners.get(v.node, OUTSIDE)) for v in found]
    owner_of = gradient_owner(exact)
    for section in ("node_gradients", "gradients") if all("gradients" in t for t in three) else ():
        gradients = [t[section] for t in three]
        found = gate.gradients(LOCAL_GRADIENTS_32, gradients, "local gradients")
        verdicts += [v.but(owner=owner_of(section, v.node)) for v in found]
    return [
        placed(with_norms(v, exact, candidate, weights, gate.sides), *three[1:])
        if v.status is Status.FAIL
        else v
        for v in verdicts
    ]


def placed(verdict: Verdict, reference: Mapping, candidate: Mapping) -> Verdict:
    """A local FAIL of float32 with where in both sides' code it is; a small one is of precision."""
    code = tuple(place_of(verdict, t) for t in (reference, candidate))
    kind = verdict.kind
    if verdict.measured is not None and verdict.measured < gates.COARSE:
        kind = kinds.PRECISION
    elif SHAPES in verdict.message:
        kind = kinds.SHAPE
    return verdict.but(code=code, kind=kind)


def culprits(verdicts: Iterable[Verdict]) -> dict[str, list[Verdict]]:
    """The FAILs of local checks by the module whose code they blame, in the order of execution."""
    found: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.status is Status.FAIL and verdict.owner:
            found.setdefault(verdict.owner, []).append(verdict)
    return found


def classify(verdicts: Iterable[Verdict]) -> str:
    """OK, SEMANTIC-DIFF or PRECISION-DIFF(side): what the local checks say of one node."""
    failed = [v for v in verdicts if v.status is Status.FAIL]
    if any(v.check in (LOCAL_FORWARD_64, LOCAL_GRADIENTS_64) for v in failed):
        return "SEMANTIC-DIFF"
    sides = sorted({v.guilty for v in failed if v.check in (LOCAL_FORWARD_32, LOCAL_GRADIENTS_32)})
    return f"PRECISION-DIFF({' and '.join(sides)})" if sides else "OK"
