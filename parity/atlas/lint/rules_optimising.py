"""Several optimisers, copies of a model, half precision: what a training script does around its layers."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from parity.atlas.lint.code import Code
from parity.atlas.lint.finding import HINT, WARNING, Finding, argument, instead
from parity.atlas.lint.rules_training import is_step, loss_of
from parity.atlas.lint.source import FUNCTIONS, constant, keyword


def several_passes(code: Code) -> Iterator[Finding]:
    """More than one backward pass for a step, of which Adam counts each; a hint where the file does not say that it is
    Adam."""
    names = code.names
    level = WARNING if names & {"Adam", "AdamW", "Adan"} else HINT
    for body in code.bodies:
        calls = [n for n in body if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
        before: dict[str, ast.Call] = {}
        for call in sorted(calls, key=lambda n: n.lineno):
            owner, name, loss = ast.unparse(call.func.value), call.func.attr, loss_of(call)
            if loss is None or not is_step(name, owner, call) or not code.speaks_jittor(call):
                continue
            if name == "backward":
                if is_accumulated(code, call, calls):
                    message = "Adam counts every backward(loss) as a step"
                    yield code.found(call, "accumulation", message, level=level)
                before[owner] = call
            elif owner in before and constant(loss) is None:
                yield counted_twice(code, before[owner], call, level)


def counted_twice(code: Code, first: ast.Call, call: ast.Call, level: str) -> Finding:
    """step(loss) behind backward(loss): of the same loss, or of another that is added to it."""
    owner = ast.unparse(call.func.value)
    if ast.unparse(loss_of(first)) == ast.unparse(loss_of(call)):
        message = "backward(loss) came before: step(loss) counts another step of Adam's: step()"
        edit = instead(call, f"{owner}.step()")
        return code.found(call, "step-after-backward", message, edit, level=level)
    message = "Adam counts backward and step as two steps: add the losses, and step once"
    return code.found(call, "accumulation", message, level=level)


def is_accumulated(code: Code, call: ast.Call, calls: list[ast.Call]) -> bool:
    """Whether backward stands in a loop, and step() of the same optimiser in an `if i % n` of that loop."""
    loop = code.source.enclosing(call, (ast.For, ast.While))
    if loop is None:
        return False
    owner = ast.unparse(call.func.value)
    for other in calls:
        if other.func.attr == "step" and ast.unparse(other.func.value) == owner:
            guard = code.source.enclosing(other, (ast.If, ast.For, ast.While))
            asked = ast.unparse(guard.test) if isinstance(guard, ast.If) else ""
            within = (
                guard is not None and code.source.enclosing(guard, (ast.For, ast.While)) is loop
            )
            if "%" in asked and within and not holds([guard], call):
                return True
    return False


def second_backward(code: Code) -> Iterator[Finding]:
    """a.backward(loss), then b.backward(loss): the graph is gone by then, and the gradients are zeros."""
    for body in code.bodies:
        first: dict[str, ast.Call] = {}
        calls = [n for n in body if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
        for call in sorted(calls, key=lambda n: (n.lineno, n.col_offset)):
            given, owner = loss_of(call), ast.unparse(call.func.value)
            if given is None or not is_step(call.func.attr, owner, call):
                continue
            if not code.speaks_jittor(call):
                continue
            loss = ast.unparse(given)
            before = first.get(loss)
            if before is None or is_assigned(body, given, before, call):
                first[loss] = call
            elif ast.unparse(before.func.value) != owner and not kept(before):
                message = (
                    f"line {before.lineno} has freed the graph of {loss}: these gradients are "
                    "zeros; say retain_graph=True there"
                )
                edit = argument(before, "retain_graph=True")
                yield code.found(call, "second-backward", message, edit)


COMPREHENSIONS = (ast.ListComp, ast.GeneratorExp, ast.SetComp, ast.DictComp)


def freed(code: Code) -> Iterator[Finding]:
    """[jt.grad(loss, x, retain_graph=False) for x in xs]: the first frees the graph, all others are zeros."""
    for call in code.every(ast.Call):
        given = keyword(call, "retain_graph")
        asked = code.source.dotted(call.func) == "jittor.grad" and given and len(call.args) > 1
        loop = code.source.enclosing(call, (*COMPREHENSIONS, ast.For, ast.While, *FUNCTIONS))
        if not asked or constant(given.value) is not False:
            continue
        inner = code.within(loop) if isinstance(loop, (*COMPREHENSIONS, ast.For, ast.While)) else []
        stored = {n.id for n in inner if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        names = {n.id for n in ast.walk(call.args[0]) if isinstance(n, ast.Name)}
        if inner and names and not names & stored:
            message = "the first frees the graph, the gradients of the others are zeros"
            yield code.found(call, "second-backward", message)


def kept(call: ast.Call) -> bool:
    given = keyword(call, "retain_graph")
    value = given.value if given else call.args[1] if len(call.args) > 1 else None
    return value is not None and constant(value) is not False


def is_assigned(body: list, loss: ast.AST, first: ast.Call, second: ast.Call) -> bool:
    """Whether the loss is another one by then, or the calls stand in branches of their own."""
    names = {n.id for n in ast.walk(loss) if isinstance(n, ast.Name)}
    between = range(first.lineno, second.lineno)
    stored = any(
        isinstance(n, ast.Name)
        and n.id in names
        and isinstance(n.ctx, ast.Store)
        and n.lineno in between
        for n in body
    )
    return stored or any(
        isinstance(n, ast.If) and holds(n.body, first) and holds(n.orelse, second) for n in body
    )


def holds(statements: list[ast.stmt], node: ast.AST) -> bool:
    return any(child is node for statement in statements for child in ast.walk(statement))


def copied_attributes(code: Code) -> Iterator[Finding]:
    """for k in model.__dict__: setattr(copy, k, ...), as averages of a model copy what is no layer."""
    for loop in code.every(ast.For):
        source = ast.unparse(loop.iter)
        sets = any(
            isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "setattr"
            for n in code.within(loop)
        )
        if (
            sets
            and ("__dict__" in source or source.startswith("vars("))
            and "deepcopy" not in ast.unparse(loop)
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
        levels = [constant(v) for v in arms(code, value)]
        idle = [level for level in levels if level in IDLE_LEVELS]
        if idle and all(level in (0, *IDLE_LEVELS) for level in levels):
            message = f"level {idle[0]} does nothing: 4 to 6 compute in half precision"
            yield code.found(node, "mixed-precision-level", message)


def arms(code: Code, node: ast.AST, steps: int = 3) -> list[ast.AST]:
    """What a value may be: both of `3 if use_amp else 0`, and all that the file assigns to a name."""
    if isinstance(node, ast.IfExp):
        asked = {constant(t) for t in arms(code, node.test, steps - 1)}
        never, always = asked == {False}, asked == {True}
        taken = [] if never else [node.body]
        taken += [] if always else [node.orelse]
        return [v for arm in taken for v in arms(code, arm, steps)]
    if not isinstance(node, ast.Name) or not steps:
        return [node]
    held = [
        n.value
        for n in code.every(ast.Assign)
        if node.id in {t.id for t in n.targets if isinstance(t, ast.Name)}
    ]
    return [v for value in held for v in arms(code, value, steps - 1)] or [node]


RULES = (several_passes, second_backward, freed, copied_attributes, mixed_precision)
