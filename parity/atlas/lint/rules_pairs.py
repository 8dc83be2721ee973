"""Pairs: argmax, argmin and argsort return (index, value)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from parity.atlas.lint.code import Code, Operation
from parity.atlas.lint.finding import Finding, after, instead
from parity.atlas.lint.source import constant

INDEX_FUNCTIONS = ("argmax", "argmin", "argsort")
JOINED = {"jittor.cat", "jittor.concat", "jittor.stack"}
VALUELIKE = re.compile(r"^_+$|val|max|min|score|conf|prob|(^|_)(v|s|sorted\w*)$", re.IGNORECASE)
INDEXLIKE = re.compile(
    r"(^|_)(i|ids?|idx\w*|inds?|ix|order|perm|rank\w*|pos|class\w*|cls|cats?|labels?|"
    r"predict\w*|preds?|match\w*|assign\w*)\d?$|index|indices|arg",
    re.IGNORECASE,
)


def pairs(code: Code) -> Iterator[Finding]:
    """argmax, argmin and argsort return (index, value): used as if they were the index, at once or through a name."""
    for o in code.named(*INDEX_FUNCTIONS):
        if code.source.dotted(o.call.func).startswith("jittor.nn."):
            continue  # which has none: rules_names.py tells
        by_axis = o.at(0, "dim") is not None
        if not by_axis and o.name != "argsort":
            if o.sure and not o.call.keywords:
                message = f"{o.name} needs an axis: x.flatten().{o.name}(0)[0]"
                yield code.found(o.call, "argmax-flat", message)
            continue
        message = f"{o.name} returns (index, value): take [0]"
        if used_as_array(code, o.call):
            yield code.found(o.call, f"{o.name}-pair", message, after(o.call, "[0]"))
            continue
        parent = code.parent(o.call)
        if is_cut(o.call, parent):
            yield code.found(o.call, f"{o.name}-pair", message, after(o.call, "[0]"))
            continue
        named = parent.targets[0] if isinstance(parent, ast.Assign) else None
        if isinstance(named, (ast.Tuple, ast.List)):
            yield from swapped(code, o, named)
        if isinstance(named, ast.Name):
            yield from taken_for_index(code, o, named)
            wrong = [n for n in reads_of(code, named) if used_as_array(code, n)]
            right = [n for n in reads_of(code, named) if is_taken_apart(code, n)]
            first = min(right, key=lambda n: (n.lineno, n.col_offset), default=None)
            before = wrong and first and wrong[0].lineno < first.lineno
            before = before and isinstance(code.parent(wrong[0]), ast.Attribute)
            if wrong and (before or not right):
                text = f"{message}; line {wrong[0].lineno} uses {named.id} as an array"
                yield code.found(o.call, f"{o.name}-pair", text, after(o.call, "[0]"))


def is_cut(call: ast.Call, parent: ast.AST | None) -> bool:
    """x.argsort(0)[:k], of a pair."""
    cut = isinstance(parent, ast.Subscript) and parent.value is call
    return (
        cut and isinstance(parent.slice, ast.Slice) and constant(parent.slice.upper) not in (1, 2)
    )


def swapped(code: Code, o: Operation, names: ast.Tuple | ast.List) -> Iterator[Finding]:
    """value, index = x.argmax(1), as it is with torch.max: by the names, or by what the second then selects."""
    if len(names.elts) != 2 or not all(isinstance(n, ast.Name) for n in names.elts):
        return
    first, second = names.elts
    if INDEXLIKE.search(first.id):
        return
    reads = reads_of(code, second)
    used = any(selects(code, n) for n in reads) and not any(
        selects(code, n) for n in reads_of(code, first)
    )
    named = INDEXLIKE.search(second.id) and not VALUELIKE.search(second.id)
    unnamed = first.id.strip("_") == "" and o.name != "argsort" and is_class(code, second, reads)
    if used or unnamed or (named and VALUELIKE.search(first.id)):
        message = f"{o.name} returns (index, value): {second.id} is the value here"
        edit = instead(names, f"{second.id}, {first.id}")
        yield code.found(o.call, f"{o.name}-pair", message, edit)


def is_class(code: Code, name: ast.Name, reads: list[ast.Name]) -> bool:
    """Whether what is kept of a pair is handed back or compared, as classes are, and nothing is calculated of it."""
    around = [code.parent(n) for n in reads]
    kept = [
        isinstance(a, ast.Return | ast.Tuple)
        or (isinstance(a, ast.Compare) and isinstance(a.ops[0], ast.Eq))
        for a in around
    ]
    return (
        any(kept)
        and not VALUELIKE.search(name.id)
        and not any(isinstance(a, ast.BinOp) for a in around)
    )


def taken_for_index(code: Code, o: Operation, name: ast.Name) -> Iterator[Finding]:
    """order = pair[1] of argsort, where order then selects: [1] is the value."""
    for read in reads_of(code, name):
        taken = code.parent(read)
        if not (
            isinstance(taken, ast.Subscript) and taken.value is read and constant(taken.slice) == 1
        ):
            continue
        statement = code.source.enclosing(taken, (ast.Assign,))
        target = statement.targets[0] if statement is not None else None
        message = f"{o.name} returns (index, value): [1] is the value, the index is [0]"
        if isinstance(target, ast.Name) and means_index(target.id):
            yield code.found(taken, f"{o.name}-pair", message, instead(taken.slice, "0"))
            continue
        later = reads_of(code, target) if isinstance(target, ast.Name) else [taken]
        for use in later:
            if selects(code, use):
                yield code.found(taken, f"{o.name}-pair", message, instead(taken.slice, "0"))
                break


def means_index(name: str) -> bool:
    return bool(INDEXLIKE.search(name)) and not VALUELIKE.search(name)


def selects(code: Code, node: ast.AST) -> bool:
    """Whether it, or a part of it, is an index of something."""
    parent = code.parent(node)
    while isinstance(parent, ast.Subscript) and parent.value is node:
        node, parent = parent, code.parent(parent)
    return isinstance(parent, ast.Subscript) and parent.slice is node


def reads_of(code: Code, name: ast.Name) -> list[ast.Name]:
    """Reads of a name that still mean this assignment."""
    scope = code.source.scope(name)
    stores = [
        n.lineno
        for n in code.within(scope)
        if isinstance(n, ast.Name)
        and n.id == name.id
        and isinstance(n.ctx, ast.Store)
        and n.lineno > name.lineno
    ]
    end = min(stores, default=float("inf"))
    return [n for n in code.loads(scope, name.id, name.lineno) if n.lineno <= end]


def used_as_array(code: Code, node: ast.AST) -> bool:
    """Compared, calculated with, a method of an array called, or an index: what a pair cannot do."""
    parent = code.parent(node)
    if isinstance(parent, (ast.List, ast.Tuple)) and isinstance(code.parent(parent), ast.Call):
        return code.source.dotted(code.parent(parent).func) in JOINED
    if isinstance(parent, ast.Compare):
        return not any(isinstance(op, (ast.Is, ast.IsNot, ast.In)) for op in parent.ops)
    if isinstance(parent, ast.Attribute):
        return parent.attr not in ("index", "count")
    if isinstance(parent, ast.Subscript):
        return parent.slice is node
    if isinstance(parent, ast.Tuple) and isinstance(code.parent(parent), ast.Subscript):
        return code.parent(parent).slice is parent
    if isinstance(parent, ast.Call) and node in parent.args:
        path = code.source.dotted(parent.func)
        return path.startswith("jittor.") and path.rpartition(".")[2] not in ("fetch", "sync")
    return isinstance(parent, (ast.BinOp, ast.UnaryOp))


def is_taken_apart(code: Code, node: ast.AST) -> bool:
    parent = code.parent(node)
    if isinstance(parent, ast.Subscript):
        return parent.value is node and isinstance(parent.slice, ast.Constant)
    unpacked = isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Tuple)
    handed = isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name)
    return unpacked or (handed and parent.func.id != "isinstance")


RULES = (pairs,)
