"""What rounding a layer's sums must be allowed, from how many terms they have.

Before: gates.py. precision.py and localise.py ask here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from parity.engine.judge import gates


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
