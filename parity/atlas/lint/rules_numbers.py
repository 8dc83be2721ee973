"""Numbers: NaN, whole numbers, comparisons."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator

from parity.atlas.lint.code import Code
from parity.atlas.lint.finding import HINT, Finding, instead
from parity.atlas.lint.kinds import NUMBER


def is_number_somewhere(code: Code, node: ast.AST) -> bool:
    """Whether a name is assigned from .item() or float(...) somewhere in its function."""
    if not isinstance(node, ast.Name):
        return False
    return any(
        isinstance(other, ast.Assign)
        and any(isinstance(t, ast.Name) and t.id == node.id for t in other.targets)
        and code.of(other.value).kind == NUMBER
        for other in code.within(code.source.scope(node))
    )


def not_a_number(code: Code) -> Iterator[Finding]:
    for node in code.every(ast.Compare):
        left = node.left
        itself = len(node.ops) == 1 and ast.dump(left) == ast.dump(node.comparators[0])
        if not itself or not isinstance(node.ops[0], (ast.NotEq, ast.Eq)):
            continue
        if isinstance(left, (ast.Constant, ast.Call)) or is_number_somewhere(code, left):
            continue
        if code.may_be_var(left):
            inner = ast.unparse(left) if isinstance(left, ast.Name) else f"({ast.unparse(left)})"
            unequal = isinstance(node.ops[0], ast.NotEq) and code.is_var(left)
            edits = [instead(node, f"{inner}.isnan()")] if unequal else []
            message = "x != x finds no NaN under fast-math: use jt.isnan"
            yield code.found(node, "nan-self-test", message, *edits)


def whole_numbers(code: Code) -> Iterator[Finding]:
    for o in code.named("randperm"):
        size = o.x if not o.is_method else None
        if size is not None and code.is_var(size):
            edits = [instead(size, f"int({ast.unparse(size)}.item())")]
            message = "randperm wants a Python integer: int(x.item())"
            yield code.found(o.call, "randperm-of-tensor", message, *edits)
    for o in code.named("unique"):
        if o.sure and floats(code, o.x):
            yield code.found(o.call, "unique-floats", "unique compares integer parts of floats")
    for node in code.every(ast.BinOp):
        if isinstance(node.op, ast.FloorDiv) and code.is_var(node.left):
            message = "// of a Var truncates toward zero, PyTorch's floors: matters below zero"
            yield code.found(node, "floor-divide-negative", message, level=HINT)
    for o in code.named("round"):
        if o.sure and o.is_method:
            message = "round goes half away from zero, PyTorch's half to even"
            yield code.found(o.call, "round-half", message, level=HINT)
    for o in code.named("floor"):
        quotient = o.x if o.sure and isinstance(o.x, ast.BinOp) else None
        divided = quotient and isinstance(quotient.op, ast.Div) and code.is_var(quotient.left)
        if divided and not is_power_of_two(quotient.right):
            message = "whole floats may give one less: ((x + 0.5) / n).floor()"
            yield code.found(o.call, "floor-of-quotient", message, level=HINT)


def is_power_of_two(node: ast.AST) -> bool:
    """Whether a division by what stands there is exact: a literal of that value."""
    value = getattr(node, "value", None)
    return isinstance(value, (int, float)) and value > 0 and math.frexp(value)[0] == 0.5


def floats(code: Code, node: ast.AST) -> bool:
    made = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    return made and node.func.attr in ("float32", "rand", "randn", "round", "float", "sigmoid")


def comparisons(code: Code) -> Iterator[Finding]:
    for node in code.every(ast.Compare):
        none = any(isinstance(c, ast.Constant) and c.value is None for c in node.comparators)
        if none and isinstance(node.ops[0], (ast.Eq, ast.NotEq)) and code.is_var(node.left):
            word = "is" if isinstance(node.ops[0], ast.Eq) else "is not"
            text = f"{ast.unparse(node.left)} {word} None"
            yield code.found(
                node, "equal-none", "a Var == None raises: is None", instead(node, text)
            )


RULES = (not_a_number, whole_numbers, comparisons)
