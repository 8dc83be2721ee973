"""What rounding a layer's sums must be allowed, from how many terms they have."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from parity.engine import gates
from parity.engine.checks import LOCAL_FORWARD_32
from parity.engine.nodes import call_of
from parity.engine.verdicts import Status, Verdict


def summation_errors(trace: Mapping) -> dict[str, float]:
    """The error to be expected of what a convolution, a linear layer or a pool over whatever it is given returns, were
    its sums one long chain each."""
    modules, nodes, found = trace.get("modules", {}), trace["nodes"], {}
    for node in nodes:
        name, _, call = node.partition("#")
        layer = modules.get(name, {})
        if "/in" in node or not layer:
            continue
        terms = count_terms(layer)
        given = f"{name}/in[0]" + (f"#{call}" if call else "")
        if layer.get("type", "").startswith("AdaptiveAvgPool") and given in nodes:
            terms = nodes[given].size // max(nodes[node].size, 1)
        if terms:
            found[node] = gates.U32 * math.sqrt(terms / gates.SUMMATION_TERMS)
    return found


def count_terms(layer: Mapping) -> int:
    """How many products each output of a layer (see Tracer.describe) adds up; 0 when it is none that adds."""
    if "in_channels" in layer and "kernel_size" in layer:
        kernel = layer["kernel_size"]
        area = math.prod(kernel) if isinstance(kernel, (list, tuple)) else kernel**2
        return layer["in_channels"] // layer.get("groups", 1) * area
    return layer.get("in_features", 0)


NORM = "Jittor's batch norm takes the variance as E[x²] - E[x]², which cancels"


def with_norms(
    verdict: Verdict, exact: Mapping, candidate: Mapping, sides: tuple[str, str]
) -> Verdict:
    """A local float32 FAIL as KNOWN where it is the result of Jittor's own batch norm in training mode, and no more
    than what cancels there makes of the rounding that its sums are expected to have."""
    layer = candidate["modules"].get(verdict.owner, {})
    if verdict.check != LOCAL_FORWARD_32 or verdict.guilty != sides[1] or "/in" in verdict.node:
        return verdict
    number = call_of(verdict.node).partition("#")[2]
    given = f"{verdict.owner}/in[0]" + (f"#{number}" if number else "")
    is_norm = layer.get("type") == "BatchNorm" and layer.get("is_train") is True  # Jittor's names
    if not is_norm or given not in exact["nodes"]:
        return verdict
    if not verdict.measured <= cancelled(exact["nodes"][given], layer["eps"]):
        return verdict
    return verdict.but(status=Status.KNOWN, message=f"{NORM}; {verdict.message}")


def cancelled(x: np.ndarray, eps: float) -> float:
    """The relative error to be expected of x [B, C, ...] normalised with E[x²] - E[x]² of float32 sums."""
    rows = np.moveaxis(np.asarray(x, dtype=np.float64), 1, 0).reshape(x.shape[1], -1)
    sums = max(gates.PRECISION_FLOOR, gates.U32 * math.sqrt(rows.shape[1] / gates.SUMMATION_TERMS))
    return float(sums * ((rows**2).mean(1) / (rows.var(1) + eps)).max())
