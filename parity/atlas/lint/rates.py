"""Rates of groups, and who writes them; schedules, and when they take a step."""

from __future__ import annotations

import ast
import re

from parity.atlas.lint.code import Code
from parity.atlas.lint.source import constant, name_of

FOREIGN = re.compile(r"^\s*(?:import|from)\s+torch", re.M)
WRITTEN = re.compile(r"""\[["']lr["']\]\s*[*/+-]?=[^=]""")


def steps_by_batch(code: Code) -> bool:
    """Whether schedulers take a step each batch, of which one more or less is nothing."""
    for other in code.files:
        for call in other.every(ast.Call):
            owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
            if name_of(call.func) != "step" or "sched" not in owner.lower():
                continue
            loop = other.source.enclosing(call, (ast.For,))
            function = other.source.enclosing(call, (ast.FunctionDef,))
            given = {a.arg for a in function.args.args} if function else set()
            batches = loop and re.search(r"load|batch|data", ast.unparse(loop.iter), re.IGNORECASE)
            if batches or any(re.search(r"iter", name) for name in given):
                return True
    return False


def writes_rates(code: Code) -> bool:
    """Whether another file gives groups their rate: adjust_learning_rate(optimizer, epoch)."""
    texts = (text for file, text in code.program.texts.items() if file != code.path)
    near = (text for text in texts if "jittor" in text or not FOREIGN.search(text))
    return any(WRITTEN.search(text) and "param_groups" in text for text in near)


def groups_with_rates(code: Code) -> float:
    """The first line that makes groups {"params": ..., "lr": ...} or writes the key; infinite if none does."""
    if any({"LambdaLR", "LRScheduler"} & other.names for other in code.files):
        return 0  # these write it, whichever file makes them
    if writes_rates(code):
        return 0
    lines = [float("inf")]
    near = (other for other in code.files if other.source.uses_jittor)
    for node in (n for other in (code, *near) for n in other.every(ast.Dict)):
        keys = {constant(k) for k in node.keys if k is not None}
        if {"params", "lr"} <= keys:
            lines.append(0)
    for node in code.every(ast.Subscript):
        stored = isinstance(node.ctx, ast.Store) and constant(node.slice) == "lr"
        if stored and is_group(code, node.value):
            lines.append(node.lineno)
    return min(lines)


def is_group(code: Code, node: ast.AST) -> bool:
    """param_groups[i], or the variable of a loop or comprehension over param_groups."""
    if isinstance(node, ast.Subscript):
        return name_of(node.value) == "param_groups"
    if not isinstance(node, ast.Name):
        return False
    loops = (ast.For, ast.ListComp, ast.GeneratorExp, ast.SetComp, ast.DictComp)
    loop = code.source.enclosing(node, loops)
    while loop is not None:
        parts = [loop] if isinstance(loop, ast.For) else loop.generators
        for part in parts:
            named = node.id in {n.id for n in ast.walk(part.target) if isinstance(n, ast.Name)}
            if named and "param_groups" in ast.unparse(part.iter):
                return True
        loop = code.source.enclosing(loop, loops)
    return False
