"""Items of arrays: more indices than axes, the last taken for the first, one Var under two names.

Before: a file of a port. After: findings of what is wrong in any framework, so that the atlas has no entry of it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from parity.atlas.lint.code import Code
from parity.atlas.lint.finding import Finding, argument
from parity.atlas.lint.kinds import NUMBER
from parity.atlas.lint.rules_pairs import reads_of
from parity.atlas.lint.source import constant, name_of, says

ASCENDING, ALIASED, AXES = "argsort-ascending", "aliased-state", "index-too-many"
BEST = re.compile(r"score|prob|conf|logit|simil|likelihood|(^|_)(acc|iou|ious|sims?)s?(_|$)", re.I)
WORST = re.compile(r"dist|loss|err|cost|neg|min|worst|least|rank", re.I)


def ascending(code: Code) -> Iterator[Finding]:
    """order, _ = jt.argsort(scores), then order[:k]: the worst k, where topk or descending=True has the best."""
    for o in code.named("argsort", "sort"):
        if says(o.call, "descending") or len(o.given) > 1 or not is_best(o.x):
            continue
        parent = code.parent(o.call)
        names = parent.targets[0] if isinstance(parent, ast.Assign) else None
        kept = names.elts if isinstance(names, (ast.Tuple, ast.List)) else [names]
        reads = [r for n in kept if isinstance(n, ast.Name) for r in reads_of(code, n)]
        uses = [code.parent(r) for r in reads if takes_first(code, r)]
        turned = any(is_turned(code, r) for r in reads)
        if uses and not turned:
            message = (
                f"{o.name} ascends: line {uses[0].lineno} takes the lowest of {ast.unparse(o.x)}"
            )
            yield code.found(o.call, ASCENDING, message, argument(o.call, "descending=True"))


def is_best(node: ast.AST | None) -> bool:
    """Scores and the like by their name; not those that a sign has turned."""
    while isinstance(node, (ast.Call, ast.Subscript)):
        node = (
            node.func.value
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            else getattr(node, "value", None)
        )
    name = name_of(node) if node is not None else ""
    return bool(BEST.search(name)) and not WORST.search(name)


def takes_first(code: Code, read: ast.Name) -> bool:
    """order[:k], order[:, :k]"""
    parent = code.parent(read)
    if not (isinstance(parent, ast.Subscript) and parent.value is read):
        return False
    last = parent.slice.elts[-1] if isinstance(parent.slice, ast.Tuple) else parent.slice
    first = isinstance(last, ast.Slice) and last.lower is None and last.step is None
    return first and last.upper is not None and (constant(last.upper) or 1) > 0


def is_turned(code: Code, read: ast.Name) -> bool:
    """order[::-1], order.flip(0), jt.flip(order)"""
    parent = code.parent(read)
    step = isinstance(parent, ast.Subscript) and "::-1" in ast.unparse(parent.slice)
    flips = isinstance(parent, (ast.Attribute, ast.Call)) and "flip" in ast.unparse(parent)
    return step or flips


def aliased(code: Code) -> Iterator[Finding]:
    """out, state = h, (h, c), then out[i] = 0 and state[0][i] = ...: both write into h."""
    for node in code.every(ast.Assign):
        names, values = node.targets[0], node.value
        if not (isinstance(names, ast.Tuple) and isinstance(values, ast.Tuple)) or len(
            names.elts
        ) != len(values.elts):
            continue
        places: dict[str, list[str]] = {}
        for name, value in zip(names.elts, values.elts, strict=True):
            for text, held in parts(name, value):
                places.setdefault(held, []).append(text)
        written = {ast.unparse(t.value): t for t in stores(code, node)}
        for held, texts in places.items():
            both = [t for t in texts if t in written]
            if len(both) > 1:
                message = f"{both[0]} and {both[1]} are one Var, {held}: clone() it"
                yield code.found(written[both[1]], ALIASED, message)


def parts(name: ast.AST, value: ast.AST) -> Iterator[tuple[str, str]]:
    """("state[0]", "h") of state = (h, c); ("out", "h") of out = h."""
    if isinstance(value, ast.Name):
        yield ast.unparse(name), value.id
    for i, item in enumerate(value.elts if isinstance(value, (ast.Tuple, ast.List)) else []):
        if isinstance(item, ast.Name):
            yield f"{ast.unparse(name)}[{i}]", item.id


def stores(code: Code, node: ast.Assign) -> Iterator[ast.Subscript]:
    """x[...] = ... behind a statement of the same function."""
    for other in code.within(code.source.scope(node)):
        if isinstance(other, ast.Assign) and other.lineno > node.lineno:
            yield from (t for t in other.targets if isinstance(t, ast.Subscript))


def too_many(code: Code) -> Iterator[Finding]:
    """x[:, 0, :] of a Var of two axes."""
    for node in code.every(ast.Subscript):
        axes = code.of(node.value).axes if code.is_var(node.value) else None
        given = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if axes is not None and len(given) > axes and all(takes_axis(code, g) for g in given):
            message = f"{len(given)} indices of {ast.unparse(node.value)}, which has {axes} axes"
            yield code.found(node, AXES, message)


def takes_axis(code: Code, index: ast.AST) -> bool:
    """A slice or a number, which take one axis each; None, ... and masks do not."""
    if isinstance(index, ast.Constant):
        return type(index.value) is int
    return isinstance(index, ast.Slice) or code.of(index).kind == NUMBER


def rebound(code: Code) -> Iterator[Finding]:
    """for p in group["params"]: p = p - step, and nobody reads p again: the parameter stays as it was."""
    for loop in code.every(ast.For):
        held = {n.id for n in ast.walk(loop.target) if isinstance(n, ast.Name)}
        if "param" not in ast.unparse(loop.iter) or not code.speaks_jittor(loop):
            continue
        for node in code.within(loop):
            name = name_of(node.targets[0]) if isinstance(node, ast.Assign) else ""
            computed = name in held and isinstance(node.value, ast.BinOp)
            if computed and isinstance(node.targets[0], ast.Name) and not is_read(code, loop, node):
                message = (
                    f"gives {name} another meaning, and the parameter stays: {name}.update(...)"
                )
                yield code.found(node, "result-unused", message)


def is_read(code: Code, loop: ast.For, node: ast.Assign) -> bool:
    """Whether something behind an assignment reads its name, in the loop or after it."""
    name = name_of(node.targets[0])
    scope = code.source.scope(loop)
    return next(code.loads(scope, name, node.end_lineno), None) is not None


RULES = (ascending, aliased, too_many, rebound)
