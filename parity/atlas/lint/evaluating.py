"""What a program does with its models: whether it trains them at all, and what its schedulers are."""

from __future__ import annotations

import ast
import re

from parity.atlas.lint.code import Code
from parity.atlas.lint.source import name_of

OPTIMISERS = {"SGD", "Adam", "AdamW", "RMSprop", "Adan"}


def only_evaluates(code: Code, node: ast.AST) -> bool:
    """Whether the function or script around calls eval(), and nothing in the program makes gradients."""
    scope = code.source.scope(node)
    asks = any(isinstance(n, ast.Attribute) and n.attr == "eval" for n in ast.walk(scope))
    return asks and not any(trains(other) for other in code.files)


def trains(code: Code) -> bool:
    """Whether a file makes an optimiser, asks for gradients, or takes steps."""
    for call in code.every(ast.Call):
        path = code.source.dotted(call.func)
        owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
        made = path.startswith("jittor.") and path.rpartition(".")[2] in OPTIMISERS
        if made or path == "jittor.grad" or is_asked(call, owner):
            return True
    return False


def is_asked(call: ast.Call, owner: str) -> bool:
    """optimizer.step(loss), optimizer.backward(loss)"""
    steps = name_of(call.func) in ("step", "backward") and bool(call.args or call.keywords)
    return steps and bool(re.search(r"opt", owner, re.IGNORECASE))


def is_scheduler(code: Code, call: ast.Call) -> bool:
    """Whether a method is Jittor's scheduler's, as its making or, where that is not seen, its name says."""
    owner = code.of(call.func.value)
    if owner.kind or owner.is_pair:
        return owner.kind == "scheduler"
    named = re.search(r"sched", ast.unparse(call.func.value), re.IGNORECASE)
    own = any(
        node.name == call.func.attr for other in code.files for node in other.every(ast.FunctionDef)
    )
    foreign = code.source.uses_torch
    return bool(named) and not own and not foreign and not code.source.is_guarded(call)
