"""Reductions, sorting, indices, types: operations on arrays."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from parity.atlas.lint.code import Code, Operation
from parity.atlas.lint.finding import HINT, WARNING, Finding, after, argument, instead, renamed
from parity.atlas.lint.kinds import NUMPY, VAR
from parity.atlas.lint.source import constant, keyword, says

MASKLIKE = re.compile(r"(^|_)(mask|masks|valid|not_mask)$")
INDEX_FUNCTIONS = ("argmax", "argmin", "argsort")


def cumulative(code: Code) -> Iterator[Finding]:
    for o in code.named("cumsum"):
        if keyword(o.call, "dtype"):
            message = "cumsum takes no dtype; convert before: x.float32().cumsum(...)"
            yield code.found(o.call, "cumsum-dtype", message)
        elif code.is_boolean(o.x) or (isinstance(o.x, ast.Name) and MASKLIKE.search(o.x.id)):
            known = code.is_boolean(o.x)
            if not known and code.of(o.x).kind == VAR:
                continue
            message = "cumsum of a mask stays boolean; use .int32() or .float32() first"
            simple = isinstance(o.x, (ast.Name, ast.Call, ast.Attribute, ast.Subscript))
            edits = [after(o.x, ".int32()")] if simple and known else []
            yield code.found(
                o.call, "cumsum-bool", message, *edits, level=WARNING if known else HINT
            )
        axis = constant(o.at(0, "dim"))
        if isinstance(axis, int) and axis < -1:
            message = "cumsum refuses negative axes below -1: count from the front"
            yield code.found(o.call, "cumsum-negative-axis", message)


def statistics(code: Code) -> Iterator[Finding]:
    for o in code.named("var"):
        if not says(o.call, "unbiased", "correction") and (o.is_method or code.is_var(o.x)):
            message = "var divides by n, PyTorch's by n - 1: say unbiased="
            edit = argument(o.call, "unbiased=True")
            yield code.found(o.call, "var-biased", message, edit, level=WARNING if o.sure else HINT)
    for o in code.named("norm"):
        axes = o.at(1, "dim")
        if o.sure and axes is None and code.of(o.x).axes != 1 and not says(o.call, "dim"):
            message = "norm runs along the last axis only, PyTorch's over everything: say dim="
            yield code.found(o.call, "norm-default-axis", message, level=HINT)


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
        named = parent.targets[0] if isinstance(parent, ast.Assign) else None
        if isinstance(named, ast.Name):
            yield from taken_for_index(code, o, named)
            wrong = [n for n in reads_of(code, named) if used_as_array(code, n)]
            right = [n for n in reads_of(code, named) if is_taken_apart(code, n)]
            if wrong and not right:
                text = f"{message}; line {wrong[0].lineno} uses {named.id} as an array"
                yield code.found(o.call, f"{o.name}-pair", text, after(o.call, "[0]"))


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
        later = reads_of(code, target) if isinstance(target, ast.Name) else [taken]
        for use in later:
            if selects(code, use):
                message = f"{o.name} returns (index, value): [1] is the value, the index is [0]"
                yield code.found(taken, f"{o.name}-pair", message, instead(taken.slice, "0"))
                break


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
        for n in ast.walk(scope)
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
    return unpacked or (isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name))


def extremes(code: Code) -> Iterator[Finding]:
    """max and min along an axis give values only."""
    for o in code.named("max", "min"):
        axis = o.at(0, "dim")
        if not o.is_method and axis is not None and code.is_var(axis):
            message = f"jt.{o.name} of two arrays is jt.{o.name}imum"
            yield code.found(o.call, "max-two", message, instead(o.call.func, elementwise(o)))
            continue
        if not is_axis(axis):
            continue
        parent = code.parent(o.call)
        both = f"{o.name} along an axis returns values only; arg{o.name} has both"
        names = parent.targets[0] if isinstance(parent, ast.Assign) else None
        if isinstance(names, ast.Tuple) and len(names.elts) == 2 and parent.value is o.call:
            yield code.found(o.call, "max-unpack", both)
        elif isinstance(parent, ast.Attribute) and parent.attr in ("values", "indices"):
            yield code.found(o.call, "max-pair", both)
        elif isinstance(parent, ast.Subscript) and parent.value is o.call:
            if constant(parent.slice) == 0:
                message = f"{o.name} along an axis returns values only: [0] takes the first row"
                level = WARNING if o.sure or o.call.keywords else HINT
                edit = instead(parent, ast.get_source_segment(code.source.text, o.call) or "")
                yield code.found(parent, "max-pair", message, edit, level=level)
            elif constant(parent.slice) == 1:
                yield code.found(parent, "max-pair", both, level=WARNING if o.sure else HINT)


def is_axis(node: ast.AST | None) -> bool:
    value = constant(node)
    return isinstance(value, int) and not isinstance(value, bool)


def elementwise(o: Operation) -> str:
    return f"{ast.unparse(o.call.func)}imum"


def clamping(code: Code) -> Iterator[Finding]:
    for o in code.named("clamp", "clamp_"):
        wrong = [k for k in o.call.keywords if k.arg in ("min", "max")]
        if wrong:
            edits = [renamed(k, f"{k.arg}_v") for k in wrong]
            message = "clamp's arguments are min_v and max_v, or positional"
            yield code.found(o.call, "clamp-keywords", message, *edits)


def axes(code: Code) -> Iterator[Finding]:
    for o in code.named("permute", "transpose"):
        numbers = [constant(a) for a in o.given]
        if o.name == "permute" and numbers == [0, 1] and not o.call.keywords:
            message = "permute with two axes swaps them: permute(0, 1) transposes"
            yield code.found(o.call, "permute-two", message)
        elif o.name == "permute" and o.sure and any(isinstance(n, int) and n < 0 for n in numbers):
            yield code.found(o.call, "permute-negative", "permute refuses negative axes")
    for node in code.every(ast.Attribute):
        if node.attr == "T" and code.is_var(node.value) and isinstance(node.ctx, ast.Load):
            yield code.found(node, "matrix-T", "a Var has no .T: x.transpose(1, 0)")


def masks(code: Code) -> Iterator[Finding]:
    for node in code.every(ast.UnaryOp):
        mask = node.operand
        if isinstance(node.op, ast.Invert) and code.is_var(mask) and code.is_boolean(mask):
            text = ast.unparse(mask)
            if not isinstance(mask, (ast.Name, ast.Attribute, ast.Call, ast.Subscript)):
                text = f"({text})"
            edit = instead(node, f"{text}.logical_not()")
            yield code.found(node, "bool-invert", "~ is missing: x.logical_not()", edit)
    for node in code.every(ast.Subscript):
        if not code.is_var(node.value):
            continue
        index = code.of(node.slice)
        if index.kind == NUMPY and index.dtype == "bool":
            message = "a NumPy mask is refused as an index: jt.array(mask)"
            yield code.found(node, "index-mask-numpy", message)
        elif isinstance(node.slice, ast.List) and booleans(node.slice):
            yield code.found(node, "index-mask-list", "a list of bools is refused: jt.array(mask)")
        elif code.is_var(node.slice) and made_uint8(code, node.slice):
            message = "uint8 is an index, no mask: convert to bool"
            yield code.found(node, "index-mask-uint8", message)


def booleans(node: ast.List) -> bool:
    return bool(node.elts) and all(
        isinstance(e, ast.Constant) and isinstance(e.value, bool) for e in node.elts
    )


def made_uint8(code: Code, node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and "uint8" in ast.unparse(node)[-24:] and code.is_var(node)


RULES = (cumulative, statistics, pairs, extremes, clamping, axes, masks)
