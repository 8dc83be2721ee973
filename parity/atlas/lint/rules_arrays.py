"""Reductions, sorting, indices, types: operations on arrays."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from parity.atlas.lint.code import Code, Operation
from parity.atlas.lint.finding import (
    HINT,
    WARNING,
    Finding,
    after,
    argument,
    before,
    instead,
    renamed,
)
from parity.atlas.lint.kinds import LIST, NUMPY, TUPLE, VAR
from parity.atlas.lint.source import FUNCTIONS, constant, keyword, name_of, says, value_of

MASKLIKE = re.compile(r"(^|_)(mask|masks|valid|not_mask)$")
DTYPE = re.compile(r"(u?int|float|bfloat|bool)\d*$")


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


def taken_for_array(code: Code, o: Operation) -> bool:
    """x = jt.var(data), then x.view(n, -1): of one number there is nothing to view."""
    parent = code.parent(o.call)
    if o.given or o.call.keywords or code.is_var(o.x):
        return False
    if isinstance(parent, ast.Attribute):
        return parent.attr in ("contiguous", "view", "long", "unsqueeze")
    target = ast.unparse(parent.targets[0]) if isinstance(parent, ast.Assign) else ""
    scope = code.within(code.source.scope(o.call)) if target else []
    return any(
        isinstance(n, ast.Attribute)
        and n.attr in ("contiguous", "view")
        and n.lineno > o.call.lineno
        and ast.unparse(n.value) == target
        for n in scope
    )


def statistics(code: Code) -> Iterator[Finding]:
    for o in code.named("var"):
        written = isinstance(o.x, (ast.List, ast.Tuple, ast.ListComp))
        if not o.is_method and (
            written or code.of(o.x).kind in (NUMPY, LIST, TUPLE) or taken_for_array(code, o)
        ):
            message = "jt.var is the variance: jt.array makes a Var of values"
            yield code.found(o.call, "var-of-values", message)
        elif not says(o.call, "unbiased", "correction"):
            message = "var divides by n, PyTorch's by n - 1: say unbiased="
            edit = argument(o.call, "unbiased=True")
            sure = o.sure or says(o.call, "dim", "keepdim")  # NumPy's has axis, keepdims
            yield code.found(o.call, "var-biased", message, edit, level=WARNING if sure else HINT)
    for o in code.named("norm"):
        axes = o.at(1, "dim")
        if o.sure and axes is None and code.of(o.x).axes != 1 and not says(o.call, "dim"):
            message = "norm runs along the last axis only, PyTorch's over everything: say dim="
            yield code.found(o.call, "norm-default-axis", message, level=HINT)


REDUCTIONS = ("sum", "mean", "max", "min", "prod")


def several_axes(code: Code) -> Iterator[Finding]:
    """x.sum(2, 3): the second is keepdims."""
    for o in code.named(*REDUCTIONS):
        first, *others = o.given or [None]
        if is_axis(first) and others and all(is_axis(a) for a in others) and not o.call.keywords:
            axes = ", ".join(ast.unparse(a) for a in o.given)
            message = f"{o.name}({axes}) takes the second number for keepdims: {o.name}(({axes}))"
            edits = [before(first, "("), after(others[-1], ")")]
            if constant(others[0]) not in (0, 1) or len(others) > 1:
                yield code.found(o.call, "sum-two-integers", message, *edits)


def extremes(code: Code) -> Iterator[Finding]:
    """max and min along an axis give values only."""
    for o in code.named("max", "min"):
        axis = o.at(0, "dim")
        if not o.is_method and axis is not None and (code.is_var(axis) or is_computed(code, axis)):
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
                sure = o.sure or says(o.call, "dim", "keepdim")
                yield code.found(parent, "max-pair", both, level=WARNING if sure else HINT)


def is_computed(code: Code, node: ast.AST) -> bool:
    """What a function of the program's own gives that is called: no axis."""
    called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    own = called and node.func.id in {n.name for n in code.every(ast.FunctionDef)}
    return own and not re.search(r"dim|ax[ie]s|rank|len|size|num", node.func.id)


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
        if isinstance(node.op, ast.Invert) and is_mask(code, mask) and not patched(code):
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


def is_mask(code: Code, node: ast.AST) -> bool:
    """A Var; or what may be one and is called a mask, or is made by comparing; or `&` and `|` of such."""
    if code.is_var(node):
        return True
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.BitAnd, ast.BitOr)):
        return is_mask(code, node.left) or is_mask(code, node.right)
    named = isinstance(node, (ast.Name, ast.Subscript)) and "mask" in ast.unparse(node).lower()
    return code.may_be_var(node) and (named or code.of(node).dtype == "bool")


def patched(code: Code) -> bool:
    return "jittor.Var.__invert__" in code.patched


def booleans(node: ast.List) -> bool:
    return bool(node.elts) and all(
        isinstance(e, ast.Constant) and isinstance(e.value, bool) for e in node.elts
    )


def made_uint8(code: Code, node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and "uint8" in ast.unparse(node)[-24:] and code.is_var(node)


def words(code: Code) -> Iterator[Finding]:
    """x.to("float16"), x.to(dtype=self.dtype) where self.dtype = "float16": a word that to() overlooks."""
    for o in code.named("to"):
        given = o.at(0, "dtype") if o.is_method else None
        if DTYPE.match(word_of(code, given)) and code.speaks_jittor(o.call):
            message = (
                f"to() overlooks {ast.unparse(given)}, a word: it takes jt.{word_of(code, given)}"
            )
            yield code.found(o.call, "to-word", message)


def word_of(code: Code, node: ast.AST | None) -> str:
    """A literal string, or the only one that this file gives an attribute."""
    if isinstance(node, ast.Attribute):
        text = ast.unparse(node)
        values = [
            n.value
            for n in code.every(ast.Assign)
            if any(isinstance(t, ast.Attribute) and ast.unparse(t) == text for t in n.targets)
        ]
        node = values[0] if len(values) == 1 else None
    value = constant(node)
    return value if isinstance(value, str) else ""


def empties(code: Code) -> Iterator[Finding]:
    """boxes = jt.array([]), then jt.concat((boxes, more)) of rows: PyTorch passes over what is empty."""
    for function in code.every(*FUNCTIONS[:2]):
        made: dict[str, list[ast.AST]] = {}
        for node in code.within(function):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                made.setdefault(node.targets[0].id, []).append(node.value)
        for name, values in made.items():
            rest = [v for v in values if not is_empty(code, v)]
            grown = [v for v in rest if is_concat(code, v) and name in joined(v)]
            if (
                grown
                and rest == grown
                and len(rest) < len(values)
                and has_rows(code, function, name)
            ):
                message = f"{name} starts with one dimension, empty: concat with rows raises"
                yield code.found(grown[0], "concat-empty", message)


def is_empty(code: Code, node: ast.AST) -> bool:
    """jt.array([])"""
    call = isinstance(node, ast.Call) and code.source.dotted(node.func) == "jittor.array"
    return call and bool(node.args) and ast.unparse(node.args[0]) == "[]"


def is_concat(code: Code, node: ast.AST) -> bool:
    names = ("jittor.concat", "jittor.cat", "jittor.contrib.concat")
    return isinstance(node, ast.Call) and code.source.dotted(node.func) in names


def joined(call: ast.Call) -> set[str]:
    parts = (
        call.args[0].elts if call.args and isinstance(call.args[0], (ast.List, ast.Tuple)) else []
    )
    return {name_of(p) for p in parts if isinstance(p, ast.Name)}


def has_rows(code: Code, function: ast.AST, name: str) -> bool:
    """Whether it is read as a matrix: x[:, 4], or joined along another axis than the first."""
    for node in code.within(function):
        cut = isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple)
        if cut and isinstance(node.value, ast.Name) and node.value.id == name:
            return True
        if is_concat(code, node) and name in joined(node):
            axis = value_of(node, 1, "dim")
            if axis is not None and constant(axis) != 0:
                return True
    return False


RULES = (empties, words, cumulative, statistics, several_axes, extremes, clamping, axes, masks)
