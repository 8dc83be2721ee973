"""What is done around an optimiser's step: clipping, several backward passes, states, checkpoints."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise

from parity.atlas.lint.code import Code
from parity.atlas.lint.finding import Finding
from parity.atlas.lint.rates import is_group
from parity.atlas.lint.rules_optimising import kept
from parity.atlas.lint.rules_training import OPTIMISERLIKE, is_step, loss_of
from parity.atlas.lint.source import constant, name_of, says


def methods_called(code: Code, scope: ast.AST) -> list[tuple[str, str, ast.Call]]:
    """(owner, method, call) in the order of the text."""
    calls = [
        n
        for n in code.within(scope)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)
    ]
    calls.sort(key=lambda n: (n.lineno, n.col_offset))
    return [(ast.unparse(n.func.value), n.func.attr, n) for n in calls]


def clipping(code: Code) -> Iterator[Finding]:
    """clip_grad_norm() behind step(loss), or before it with no backward(loss): there is nothing to clip."""
    for function in code.every(ast.FunctionDef):
        calls = methods_called(code, function)
        for owner, method, call in calls:
            if method not in ("clip_grad_norm", "clip_grad_norm_") or not code.speaks_jittor(call):
                continue
            own = [(name, other) for o, name, other in calls if o == owner]
            if any(name == "backward" for name, _ in own):
                continue
            losses = [loss_of(c) for name, c in own if name == "step" and loss_of(c) is not None]
            if losses and constant(losses[0]) is None:
                message = (
                    f"step(loss) makes the gradients and uses them: {owner}.backward(loss) first"
                )
                yield code.found(call, "clip-after-step", message)


def clipped_parameters(code: Code) -> Iterator[Finding]:
    """optimizer.clip_grad_norm(net.parameters(), 1.0): Jittor's has the parameters, and takes the norm first."""
    for call in code.every(ast.Call):
        named = isinstance(call.func, ast.Attribute) and call.func.attr == "clip_grad_norm"
        first = call.args[0] if named and len(call.args) > 1 else None
        given = isinstance(first, ast.Call) and name_of(first.func) == "parameters"
        if given and code.speaks_jittor(call):
            message = "clip_grad_norm takes the greatest norm first, and no parameters"
            yield code.found(call, "argument-place", message)


def moved(code: Code) -> Iterator[Finding]:
    """Two methods that call backward(loss) of one optimiser, the first of which moves the parameters, as SAM does:
    without zero_grad() between them the gradients add up."""
    for owner in code.every(ast.ClassDef):
        methods = [n for n in owner.body if isinstance(n, ast.FunctionDef)]
        called = {m: methods_called(code, m) for m in methods}
        asking = [
            (m, o, call)
            for m in methods
            for o, name, call in called[m]
            if is_step(name, o, call) and name == "backward" and o.startswith("self.")
        ]
        for (first, o, _), (second, other, call) in pairwise(asking):
            before = {name for a, name, _ in called[first] if a == o} | {"assign", "update"} & {
                name for _, name, _ in called[first]
            }
            ends = {"zero_grad", "step"} & (before | zeroed(called[second], o, call))
            moves = before & {"assign", "update"}
            if first is not second and o == other and moves and not ends:
                message = f"adds to the gradients of {first.name}: {o}.zero_grad() before"
                yield code.found(call, "accumulation", message)


ADAPTIVE = {"Adam", "AdamW", "Adan"}


def accumulated(code: Code) -> Iterator[Finding]:
    """Several backward(loss) of one Adam for one step(): it counts them all as steps."""
    if not ADAPTIVE & code.names:
        return
    for function in code.every(ast.FunctionDef):
        before: dict[str, ast.Call] = {}
        told = set()
        for owner, name, call in methods_called(code, function):
            if name in ("step", "zero_grad"):
                before.pop(owner, None)
            elif name == "backward" and is_step(name, owner, call) and code.speaks_jittor(call):
                first = before.get(owner)
                if first is not None and owner not in told and not apart(code, first, call):
                    told.add(owner)
                    message = (
                        f"Adam counts this and line {first.lineno} as two steps: add the losses"
                    )
                    yield code.found(call, "accumulation", message)
                before.setdefault(owner, call)


def apart(code: Code, one: ast.AST, other: ast.AST) -> bool:
    """Whether two calls stand in different branches of one If."""
    branch: ast.AST | None = one
    while (branch := code.source.enclosing(branch, (ast.If,))) is not None:
        bodies = [branch.body, branch.orelse]
        held = [
            [any(n is x for s in body for n in ast.walk(s)) for x in (one, other)]
            for body in bodies
        ]
        if held in ([[True, False], [False, True]], [[False, True], [True, False]]):
            return True
    return False


def freed(code: Code) -> Iterator[Finding]:
    """jt.grad(scores, x) behind backward(loss) of a loss made of these scores: the graph is gone by then."""
    for function in code.every(ast.FunctionDef):
        calls = [n for n in code.within(function) if isinstance(n, ast.Call)]
        calls.sort(key=lambda n: (n.lineno, n.col_offset))
        gone: dict[str, ast.Call] = {}  # names whose graph a backward() has freed
        for call in calls:
            owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
            loss = loss_of(call)
            if loss is not None and is_step(name_of(call.func), owner, call) and not kept(call):
                gone |= dict.fromkeys(sources(function, loss), call)
            elif code.source.dotted(call.func) == "jittor.grad" and call.args:
                names = {n.id for n in ast.walk(call.args[0]) if isinstance(n, ast.Name)}
                for name in sorted(names & gone.keys()):
                    if not stored(function, name, gone[name].lineno, call.lineno):
                        message = (
                            f"line {gone[name].lineno} has freed the graph of {name}: these "
                            "gradients are zeros; say retain_graph=True there"
                        )
                        yield code.found(call, "second-backward", message)
                        break


def sources(function: ast.AST, loss: ast.AST) -> set[str]:
    """The names in a loss, and those that the last assignment of each was made of, if the function makes them."""
    names = {n.id for n in ast.walk(loss) if isinstance(n, ast.Name)}
    made = [n for n in ast.walk(function) if isinstance(n, ast.Assign) and n.lineno < loss.lineno]
    for node in made:
        if names & {name_of(t) for t in node.targets}:
            names |= {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)}
    own = {
        n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    return names & own


def stored(function: ast.AST, name: str, first: int, last: int) -> bool:
    return any(
        isinstance(n, ast.Name)
        and n.id == name
        and isinstance(n.ctx, ast.Store)
        and first < n.lineno < last
        for n in ast.walk(function)
    )


def zeroed(calls: list[tuple[str, str, ast.Call]], owner: str, until: ast.Call) -> set[str]:
    return {name for o, name, call in calls if o == owner and call.lineno < until.lineno}


def default_decay(code: Code) -> Iterator[Finding]:
    """made = optim.AdamW, which then makes an optimiser without a word of weight_decay."""
    for node in code.every(ast.Assign):
        name = node.targets[0]
        if not isinstance(name, ast.Name):
            continue
        path = code.source.dotted(node.value)
        if not (path.startswith("jittor.") and path.endswith(".AdamW")):
            continue
        makers = [
            call
            for call in code.within(code.source.scope(node))
            if isinstance(call, ast.Call)
            and call.lineno > node.lineno
            and name.id in {n.id for n in [call.func, *call.args] if isinstance(n, ast.Name)}
            and says(call, "lr")
        ]
        if makers and not any(says(call, "weight_decay") for call in makers):
            message = "AdamW's default weight decay is 0, PyTorch's 0.01: say it"
            yield code.found(node, "adamw-default-decay", message)


def states(code: Code) -> Iterator[Finding]:
    """optimizer.state_dict()["param_groups"], and torch.save's habit of parameters() for a state."""
    for node in code.every(ast.Subscript):
        inner = node.value
        replaced = isinstance(node.ctx, ast.Store) and constant(node.slice) == "params"
        if replaced and is_group(code, inner) and code.speaks_jittor(node):
            message = (
                "the group keeps the gradients and moments of its old params: make a new optimiser"
            )
            yield code.found(node, "optimizer-state", message)
        asked = isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute)
        if not (asked and inner.func.attr == "state_dict" and code.speaks_jittor(node)):
            continue
        owner = ast.unparse(inner.func.value)
        if constant(node.slice) in ("param_groups", "state") and OPTIMISERLIKE.search(owner):
            message = f'an optimiser\'s state is {{"defaults": ...}}: {owner}.param_groups'
            yield code.found(node, "optimizer-state", message)
    for call in code.every(ast.Call):
        if code.source.dotted(call.func) != "jittor.save" or not call.args:
            continue
        for given in ast.walk(call.args[0]):
            of = given.func if isinstance(given, ast.Call) else None
            if name_of(of) == "parameters" and code.parent(given) in (call, call.args[0]):
                message = "parameters() has no names to load by: save state_dict()"
                yield code.found(given, "save-parameters", message)


RULES = (clipped_parameters, clipping, moved, accumulated, freed, default_decay, states)
