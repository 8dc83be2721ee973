"""What a run leaves besides tensors: numbers, strings and None that modules return, and inputs changed in place.

Before: judging.py. A worker keeps them (sides/runner.py); semantic.py and localise.py ask here.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from parity.engine.judge import checks, gates, kinds
from parity.engine.judge.judging import SIDES
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.values import tree
from parity.engine.values.nodes import OUTSIDE, ROOT, call_of, module_of


def compare_plain(
    case: str, check: str, reference: Mapping, candidate: Mapping, sides: tuple[str, str] = SIDES
) -> list[Verdict]:
    """Numbers, truth values, strings and None in what calls return, by call; None on both sides is no comparison."""
    ours, theirs = (t.get("results", {}) for t in (reference, candidate))
    verdicts = []
    for call in ours:
        if call not in theirs:
            continue
        pair = [dict(tree.plain_parts(x)) for x in (ours[call], theirs[call])]
        for path in dict.fromkeys([*pair[0], *pair[1]]):
            verdict = _judge(case, check, call + path, [p.get(path, Ellipsis) for p in pair], sides)
            if verdict is not None:
                owner = module_of(call)
                places = (
                    t["modules"].get(owner, {}).get("code", "") for t in (reference, candidate)
                )
                inside = owner in reference["modules"]
                verdicts.append(verdict.but(owner=owner if inside else OUTSIDE, code=tuple(places)))
    return verdicts


def _judge(case: str, check: str, node: str, pair: list, sides: tuple) -> Verdict | None:
    a, b = pair
    if (a is None and b is None) or is_object(a) or is_object(b):
        return None
    if a is Ellipsis or b is Ellipsis:
        value, has, lacks = (b, *sides[::-1]) if a is Ellipsis else (a, *sides)
        message = f"{value!r} in {has}, no plain value in {lacks}"
        return Verdict(case, check, node, Status.FAIL, message=message, kind=kinds.DTYPE)
    if same(a, b):
        return Verdict(case, check, node, Status.PASS, 0.0, gates.PLAIN_NUMBERS)
    message = f"{sides[0]} {a!r}, {sides[1]} {b!r}"
    numbers = all(isinstance(x, (int, float)) for x in pair)
    kind = kinds.CONSTANT if numbers else kinds.FORMULA
    return Verdict(case, check, node, Status.FAIL, message=message, kind=kind)


def is_object(value) -> bool:
    """Whether an outline stands there for an object, whose tensors are nodes."""
    return isinstance(value, str) and value.startswith("(") and value.endswith(")")


def same(a, b) -> bool:
    if isinstance(a, float) and isinstance(b, (int, float)):
        return abs(a - b) <= gates.PLAIN_NUMBERS * max(abs(a), abs(b))
    return a == b


def compare_changed(
    case: str, reference: Mapping, candidate: Mapping, sides: tuple[str, str] = SIDES
) -> list[Verdict]:
    """Inputs that a side wrote into: one of them only is a FAIL, both is told."""
    pair = [set(t.get("changed", ())) for t in (reference, candidate)]
    verdicts = []
    for node in sorted(pair[0] | pair[1]):
        who = [side for side, nodes in zip(sides, pair, strict=True) if node in nodes]
        message = f"{' and '.join(who)} changes this input in place"
        both = len(who) == 2
        status = Status.PASS if both else Status.FAIL
        verdict = Verdict(case, checks.INPUTS, node, status, message=message)
        codes = (t["modules"].get(ROOT, {}).get("code", "") for t in (reference, candidate))
        guilty = {} if both else {"kind": kinds.IN_PLACE, "guilty": who[0], "code": tuple(codes)}
        verdicts.append(verdict.but(**guilty))
    return verdicts


def compare_moved(
    case: str, reference: Mapping, candidate: Mapping, sides: tuple[str, str] = SIDES
) -> list[Verdict]:
    """Buffers that forward changes in training mode, as running statistics: on both sides, or on none."""
    ours, theirs = (t.get("moved", {}) for t in (reference, candidate))
    verdicts = []
    for name in ours:
        if name not in theirs:
            continue
        owner = name.rpartition(".")[0] or ROOT
        codes = (t["modules"].get(owner, {}).get("code", "") for t in (reference, candidate))
        found = Verdict(case, checks.LEFT, name, Status.PASS, owner=owner, code=tuple(codes))
        if ours[name] != theirs[name]:
            moving, still = sides if ours[name] else sides[::-1]
            text = f"{moving}'s forward changes it, {still}'s leaves it as it is"
            found = found.but(status=Status.FAIL, message=text, kind=kinds.STILL)
        verdicts.append(found)
    return verdicts


STOOD_IN = "goes over to float32 whatever it is given: in this run another one that does not stood in for it"


def told_stand_ins(
    case: str, check: str, reference: Mapping, candidate: Mapping, sides: tuple[str, str] = SIDES
) -> list[Verdict]:
    """KNOWN for every function of a framework's own that was not what computed."""
    return [
        Verdict(case, check, f"{name} ({side})", Status.KNOWN, message=f"{side}'s own {STOOD_IN}")
        for side, trace in zip(sides, (reference, candidate), strict=True)
        for name in trace.get("stood_in", ())
    ]


def changed_inputs(tracer, prepared: Mapping[str, object], before: Mapping) -> list[str]:
    """In a worker: the inputs that were written into, by the node or path that they have."""
    backend = tracer.backend
    found = [
        node
        for node, tensor in tracer.given.items()
        if module_of(node) == ROOT
        and "/in" in node
        and call_of(node) == ROOT
        and not alike(backend.to_numpy(tensor), backend.to_numpy(tracer.used[node]))
    ]
    return found + [
        f"inputs{path}"
        for path, tensor in prepared.items()
        if not alike(backend.to_numpy(tensor), before[path])
    ]


def alike(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
