"""Modules that give one value on one side and several on the other, or are called with fewer arguments there: that is
one cause, and what can't be compared because of it follows.

Before: consequences.py. causes.py asks.
"""

from __future__ import annotations

from collections.abc import Iterable

from parity.engine.judge import checks, kinds
from parity.engine.judge.verdicts import Verdict
from parity.engine.tell.consequences import BACKWARD, LOCAL, TOTAL, parent_of
from parity.engine.values.nodes import OUTSIDE, ROOT, module_of

FORM = "form"  # the first word of its group
SHOWN = 3  # values of a structure that are told


class Forms:
    """Of the FAILs of one examination. `given`: the value of each module that gives one on one side only, by name."""

    def __init__(self, failed: Iterable[Verdict]):
        forward = [v for v in failed if v.check in LOCAL and v.check not in BACKWARD]
        missing = [v for v in forward if v.kind == kinds.MISSING]
        results: dict[str, dict[str, list[str]]] = {}  # by module and what is said of them
        for v in missing:
            if "/in" not in v.node:
                sides = results.setdefault(module_of(v.node), {})
                sides.setdefault(v.message, []).append(v.node.partition("#")[0])
        self.given: dict[str, str] = {}
        for name, sides in results.items():
            one = [text for text, nodes in sides.items() if set(nodes) == {name}]
            if len(sides) == 2 and len(one) == 1:
                (many,) = (text for text in sides if text != one[0])
                self.given[name] = told(one[0], many, list(dict.fromkeys(sides[many])))
        self.less = {module_of(v.node) for v in missing if "/in" in v.node}
        other = {module_of(v.node) for v in forward if "/in" in v.node and v.kind != kinds.MISSING}
        self.less_and_other = self.less & other

    def group(self, verdict: Verdict) -> tuple | None:
        """The group of a value that only one form has, None for all else."""
        missing = verdict.check in LOCAL and verdict.kind == kinds.MISSING
        is_one = missing and "/in" not in verdict.node and module_of(verdict.node) in self.given
        return (FORM,) if is_one else None

    def named(self, verdict: Verdict) -> Verdict:
        """The first of the group, in words that say what the form is."""
        text = self.given[module_of(verdict.node)]
        return verdict.but(message=text, kind=kinds.SHAPE)

    def follow(self, verdict: Verdict) -> bool:
        """Whether it follows: gradients of what other values come behind, and the harness's own sums of outputs; what a
        module makes without an argument, where its caller gives it other values besides, as of a mask that was used
        before the call."""
        if verdict.check in BACKWARD and verdict.kind != kinds.MISSING:
            home = ROOT if verdict.owner == OUTSIDE else verdict.owner
            return home in self.given or self.lacks(verdict)
        if verdict.check == checks.LOCAL_LOSSES_64 and ROOT in self.given:
            return verdict.node == TOTAL or verdict.node.startswith("loss/output")
        return verdict.kind != kinds.MISSING and self.lacks(verdict)

    def lacks(self, verdict: Verdict) -> bool:
        """Whether the module whose code it is gets less, as does what holds it, up to one that gets something else."""
        name = verdict.owner if verdict.check in LOCAL else ""
        while name in self.less and name not in self.less_and_other:
            name = parent_of(name)
        return bool(name) and name in self.less_and_other


def told(one: str, many: str, nodes: list[str]) -> str:
    """Of two texts as "torch has this node, jittor has not", and the nodes that the second has."""
    sides = (text.partition(" has this node")[0] for text in (one, many))
    shown = ", ".join(nodes[:SHOWN]) + (", ..." if len(nodes) > SHOWN else "")
    single, several = sides
    return f"{single} gives one value, {several} a structure of {len(nodes)}: {shown}"
