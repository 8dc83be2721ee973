"""Rewritings that change nothing, or no more than rounding: what two correct programmers write differently.

As the operators of operators.py, but whoever alarms at one of these is wrong.
"""

from __future__ import annotations

import ast
import copy
import math
from collections.abc import Callable, Iterator

from parity.mutants.operators import altered

MIRRORED = {ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.LtE: ast.GtE, ast.GtE: ast.LtE}
# what holds sequences, sets or text: there + puts one behind the other
SEQUENCES = (
    *(ast.List, ast.Tuple, ast.Dict, ast.Set, ast.JoinedStr, ast.Starred),
    *(ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp),
)
OF_SEQUENCES = (
    *("shape", "keys", "values", "items", "split", "list", "tuple", "sorted", "set", "str"),
    *("name", "names", "prefix", "suffix", "text", "key"),  # as text is called here
)


def is_number(node: ast.AST) -> bool:
    """Whether nothing in an expression says that it is no number, array or tensor."""
    for part in ast.walk(node):
        name = getattr(part, "attr", getattr(part, "id", ""))
        if isinstance(part, SEQUENCES) or name in OF_SEQUENCES:
            return False
        if isinstance(part, ast.Constant) and isinstance(part.value, (str, bytes)):
            return False
    return True


def is_sum(node: ast.AST, *kinds: type) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, kinds) and is_number(node)


def commuted(node: ast.AST) -> Iterator[ast.AST]:
    """a + b as b + a, a * b as b * a."""
    if is_sum(node, ast.Add, ast.Mult):
        yield altered(node, left=copy.deepcopy(node.right), right=copy.deepcopy(node.left))


def mirrored(node: ast.AST) -> Iterator[ast.AST]:
    """a < b as b > a."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in MIRRORED:
        other = MIRRORED[type(node.ops[0])]()
        left, right = copy.deepcopy(node.comparators[0]), copy.deepcopy(node.left)
        yield altered(node, left=left, ops=[other], comparators=[right])


def added(node: ast.AST) -> Iterator[ast.AST]:
    """a - b as a + -b."""
    if is_sum(node, ast.Sub):
        minus = ast.UnaryOp(ast.USub(), copy.deepcopy(node.right))
        yield altered(node, op=ast.Add(), right=minus)


def divided(node: ast.AST) -> Iterator[ast.AST]:
    """x * 0.5 as x / 2.0, x / 3 as x * (1 / 3)."""
    if not is_sum(node, ast.Mult, ast.Div) or not isinstance(node.right, ast.Constant):
        return
    value = node.right.value
    if isinstance(value, bool) or not value:
        return
    if isinstance(node.op, ast.Div):
        yield altered(node, op=ast.Mult(), right=ast.Constant(1 / value))
    elif isinstance(value, float) and math.frexp(value)[0] == 0.5:
        yield altered(node, op=ast.Div(), right=ast.Constant(1 / value))


def associated(node: ast.AST) -> Iterator[ast.AST]:
    """(a + b) + c as a + (b + c), and of products."""
    if is_sum(node, ast.Add, ast.Mult) and is_sum(node.left, type(node.op)):
        first, second, third = map(copy.deepcopy, (node.left.left, node.left.right, node.right))
        behind = ast.BinOp(second, type(node.op)(), third)
        yield altered(node, left=first, right=behind)


def distributed(node: ast.AST) -> Iterator[ast.AST]:
    """(a + b) * c as a * c + b * c, and of quotients and differences."""
    if is_sum(node, ast.Mult, ast.Div) and is_sum(node.left, ast.Add, ast.Sub):
        parts = [
            ast.BinOp(copy.deepcopy(part), type(node.op)(), copy.deepcopy(node.right))
            for part in (node.left.left, node.left.right)
        ]
        yield altered(node, left=parts[0], op=copy.deepcopy(node.left.op), right=parts[1])


def squared(node: ast.AST) -> Iterator[ast.AST]:
    """x ** 2 as x * x, where computing x has no effect."""
    plain = not any(isinstance(part, ast.Call) for part in ast.walk(node))
    if plain and is_sum(node, ast.Pow) and getattr(node.right, "value", None) == 2:
        yield altered(node, op=ast.Mult(), right=copy.deepcopy(node.left))


def exchanged(node: ast.AST) -> Iterator[ast.AST]:
    """The branches of a condition the other way round, with the condition denied."""
    if isinstance(node, (ast.If, ast.IfExp)) and node.orelse:
        test = ast.UnaryOp(ast.Not(), copy.deepcopy(node.test))
        body, orelse = copy.deepcopy(node.orelse), copy.deepcopy(node.body)
        yield altered(node, test=test, body=body, orelse=orelse)


SOUND: dict[str, Callable[[ast.AST], Iterator[ast.AST]]] = {
    f.__name__: f
    for f in (
        *(commuted, mirrored, added, divided),
        *(associated, distributed, squared, exchanged),
    )
}
ROUNDED = {f.__name__ for f in (divided, associated, distributed, squared)}  # rounds otherwise
