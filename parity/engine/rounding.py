"""What rounding a layer's sums must be allowed, from how many terms they have."""

from __future__ import annotations

import math
from collections.abc import Mapping

from parity.engine import gates


def summation_errors(trace: Mapping) -> dict[str, float]:
    """The error to be expected of what a convolution or linear layer returns, were its sums one long chain each."""
    modules = trace.get("modules", {})
    return {
        node: gates.U32 * math.sqrt(terms / gates.SUMMATION_TERMS)
        for node in trace["nodes"]
        if "/in" not in node and (terms := count_terms(modules.get(node.partition("#")[0], {})))
    }


def count_terms(layer: Mapping) -> int:
    """How many products each output of a layer (see Tracer.describe) adds up; 0 when it is none that adds."""
    if "in_channels" in layer and "kernel_size" in layer:
        kernel = layer["kernel_size"]
        area = math.prod(kernel) if isinstance(kernel, (list, tuple)) else kernel**2
        return layer["in_channels"] // layer.get("groups", 1) * area
    return layer.get("in_features", 0)
