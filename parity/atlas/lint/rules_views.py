"""Assignments: into parts of an array, which are copies here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from parity.atlas.lint.code import Code
from parity.atlas.lint.finding import HINT, WARNING, Finding, after, before, instead
from parity.atlas.lint.kinds import VAR
from parity.atlas.lint.rules_arrays import MASKLIKE
from parity.atlas.lint.source import constant, name_of

IN_PLACE = re.compile(r"^[a-z]\w*[a-z0-9]_$")
NOT_IN_PLACE = {"requires_grad_", "register_"}


def into_views(code: Code) -> Iterator[Finding]:
    """x[a:b].clamp_(...), x[0][1] = v, y = x[0:2]; y[0] = v: the original never sees it."""
    for o in code.operations:
        in_place = IN_PLACE.match(o.name) and o.name not in NOT_IN_PLACE and o.is_method
        if in_place and isinstance(o.x, ast.Subscript) and is_statement(code, o.call):
            holder = code.of(o.x.value)
            if holder.kind in ("", VAR) and has_slice(o.x.slice):
                message = f"{o.name} of a slice changes nothing: assign the result to it"
                new = f"{ast.unparse(o.x)} = {ast.unparse(o.x)}.{o.name[:-1]}({arguments(o.call)})"
                edits = [instead(o.call, new)] if o.name == "clamp_" else []
                yield code.found(o.call, "view-clamp-columns", message, *edits)
        view = o.x if isinstance(o.x, ast.Call) else None
        if in_place and view is not None and reshapes(code, view) and is_statement(code, o.call):
            message = f"{o.name} fills a copy: {ast.unparse(view)} is none of its source's memory"
            yield code.found(o.call, "view-reshape", message)
    for call in code.every(ast.Call):
        path = code.source.dotted(call.func)
        fills = path.startswith(("jittor.init.", "jittor.nn.init.")) and IN_PLACE.match(
            name_of(call.func)
        )
        view = call.args[0] if fills and call.args else None
        if isinstance(view, ast.Call) and reshapes(code, view) and is_statement(code, call):
            message = f"{name_of(call.func)} fills a copy: what was reshaped keeps its values"
            yield code.found(call, "view-reshape", message)
    for node in code.every(ast.Assign, ast.AugAssign):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if isinstance(target, ast.Subscript):
                yield from into_part(code, node, target)


def into_part(code: Code, node: ast.stmt, target: ast.Subscript) -> Iterator[Finding]:
    inner = target.value
    if isinstance(inner, ast.Subscript) and code.is_var(inner.value) and has_slice(inner.slice):
        message = "assigning into a slice of a slice changes nothing: one index"
        yield code.found(node, "set-chained", message)
    elif isinstance(inner, ast.Subscript) and code.is_var(inner.value) and masks(code, target):
        message = "assigning through a mask into a part changes nothing: one index"
        yield code.found(node, "set-chained", message)
    elif isinstance(inner, ast.Call) and flattens(code, inner):
        message = "assigning into view(...) changes a copy"
        yield code.found(node, "view-reshape", message)
    elif isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute):
        value = code.of(inner)
        if value.kind == VAR and value.view and inner.func.attr != "detach":
            message = f"assigning into {inner.func.attr}(...) changes a copy"
            yield code.found(node, "view-reshape", message)
    elif isinstance(inner, ast.Name):
        value = code.of(inner)
        if value.kind == VAR and value.view and in_for_loop(code, inner):
            message = f"{inner.id} is a copy of a part here: what it was taken from does not change"
            yield code.found(node, "view-rows", message)
        elif is_lost(code, inner):
            message = f"{inner.id} is a copy here, and nobody reads it: its source does not change"
            yield code.found(node, "view-slice", message)


def masks(code: Code, target: ast.Subscript) -> bool:
    """x[0][mask] = v"""
    named = bool(MASKLIKE.search(name_of(target.slice)))
    return named or code.is_boolean(target.slice) or isinstance(target.slice, ast.Compare)


def flattens(code: Code, call: ast.Call) -> bool:
    """x.view(-1), which NumPy's arrays do not take."""
    numbers = [constant(a) for a in call.args]
    named = isinstance(call.func, ast.Attribute) and call.func.attr == "view"
    return named and numbers == [-1] and code.may_be_var(call.func.value)


def reshapes(code: Code, node: ast.Call) -> bool:
    """w.view(...), w.reshape(...), w.transpose(...): of something that a name holds."""
    made = isinstance(node.func, ast.Attribute) and node.func.attr in (OF_TENSORS - {"detach"}) | {
        "reshape",
        "flatten",
        "transpose",
    }
    held = made and isinstance(node.func.value, (ast.Name, ast.Attribute, ast.Subscript))
    return held and not code.source.dotted(node.func)


def is_lost(code: Code, name: ast.Name) -> bool:
    """Whether a name is a view in PyTorch, x[a:b].view(...), and is only written to after this."""
    scope = code.source.scope(name)
    made = [
        n.value
        for n in code.within(scope)
        if isinstance(n, ast.Assign)
        and n.lineno < name.lineno
        and any(isinstance(t, ast.Name) and t.id == name.id for t in n.targets)
    ]
    if len(made) != 1 or not is_view(code, made[0]) or code.source.enclosing(name, (ast.While,)):
        return False
    return all(
        isinstance(around := code.parent(n), ast.Subscript)
        and around.value is n
        and isinstance(around.ctx, ast.Store)
        for n in code.loads(scope, name.id, made[0].lineno)
    )


def is_view(code: Code, node: ast.AST) -> bool:
    """x.view(...), x[0:2].permute(...): of what is a Var, or has a tensor's methods, and is held by a name."""
    sure = code.is_var(node) and code.of(node).view
    steps = 0
    while isinstance(node, (ast.Call, ast.Subscript)):
        if isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Attribute) or node.func.attr not in OF_TENSORS:
                return False
            sure, node = sure or code.speaks_jittor(node), node.func.value
        elif has_index_array(code, node.slice):
            return False
        else:
            node = node.value
        steps += 1
    return sure and steps > 0 and isinstance(node, (ast.Name, ast.Attribute))


def has_index_array(code: Code, index: ast.AST) -> bool:
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    return not all(isinstance(p, (ast.Slice, ast.Constant)) for p in parts)


OF_TENSORS = {"view", "permute", "unsqueeze", "detach", "view_as", "expand"}  # not NumPy's


def in_for_loop(code: Code, name: ast.Name) -> bool:
    """Whether a name is the row, or one of the rows, that a loop around it goes over."""
    node: ast.AST | None = name
    while node is not None:
        node = code.source.enclosing(node, (ast.For,))
        if node is not None and name.id in {
            n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)
        }:
            return True
    return False


def is_statement(code: Code, node: ast.AST) -> bool:
    return isinstance(code.parent(node), ast.Expr)


def has_slice(node: ast.AST) -> bool:
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    return any(isinstance(p, (ast.Slice, ast.Compare)) for p in parts) or len(parts) > 1


def arguments(call: ast.Call) -> str:
    return ", ".join(ast.unparse(a) for a in [*call.args, *call.keywords])


def rows(code: Code) -> Iterator[Finding]:
    """x[0] = -1.0 sets one element of the row, when the value is a Python float."""
    for node in code.every(ast.Assign):
        target, value = node.targets[0], node.value
        if not isinstance(target, ast.Subscript) or not isinstance(constant(value), float):
            continue
        made = code.of(target.value)
        if made.kind == VAR and (made.axes or 0) > 1 and one_axis(code, target.slice):
            index = ast.unparse(target.slice)
            dots = ", :" * (made.axes - 1)
            message = f"sets ONE element of the row: write x[{index}{dots}] = ..."
            yield code.found(node, "set-row-scalar", message, after(target.slice, dots))


def one_axis(code: Code, index: ast.AST) -> bool:
    """A number, a loop's counter or a slice that is not the whole: no mask."""
    if isinstance(index, ast.Slice):
        return index.lower is not None or index.upper is not None
    if isinstance(index, ast.Name):
        return in_for_loop(code, index) and code.of(index).kind == "number"
    return isinstance(constant(index), int)


def unused(code: Code) -> Iterator[Finding]:
    """x.floor() alone in a line: what was floor_() in PyTorch, and does nothing here."""
    for o in code.operations:
        if o.name in PURE and isinstance(code.parent(o.call), ast.Expr) and code.may_be_var(o.x):
            message = f"{o.name} gives a new array, and nobody takes it: x = x.{o.name}(...)"
            edits = []
            if isinstance(o.x, (ast.Name, ast.Attribute)):
                edits = [before(o.call, f"{ast.unparse(o.x)} = ")]
            level = WARNING if o.sure or o.name in UNMISTAKABLE else HINT
            yield code.found(o.call, "result-unused", message, *edits, level=level)


def thrown(code: Code) -> Iterator[Finding]:
    """nn.init.gauss(shape, std=0.02) alone in a line: numbers are drawn, and no weight gets them."""
    for node in code.every(ast.Expr):
        path = code.source.dotted(node.value.func) if isinstance(node.value, ast.Call) else ""
        drawn = path.startswith(("jittor.init.", "jittor.nn.init.")) and not path.endswith("_")
        if drawn and path.rpartition(".")[2] in DRAWN:
            name = path.rpartition(".")[2]
            message = f"{name} gives a new array, and nobody takes it: {name}_(weight, ...)"
            yield code.found(node.value, "result-unused", message)


DRAWN = {
    *("gauss", "uniform", "constant", "zero", "one", "eye", "xavier_uniform", "xavier_gauss"),
    *("invariant_uniform", "relu_invariant_gauss", "trunc_normal"),
}
UNMISTAKABLE = {
    *("floor", "clamp", "masked_fill", "unsqueeze", "permute", "sigmoid", "exp", "sqrt", "detach"),
    *("mpi_all_reduce", "float32", "int32", "softmax", "squeeze", "reshape", "round", "abs"),
}
PURE = UNMISTAKABLE | {
    *("add", "sub", "mul", "multiply", "divide", "div", "subtract", "transpose", "view", "flatten"),
    *(
        "ceil",
        "log",
        "pow",
        "relu",
        "tanh",
        "minimum",
        "maximum",
        "scatter",
        "index_select",
        "float",
    ),
}
RULES = (into_views, rows, unused, thrown)
