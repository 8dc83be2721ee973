"""Losses that are kept with their graphs: what a loop adds up, where nothing takes a step or reads a number.

Before: a file of a port. After: findings. Measured with five layers: sum += loss of a batch keeps 29 Vars and 27
operations, with eval() as well; after step(loss), which lets the graph go, 2 Vars; under no_grad nothing, once read.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from parity.atlas.lint.code import Code
from parity.atlas.lint.finding import Finding, after
from parity.atlas.lint.rules_freezing import in_no_grad
from parity.atlas.lint.rules_training import LOSSLIKE, is_step
from parity.atlas.lint.source import FUNCTIONS, constant, name_of

KEPT = "loss-kept"
LOOPS = (ast.For, ast.While)
OF_DATA = re.compile(
    r"load|data|batch|(^|_)set\b|(^|\W)(train|val|valid|test)(_\w+)?\)*$", re.IGNORECASE
)
NUMBERS = {"item", "float", "numpy", "data", "tolist", "detach", "stop_grad", "len", "fetch_sync"}


def summed(code: Code) -> Iterator[Finding]:
    """total += criterion(net(x), y) over a loader."""
    for node in code.every(ast.AugAssign):
        loop = code.source.enclosing(node, (*LOOPS, *FUNCTIONS))
        adds = isinstance(node.op, ast.Add) and isinstance(node.target, ast.Name)
        if not adds or not isinstance(loop, ast.For) or not OF_DATA.search(ast.unparse(loop.iter)):
            continue
        if (
            not code.speaks_jittor(node)
            or in_no_grad(code, node)
            or not is_loss(code, loop, node.value)
        ):
            continue
        if starts_at_zero(code, loop, node.target.id) and not is_trained(
            code, loop, node.target.id
        ):
            message = "keeps the graph of every batch: add .item()"
            edits = [after(node.value, ".item()")] if isinstance(node.value, ast.Name) else []
            yield code.found(node, KEPT, message, *edits)


def is_loss(code: Code, loop: ast.For, value: ast.AST) -> bool:
    """A Var, or what is called a loss and was computed in the loop; not what was read of it as a number."""
    if any(name_of(n) in NUMBERS for n in ast.walk(value)):
        return False
    names = [n for n in ast.walk(value) if isinstance(n, ast.Name) and LOSSLIKE.search(n.id)]
    return any(is_computed(code, loop, n.id) for n in names)


def is_computed(code: Code, loop: ast.For, name: str) -> bool:
    """Whether all that the loop gives a name are calls, of which none reads a number."""
    values = [
        n.value
        for n in code.within(loop)
        if isinstance(n, ast.Assign) and any(name_of(t) == name for t in n.targets)
    ]
    read = any(name_of(n) in NUMBERS for v in values for n in ast.walk(v))
    return bool(values) and not read and all(isinstance(v, (ast.Call, ast.BinOp)) for v in values)


def starts_at_zero(code: Code, loop: ast.For, name: str) -> bool:
    before = [
        n
        for n in code.within(code.source.scope(loop))
        if isinstance(n, ast.Assign)
        and n.lineno < loop.lineno
        and any(name_of(e) == name for t in n.targets for e in getattr(t, "elts", [t]))
    ]
    last = max(before, key=lambda n: n.lineno, default=None)
    values = getattr(last.value, "elts", [last.value]) if last is not None else []
    return bool(values) and all(constant(v) in (0, 0.0) for v in values)


def is_trained(code: Code, loop: ast.For, name: str) -> bool:
    """Whether the loop takes steps, or the scope asks for gradients of the sum."""
    for call in (n for n in code.within(code.source.scope(loop)) if isinstance(n, ast.Call)):
        owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
        steps = is_step(name_of(call.func), owner, call) or name_of(call.func) in ("step", "grad")
        within = loop.lineno <= call.lineno <= loop.end_lineno
        given = {n.id for a in call.args for n in ast.walk(a) if isinstance(n, ast.Name)}
        if steps and (within or name in given):
            return True
    return False


RULES = (summed,)
