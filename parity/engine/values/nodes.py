"""Names of nodes: which module and which call they belong to, and whose code is responsible.

Before: nothing. sides/tracer.py gives these names, judge/localise.py reads them.
"""

from __future__ import annotations

from collections.abc import Mapping

ROOT = "(model)"  # the model itself, as a node
OUTSIDE = "(outside)"  # code that runs in no module: losses, region proposals


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
