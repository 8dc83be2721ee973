"""Which side is wrong: a failing node against NumPy.

Before: oracle.py, NumPy's layers. localise.py asks here of what fails in a forced run.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from door.randomness import stream
from parity.engine.judge import gates, oracle
from parity.engine.judge.checks import LOCAL_FORWARD_64
from parity.engine.judge.judging import (
    SIDES,
    relative_l2,
)
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.values.nodes import call_of


def name_the_guilty(
    verdict: Verdict,
    reference: Mapping,
    forced: Mapping,
    weights: Mapping,
    sides: tuple[str, str] = SIDES,
) -> Verdict:
    """A FAIL of the semantic gate with the side that NumPy says is wrong, or with what is known instead."""
    if not verdict.owner:  # a node of one side only
        return verdict
    name, layers = verdict.owner, [t["modules"].get(verdict.owner, {}) for t in (reference, forced)]
    evidence = oracle.different_attributes(*layers, sides)
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
    try:
        return _asked(verdict, (reference, forced), ask, layers[0], own, inputs, sides)
    except oracle.Unfit as error:
        return _undecided(verdict, f"NumPy's {layers[0]['type']} is another one ({error})")


def _asked(
    verdict: Verdict,
    traces: tuple[Mapping, Mapping],
    ask,
    layer: Mapping,
    own: dict,
    inputs: str,
    sides: tuple[str, str],
) -> Verdict:
    """What NumPy says of both sides' values of that layer, whose weights are `own` and whose argument is `inputs`."""
    reference, forced = traces
    x = reference["nodes"][inputs].astype(np.float64)
    rng = stream(0, "condition", verdict.node)
    moved = x * (1 + gates.EPS64 * rng.choice([-1.0, 1.0], x.shape))
    if verdict.check == LOCAL_FORWARD_64:
        expected = ask(x, layer, own)
        errors = [
            relative_l2(t["nodes"][verdict.node], expected)
            if t["nodes"][verdict.node].shape == expected.shape
            else float("inf")
            for t in (reference, forced)
        ]
        # an ill-conditioned layer, such as a norm of two elements, leaves nobody more digits than this
        own = gates.CONDITION * relative_l2(ask(moved, layer, own), expected)
        return _blame(verdict, errors, gates.SEMANTIC_FORWARD, own, sides)
    output = call_of(inputs)
    if verdict.node != inputs or reference["node_gradients"].get(output) is None:
        return _undecided(verdict, "NumPy is asked for gradients of arguments only")
    cotangent = reference["node_gradients"][output]
    direction = stream(0, "oracle", verdict.node).standard_normal(x.shape)
    arguments = (layer, own, cotangent, direction)
    slope = oracle.directional_derivative(ask, x, *arguments)
    again = oracle.directional_derivative(ask, x, *arguments, step=3e-6)
    least = max(abs(slope), np.finfo(float).tiny)
    errors = []
    for t in (reference, forced):
        gradient = t["node_gradients"][verdict.node]
        found = 0.0 if gradient is None else float((gradient * direction).sum())
        errors.append(abs(found - slope) / least)
    own_error = gates.CONDITION * abs(again - slope) / least
    return _blame(verdict, errors, gates.FINITE_DIFFERENCES_LOOSE, own_error, sides)


def _blame(
    verdict: Verdict, errors: list[float], limit: float, own: float, sides: tuple[str, str]
) -> Verdict:
    """The side that differs from NumPy by more than `limit` and NumPy's `own` error, when the other does not."""
    wrong = [side for side, e in zip(sides, errors, strict=True) if not e <= max(limit, own)]
    numbers = f"against NumPy {sides[0]} {errors[0]:.1e}, {sides[1]} {errors[1]:.1e}"
    if not wrong and verdict.check == LOCAL_FORWARD_64 and own > limit:
        message = f"both are within the rounding of an ill-conditioned layer, {own:.1e} ({numbers})"
        return verdict.but(status=Status.KNOWN, message=message)
    if len(wrong) != 1:
        return _undecided(verdict, numbers)
    message = f"{wrong[0]} is wrong ({numbers}); {verdict.message}".removesuffix("; ")
    return verdict.but(guilty=wrong[0], message=message)


def _undecided(verdict: Verdict, evidence: str) -> Verdict:
    message = f"which side is INCONCLUSIVE: {evidence}; {verdict.message}".removesuffix("; ")
    return verdict.but(message=message)
