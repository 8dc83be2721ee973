"""A candidate's trace under the reference's names of arguments: one side may name what the other gives by position, or
have a number where the other has an array of one element.

Modules of another kind that have one name only by chance (a Linear where the other side has a pool, since their places
in a Sequential differ) are told apart by their classes.

Before: sides/tracer.py for what a trace is. judge/semantic.py, precision.py and localise.py compare what went through
here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import numpy as np

from parity.engine.values.nodes import module_of
from parity.engine.values.proposing import normal

APART = re.compile(
    r".+ \(\w+\)$"
)  # a module of the candidate that is not the reference's of that name
RENAMED = ("nodes", "node_gradients", "owners")


class Named(Mapping):
    """A mapping whose keys are those of `names`."""

    names: Mapping

    def __contains__(self, key) -> bool:
        return key in self.names

    def __iter__(self):
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


class Renamed(Named):
    """A mapping with some keys called otherwise."""

    def __init__(self, source: Mapping, names: Mapping[str, str]):
        """names: the new name by the old one."""
        self.source = source
        self.names = {names.get(key, key): key for key in source}

    def __getitem__(self, key: str):
        return self.source[self.names[key]]


def aligned(reference: Mapping, candidate: Mapping) -> Mapping:
    """The candidate's trace, its arguments' nodes called as the reference calls them; itself where all names agree."""
    candidate = with_numbers(reference, candidate)
    names = aliases(reference, candidate) | apart(reference, candidate)
    if not names:
        return candidate
    changed = {key: Renamed(candidate[key], names) for key in RENAMED if key in candidate}
    order = [names.get(entry, entry) for entry in candidate["order"]]
    return {key: candidate[key] for key in candidate} | changed | {"order": order}


class Besides(Named):
    """A mapping with some keys more, and some of its own left out."""

    def __init__(self, source: Mapping, more: Mapping, without: Collection):
        self.source, self.more = source, more
        self.names = dict.fromkeys([*(key for key in source if key not in without), *more])

    def __getitem__(self, key: str):
        if key not in self.names:
            raise KeyError(key)
        return self.more[key] if key in self.more else self.source[key]


def with_numbers(reference: Mapping, candidate: Mapping) -> Mapping:
    """The candidate's trace, in what calls are given and give a number as an array, or an array of one element as a
    number, where the reference has it so; itself where there is none."""
    added: dict[str, np.ndarray] = {}
    dropped: set[str] = set()
    nodes = candidate["nodes"]

    def alike(ours, theirs):
        if is_node(ours) and isinstance(theirs, (bool, int, float)):
            added[ours["node"]] = np.asarray(theirs)
            return ours
        if isinstance(ours, (bool, int, float)) and is_node(theirs) and theirs["node"] in nodes:
            value = nodes[theirs["node"]]
            if value.size != 1:
                return theirs
            dropped.add(theirs["node"])
            return value.item()
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            return {k: alike(ours[k], x) if k in ours else x for k, x in theirs.items()}
        if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
            return [alike(a, b) for a, b in zip(ours, theirs, strict=True)]
        return theirs

    changed = {}
    for part in ("arguments", "results"):
        ours, theirs = (t.get(part, {}) for t in (reference, candidate))
        changed[part] = {k: alike(ours[k], x) if k in ours else x for k, x in theirs.items()}
    added = {node: x for node, x in added.items() if node in reference["nodes"]}
    if not added and not dropped:
        return candidate
    changed["nodes"] = Besides(nodes, added, dropped)
    if "node_gradients" in candidate:
        changed["node_gradients"] = Besides(candidate["node_gradients"], {}, dropped)
    order = [entry for entry in candidate["order"] if entry not in dropped]
    return {key: candidate[key] for key in candidate} | changed | {"order": order}


def is_node(outline) -> bool:
    return isinstance(outline, Mapping) and set(outline) == {"node"}


def aliases(reference: Mapping, candidate: Mapping) -> dict[str, str]:
    """The reference's name of a node by the candidate's, for arguments that one side names and the other does not."""
    found: dict[str, str] = {}
    theirs = candidate.get("arguments", {})
    for call, outline in reference.get("arguments", {}).items():
        if call not in theirs:
            continue
        pair = [_top_nodes(x) for x in (outline, theirs[call])]
        if pair[0] == pair[1]:
            continue
        alone = [
            [node for node in nodes if node not in pair[1 - k]] for k, nodes in enumerate(pair)
        ]
        if len(alone[0]) == len(alone[1]):
            found |= dict(zip(alone[1], alone[0], strict=True))
    return found


def unlike_modules(reference: Mapping, candidate: Mapping) -> set[str]:
    """Names under which two traces' `modules` have two classes, of which one is a leaf without tensors and the other
    holds some."""
    found = set()
    for name, theirs in candidate.items():
        ours = reference.get(name, {})
        if not all("holds" in x for x in (ours, theirs)) or normal(ours["type"]) == normal(
            theirs["type"]
        ):
            continue
        bare, full = sorted((ours, theirs), key=lambda x: x["holds"])
        if bare["leaf"] and full["holds"] and not bare["holds"]:
            found.add(name)
    return found


def apart(reference: Mapping, candidate: Mapping) -> dict[str, str]:
    """New names of the candidate's nodes in modules that are not the reference's of that name."""
    kinds = candidate.get("modules", {})
    unlike = unlike_modules(reference.get("modules", {}), kinds)
    if not unlike:
        return {}
    return {
        node: node.replace(name, f"{name} ({kinds[name]['type']})", 1)
        for node in candidate["nodes"]
        if (name := module_of(node)) in unlike
    }


def shared_nodes(reference: Mapping, candidate: Mapping) -> list[str]:
    """Nodes of both, but for arguments at which they are cut otherwise (see sides/layers.py)."""
    ours, theirs, modules = reference["nodes"], candidate["nodes"], reference["modules"]
    return [
        n
        for n in ours
        if n in theirs
        and (
            "/in" not in n
            or modules.get(module_of(n), {}).get("leaf", True)
            or are_alike(ours[n].shape, theirs[n].shape)
        )
    ]


def are_alike(ours: tuple[int, ...], theirs: tuple[int, ...]) -> bool:
    """Whether two shapes are one, but for that of a scalar, which Jittor gives an axis."""
    return ours == theirs or {ours, theirs} == {(), (1,)}


def _top_nodes(outline) -> list[str]:
    """Nodes of arguments that are tensors themselves, positional ones first, named ones in their order."""
    positional, named = outline
    values = [*positional, *(named[key] for key in named)]
    return [x["node"] for x in values if is_node(x)]
