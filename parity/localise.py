"""Where an error is made, and by whom: local errors of every node, forward and backward.

A forced trace (see tracing.py of the implementations) computes every node from what the reference had
before it. Its difference from the reference is the node's local error; that of a free run is the total,
and total / local the amplification. The owner of a node is the module whose code computed it: of a
module's arguments the module that called it, of its results itself; backward the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from neutral.randomness import stream
from parity import gates, oracle
from parity.compare import (
    compare_gradients_32,
    compare_losses,
    compare_nodes_32,
    summation_errors,
)
from parity.floors import Floors
from parity.verdicts import (
    Status,
    Verdict,
    absent_if_zero,
    judge,
    judge_gradient,
    judge_nodes,
    relative_l2,
    semantic_gradient_floor,
)

FORWARD_64, BACKWARD_64 = "float64 local forward", "float64 local gradients"
FORWARD_32, BACKWARD_32 = "float32 local forward", "float32 local gradients"


def module_of(node: str) -> str:
    """ "layer1.0.conv1/in[0]#2" -> "layer1.0.conv1"."""
    return node.partition("/in")[0].partition("#")[0].partition("[")[0]


def call_of(node: str) -> str:
    """ "layer1.0.conv1/in[0]#2" -> "layer1.0.conv1#2"."""
    number = node.partition("#")[2]
    return module_of(node) + (f"#{number}" if number else "")


def callers_of(owners: Mapping) -> dict[str, str]:
    """The module whose code calls each module, by name."""
    return {module_of(node): owner for node, owner in owners.items() if "/in" in node}


def parameter_owner(name: str, modules: Mapping) -> str:
    """The module that holds a parameter."""
    parts = name.split(".")
    return next(
        (
            ".".join(parts[:n])
            for n in range(len(parts) - 1, 0, -1)
            if ".".join(parts[:n]) in modules
        ),
        "(model)",
    )


def compare_local_64(
    case: str, reference: Mapping, forced: Mapping, weights: Mapping
) -> list[Verdict]:
    """The semantic gate on Jittor's forced float64 run: what fails here is wrong here.

    `weights` are what both sides were given; an oracle needs them to say which side is wrong.
    """
    owners = reference["owners"]

    def judge_forward(node, a, b):
        verdict = judge(case, FORWARD_64, node, b, a, gates.SEMANTIC_FORWARD)
        return verdict.but(owner=owners.get(node, "(detector)"))

    verdicts = judge_nodes(case, FORWARD_64, reference["nodes"], forced["nodes"], judge_forward)
    losses = compare_losses(case, "float64 local losses", reference, forced, gates.LOSS_64)
    verdicts += [v.but(owner="(detector)") for v in losses]
    if "gradients" in reference:
        owner_of = gradient_owner(reference)
        floor = semantic_gradient_floor(absent_if_zero(reference["node_gradients"]))
        for section in ("node_gradients", "gradients"):
            ours, theirs = (absent_if_zero(t[section]) for t in (reference, forced))

            def judge_backward(node, a, b, section=section):
                verdict = judge_gradient(
                    case, BACKWARD_64, node, b, a, gates.SEMANTIC_GRADIENT, floor
                )
                return verdict.but(owner=owner_of(section, node))

            verdicts += judge_nodes(case, BACKWARD_64, ours, theirs, judge_backward)
    return [
        name_the_guilty(v, reference, forced, weights) if v.status is Status.FAIL else v
        for v in verdicts
    ]


def gradient_owner(reference: Mapping) -> Callable[[str, str], str]:
    """owner(section, node): whose code makes a gradient out of those of what follows."""
    callers, modules = callers_of(reference["owners"]), reference["modules"]

    def owner(section: str, node: str) -> str:
        if section == "gradients":
            return parameter_owner(node, modules)
        if "/in" in node:
            return module_of(node)  # a module's own code gives its arguments' gradients
        return callers.get(module_of(node), "(detector)")  # its caller's those of its results

    return owner


def compare_local_32(
    case: str, exact: Mapping, torch: Mapping, jittor: Mapping, floors: Floors
) -> list[Verdict]:
    """The precision gate on forced float32 runs of both sides.

    `exact` is float64 PyTorch forced with the same float32 values, so that what both sides inherit is exact.
    """
    owners, three = exact["owners"], (exact, torch, jittor)
    nodes = (t["nodes"] for t in three)
    found = compare_nodes_32(
        case, FORWARD_32, *nodes, floors, "local forward", summation_errors(exact)
    )
    verdicts = [v.but(owner=owners.get(v.node, "(detector)")) for v in found]
    owner_of = gradient_owner(exact)
    for section in ("node_gradients", "gradients") if "gradients" in exact else ():
        found = compare_gradients_32(
            case, BACKWARD_32, *(t[section] for t in three), floors, "local gradients"
        )
        verdicts += [v.but(owner=owner_of(section, v.node)) for v in found]
    return verdicts


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
    if any(v.check in (FORWARD_64, BACKWARD_64) for v in failed):
        return "SEMANTIC-DIFF"
    sides = sorted({v.guilty for v in failed if v.check in (FORWARD_32, BACKWARD_32)})
    return f"PRECISION-DIFF({' and '.join(sides)})" if sides else "OK"


def name_the_guilty(
    verdict: Verdict, reference: Mapping, forced: Mapping, weights: Mapping
) -> Verdict:
    """A FAIL of the semantic gate with the side that NumPy says is wrong, or with what is known instead."""
    if not verdict.owner:  # a node of one side only
        return verdict
    name, layers = verdict.owner, [t["modules"].get(verdict.owner, {}) for t in (reference, forced)]
    evidence = oracle.different_attributes(*layers)
    if evidence:
        return _undecided(verdict, "the layers differ in " + "; ".join(evidence))
    ask = oracle.find_oracle(layers[0])
    if ask is None:
        kind = layers[0].get("type", "code outside of modules")
        return _undecided(verdict, f"NumPy has no oracle for {kind}")
    own = {
        k.removeprefix(f"{name}."): np.asarray(v, dtype=np.float64)
        for k, v in weights.items()
        if k.startswith(f"{name}.")
    }
    if not weights:
        return _undecided(verdict, "the weights are not at hand")
    inputs = f"{name}/in[0]" + (f"#{call_of(verdict.node).partition('#')[2]}".rstrip("#"))
    if inputs not in reference["nodes"]:
        return _undecided(verdict, "its arguments were not recorded")
    x = reference["nodes"][inputs].astype(np.float64)
    if verdict.check == FORWARD_64:
        expected = ask(x, layers[0], own)
        errors = [
            relative_l2(t["nodes"][verdict.node], expected)
            if t["nodes"][verdict.node].shape == expected.shape
            else float("inf")
            for t in (reference, forced)
        ]
        return _blame(verdict, errors, gates.SEMANTIC_FORWARD)
    output = call_of(inputs)
    if verdict.node != inputs or reference["node_gradients"].get(output) is None:
        return _undecided(verdict, "NumPy is asked for gradients of arguments only")
    cotangent = reference["node_gradients"][output]
    direction = stream(0, "oracle", verdict.node).standard_normal(x.shape)
    slope = oracle.directional_derivative(ask, x, layers[0], own, cotangent, direction)
    errors = []
    for t in (reference, forced):
        gradient = t["node_gradients"][verdict.node]
        found = 0.0 if gradient is None else float((gradient * direction).sum())
        errors.append(abs(found - slope) / max(abs(slope), np.finfo(float).tiny))
    return _blame(verdict, errors, gates.FINITE_DIFFERENCES_LOOSE)


def _blame(verdict: Verdict, errors: list[float], limit: float) -> Verdict:
    """The side that differs from NumPy, when the other does not."""
    wrong = [side for side, e in zip(("torch", "jittor"), errors, strict=True) if not e <= limit]
    numbers = f"against NumPy torch {errors[0]:.1e}, jittor {errors[1]:.1e}"
    if len(wrong) != 1:
        return _undecided(verdict, numbers)
    message = f"{wrong[0]} is wrong ({numbers}); {verdict.message}".removesuffix("; ")
    return verdict.but(guilty=wrong[0], message=message)


def _undecided(verdict: Verdict, evidence: str) -> Verdict:
    message = f"which side is INCONCLUSIVE: {evidence}; {verdict.message}".removesuffix("; ")
    return verdict.but(message=message)
