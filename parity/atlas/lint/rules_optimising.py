"""Several optimisers, copies of a model, half precision: what a training script does around its layers."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from parity.atlas.lint.code import Code
from parity.atlas.lint.finding import Finding, argument
from parity.atlas.lint.rules_training import is_step
from parity.atlas.lint.source import constant, keyword


def second_backward(code: Code) -> Iterator[Finding]:
    """a.backward(loss), then b.backward(loss): the graph is gone by then, and the gradients are zeros."""
    for function in code.every(ast.FunctionDef):
        first: dict[str, ast.Call] = {}
        calls = [n for n in ast.walk(function) if isinstance(n, ast.Call)]
        for call in sorted(calls, key=lambda n: (n.lineno, n.col_offset)):
            if not isinstance(call.func, ast.Attribute) or not call.args:
                continue
            owner, loss = ast.unparse(call.func.value), ast.unparse(call.args[0])
            if not is_step(call.func.attr, owner, call) or not code.speaks_jittor(call):
                continue
            before = first.get(loss)
            if before is None or is_assigned(function, call.args[0], before, call):
                first[loss] = call
            elif ast.unparse(before.func.value) != owner and not kept(before):
                message = (
                    f"line {before.lineno} has freed the graph of {loss}: these gradients are "
                    "zeros; say retain_graph=True there"
                )
                edit = argument(before, "retain_graph=True")
                yield code.found(call, "second-backward", message, edit)


def kept(call: ast.Call) -> bool:
    given = keyword(call, "retain_graph")
    value = given.value if given else call.args[1] if len(call.args) > 1 else None
    return value is not None and constant(value) is not False


def is_assigned(function: ast.AST, loss: ast.AST, first: ast.Call, second: ast.Call) -> bool:
    """Whether the loss is another one by then, or the calls stand in branches of their own."""
    names = {n.id for n in ast.walk(loss) if isinstance(n, ast.Name)}
    between = range(first.lineno, second.lineno)
    stored = any(
        isinstance(n, ast.Name)
        and n.id in names
        and isinstance(n.ctx, ast.Store)
        and n.lineno in between
        for n in ast.walk(function)
    )
    return stored or any(
        isinstance(n, ast.If) and holds(n.body, first) and holds(n.orelse, second)
        for n in ast.walk(function)
    )


def holds(statements: list[ast.stmt], node: ast.AST) -> bool:
    return any(child is node for statement in statements for child in ast.walk(statement))


def copied_attributes(code: Code) -> Iterator[Finding]:
    """for k in model.__dict__: setattr(copy, k, ...), as averages of a model copy what is no layer."""
    for loop in code.every(ast.For):
        source = ast.unparse(loop.iter)
        sets = any(
            isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "setattr"
            for n in ast.walk(loop)
        )
        if (
            sets
            and ("__dict__" in source or source.startswith("vars("))
            and code.speaks_jittor(loop)
        ):
            message = "a module's __dict__ holds its layers here: the copy would share them"
            yield code.found(loop, "module-dict", message)


PRECISION = ("auto_mixed_precision_level", "amp_level")  # a flag and its other name
IDLE_LEVELS = (1, 2, 3)


def mixed_precision(code: Code) -> Iterator[Finding]:
    """A level that does nothing: flags.NAME = LEVEL, flag_scope(NAME=LEVEL), setattr(flags, NAME, LEVEL)."""
    asked = []
    for node in code.every(ast.Assign):
        names = [code.source.dotted(target) for target in node.targets]
        if any(name in {f"jittor.flags.{level}" for level in PRECISION} for name in names):
            asked.append((node, node.value))
    for call in code.every(ast.Call):
        name = code.source.dotted(call.func)
        if name == "jittor.flag_scope":
            asked += [(call, k.value) for k in call.keywords if k.arg in PRECISION]
        elif ast.unparse(call.func) == "setattr" and len(call.args) == 3:
            flags, level = code.source.dotted(call.args[0]), constant(call.args[1])
            asked += (
                [(call, call.args[2])] if flags == "jittor.flags" and level in PRECISION else []
            )
    for node, value in asked:
        if constant(value) in IDLE_LEVELS:
            message = f"level {constant(value)} does nothing: 4 to 6 compute in half precision"
            yield code.found(node, "mixed-precision-level", message)


RULES = (second_backward, copied_attributes, mixed_precision)
