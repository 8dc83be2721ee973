"""What Jittor's normalising layers may be wrong by in float32: they take the variance as E[x²] - E[x]², which cancels.

Batch, instance, group and layer norm all do. The bound follows from the condition of these sums: from how many terms
they have, their squares against their variance, and eps; forward and backward, element by element.

Before: rounding.py. localise.py asks here, tell/known.py says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from parity.engine.judge import gates
from parity.engine.judge.checks import LOCAL_FORWARD_32, LOCAL_GRADIENTS_32
from parity.engine.judge.gradients import absent_if_zero, precision_gradient_scale
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.values.arrays import ratio
from parity.engine.values.nodes import call_of

NORM = "Jittor's norms take the variance as E[x²] - E[x]², which cancels"
ENTROPY = "Jittor's cross entropy takes the mean of its weights as a sum of 1/n in float32"
SUMS = "Jittor adds all elements of an array one after another in float32"


def reason(called: Iterable[str]) -> str:
    """Why these functions of Jittor's (see `steady_norms` of its backend) are less precise, as a text."""
    others = {"cross_entropy_loss": ENTROPY, "sum": SUMS, "resize": ""}
    return " and ".join(filter(None, dict.fromkeys(others.get(name, NORM) for name in called)))


def with_norms(
    verdict: Verdict,
    exact: Mapping,
    candidate: Mapping,
    weights: Mapping,
    sides: tuple[str, str],
) -> Verdict:
    """A local float32 FAIL as KNOWN where one of Jittor's own norms makes it, and it is no more than what cancels there
    makes of the rounding that its sums are expected to have."""
    layer = candidate["modules"].get(verdict.owner, {})
    if verdict.guilty != sides[1] or not is_norm(layer) or verdict.measured is None:
        return verdict
    try:
        limit = bound(verdict, exact, layer, weights)
    except (LookupError, TypeError, ValueError):  # called with arguments of another kind
        return verdict
    if not verdict.measured <= limit:
        return verdict
    return verdict.but(status=Status.KNOWN, message=f"{NORM}; {verdict.message}")


def is_norm(layer: Mapping) -> bool:
    """Whether a layer (see Tracer.describe) is one of Jittor's own and takes statistics of what it is given."""
    if layer.get("framework") != "jittor":
        return False
    return layer["type"] in GROUPED and (layer["type"] != "BatchNorm" or layer["is_train"] is True)


# [B, C, ...] as [groups, terms] of one mean each, and the axes of the layer's weight among those of x
GROUPED: dict[str, Callable[[np.ndarray, Mapping], np.ndarray]] = {
    "BatchNorm": lambda x, layer: np.moveaxis(x, 1, 0).reshape(x.shape[1], -1),
    "InstanceNorm": lambda x, layer: x.reshape(x.shape[0] * x.shape[1], -1),
    "GroupNorm": lambda x, layer: x.reshape(x.shape[0] * layer["num_groups"], -1),
    "LayerNorm": lambda x, layer: x.reshape(-1, math.prod(layer["normalized_shape"])),
}


def bound(verdict: Verdict, exact: Mapping, layer: Mapping, weights: Mapping) -> float:
    """The error to be expected at a verdict's node, relative to the exact values as the verdict's own is; 0 for nodes
    that such a layer's statistics do not make."""
    name = verdict.owner
    number = call_of(verdict.node).partition("#")[2]
    result = name + (f"#{number}" if number else "")
    given = f"{name}/in[0]" + (f"#{number}" if number else "")
    weight = np.asarray(weights.get(f"{name}.weight", 1.0), dtype=np.float64)
    if verdict.check == LOCAL_FORWARD_32 and verdict.node == result:
        norm = Norm.of(exact["nodes"][given], layer, weight)
        return relative(norm.forward(), exact["nodes"][result], 0.0, verdict)
    if verdict.check != LOCAL_GRADIENTS_32:
        return 0.0
    if verdict.node == given:
        section, cotangent = "node_gradients", exact["node_gradients"][result]
        errors = Norm.of(exact["nodes"][given], layer, weight).backward(cotangent)
    elif verdict.node == f"{name}.weight":
        section, errors = "gradients", 0.0
        for call in [n for n in exact["nodes"] if n == name or n.startswith(f"{name}#")]:
            given = f"{name}/in[0]" + call.removeprefix(name)
            norm = Norm.of(exact["nodes"][given], layer, weight)
            errors = errors + norm.of_weight(exact["node_gradients"][call])
    else:
        return 0.0
    scale = precision_gradient_scale(absent_if_zero(exact[section]))
    return relative(errors, exact[section][verdict.node], scale, verdict)


def relative(errors: np.ndarray, values: np.ndarray, scale: float, verdict: Verdict) -> float:
    """Errors beside exact values, in the measure that the verdict fails by."""
    size = np.max if "greatest error" in verdict.message else np.linalg.norm
    return ratio(float(size(np.abs(errors).ravel())), float(size(np.abs(values).ravel())) + scale)


@dataclass(frozen=True)
class Norm:
    """x as the layer saw it, and what it makes of it in exact arithmetic; arrays are [groups, terms] or [groups, 1].

    apart: x - mean; scale: 1 / sqrt(var + eps); worst: the same of the least variance that the sums may give;
    sums: relative error of a sum; size: root of the mean square.
    """

    x: np.ndarray
    shape: tuple[int, ...]
    weight: np.ndarray
    axes: tuple[int, ...]
    layer: Mapping
    apart: np.ndarray
    scale: np.ndarray
    worst: np.ndarray
    sums: float
    size: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, layer: Mapping, weight: np.ndarray) -> Norm:
        """`weight`: the layer's, or a number."""
        shape = x.shape
        kept = (1,) if layer["type"] != "LayerNorm" else range(-len(layer["normalized_shape"]), 0)
        kept = {axis % x.ndim for axis in kept}
        axes = tuple(axis for axis in range(x.ndim) if axis not in kept)
        if weight.ndim and layer["type"] != "LayerNorm":
            weight = weight.reshape(-1, *(1,) * (x.ndim - 2))
        grouped = GROUPED[layer["type"]]
        weight = grouped(np.broadcast_to(weight, shape), layer)
        rows = grouped(np.asarray(x, dtype=np.float64), layer)
        sums = gates.U32 * math.sqrt(rows.shape[1] / gates.SUMMATION_TERMS)
        sums = max(gates.PRECISION_LEAST, sums)
        square = (rows**2).mean(1, keepdims=True)
        apart = rows - rows.mean(1, keepdims=True)
        var = (apart**2).mean(1, keepdims=True)
        least = np.maximum(var - sums * square, 0)
        scales = (1 / np.sqrt(v + layer["eps"]) for v in (var, least))
        return cls(rows, shape, weight, axes, layer, apart, *scales, sums, np.sqrt(square))

    def rows(self, x: np.ndarray) -> np.ndarray:
        return GROUPED[self.layer["type"]](np.asarray(x, dtype=np.float64), self.layer)

    def forward(self) -> np.ndarray:
        """Of the result: of the scale, and of x and the mean times it, which are subtracted."""
        scale = (self.worst - self.scale) * np.abs(self.apart)
        return np.abs(self.weight) * (scale + self.sums * self.size * self.worst)

    def backward(self, cotangent: np.ndarray) -> np.ndarray:
        """Of scale (h - mean h) - scale³ (x - mean) mean(h (x - mean)), with h = weight x cotangent."""
        h = self.weight * self.rows(cotangent)
        apart, strength = np.abs(self.apart), np.sqrt((h**2).mean(1, keepdims=True))
        product = np.abs((h * self.apart).mean(1, keepdims=True))
        wrong = 2 * self.sums * strength * self.size  # of mean(h x) - mean(h) mean(x)
        found = (self.worst - self.scale) * np.abs(h - h.mean(1, keepdims=True))
        found += (self.worst**3 - self.scale**3) * apart * product
        found += self.worst**3 * (apart * wrong + 2 * self.sums * self.size * product)
        return found + self.sums * self.worst * strength

    def of_weight(self, cotangent: np.ndarray) -> np.ndarray:
        """Of the sum of cotangent (x - mean) scale over all that a weight is for."""
        g = np.abs(self.rows(cotangent))
        found = g * self.sums * 2 * self.size * self.worst
        found += g * (self.worst - self.scale) * np.abs(self.apart)
        return self.back(found).sum(self.axes)

    def back(self, rows: np.ndarray) -> np.ndarray:
        """[groups, terms] in the shape of x again."""
        if self.layer["type"] == "BatchNorm":
            moved = (self.shape[1], self.shape[0], *self.shape[2:])
            return np.moveaxis(rows.reshape(moved), 0, 1)
        return rows.reshape(self.shape)
