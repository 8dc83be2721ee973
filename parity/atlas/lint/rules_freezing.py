"""What takes a parameter's gradients away: loading, building and assigning under no_grad, or of what is stopped."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from parity.atlas.lint.code import Code
from parity.atlas.lint.evaluating import only_evaluates, trains
from parity.atlas.lint.finding import HINT, WARNING, Finding
from parity.atlas.lint.rules_training import OPTIMISERLIKE, is_no_grad
from parity.atlas.lint.source import FUNCTIONS, name_of

UNTRAINED = re.compile(  # what nobody trains: averages, teachers, statistics
    r"ema|tgt|target|teacher|avg|average|shadow|momentum|moving|queue|memory|bank|running|buffer|"
    r"mean|var(_|$)|std|test|slow|centers?|centroid|proto|codebook|cluster|mask|index|stat|pos_|grid",
    re.IGNORECASE,
)
FREED = ("start_grad", "requires_grad", "requires_grad_")


def under_no_grad(code: Code) -> Iterator[Finding]:
    """w.assign(...) and init.gauss_(w) in `with jt.no_grad()`, or in a function that is decorated so."""
    told = set()  # scope and name: once each
    for call in code.every(ast.Call):
        target = assigned(call) or drawn(code, call)
        if target is None or not in_no_grad(code, call) or is_untrained(code, target):
            continue
        place = (code.source.scope(call), ast.unparse(target))
        if not is_freed(code, target) and place not in told and not only_evaluates(code, call):
            told.add(place)
            entry = "update-under-no-grad" if assigned(call) else "init-under-no-grad"
            trained = entry[:4] == "init" or any(trains(other) for other in code.files)
            message = f"{ast.unparse(target)}, given its values under no_grad, is frozen for good"
            yield code.found(call, entry, message, level=WARNING if trained else HINT)


def assigned(call: ast.Call) -> ast.AST | None:
    """w of w.assign(x)"""
    is_assign = isinstance(call.func, ast.Attribute) and call.func.attr == "assign"
    return call.func.value if is_assign and len(call.args) == 1 else None


def drawn(code: Code, call: ast.Call) -> ast.AST | None:
    """w of init.gauss_(w, ...)"""
    path = code.source.dotted(call.func)
    is_init = path.startswith(("jittor.init.", "jittor.nn.init.")) and path.endswith("_")
    return call.args[0] if is_init and call.args else None


def in_no_grad(code: Code, node: ast.AST) -> bool:
    around: ast.AST | None = node
    while (around := code.source.enclosing(around, (ast.With, *FUNCTIONS))) is not None:
        if isinstance(around, ast.With):
            if any(is_no_grad(code, item.context_expr) for item in around.items):
                return True
        else:
            return any(is_no_grad(code, d) for d in getattr(around, "decorator_list", ()))
    return False


def is_untrained(code: Code, target: ast.AST) -> bool:
    """By its own name, the function's, or that of what a loop around it goes over."""
    function = code.source.enclosing(target, (ast.FunctionDef,))
    texts = [ast.unparse(target), function.name if function else ""]
    loop = code.source.enclosing(target, (ast.For,))
    if loop is not None:
        texts.append(ast.unparse(loop.iter))
    return any(UNTRAINED.search(text) for text in texts)


def is_freed(code: Code, target: ast.AST) -> bool:
    """w.start_grad() or w.requires_grad = True in the same function."""
    text = ast.unparse(target)
    return any(
        isinstance(n, ast.Attribute) and n.attr in FREED and ast.unparse(n.value) == text
        for n in code.within(code.source.scope(target))
    )


def of_stopped(code: Code) -> Iterator[Finding]:
    """w.assign(x.stop_grad()), w.assign(kept) where kept = w.clone().stop_grad(): w takes over that it is stopped."""
    for call in code.every(ast.Call):
        target = assigned(call)
        if target is None or is_untrained(code, target) or is_freed(code, target):
            continue
        if is_stopped(call.args[0]) or kept_stopped(code, call.args[0]):
            message = (
                f"{ast.unparse(target)} takes over that it has no gradients: start_grad() after"
            )
            yield code.found(call, "assign-stopped", message)


def is_stopped(node: ast.AST) -> bool:
    """x.stop_grad(); detach() is another matter: what it gives can be trained."""
    return isinstance(node, ast.Call) and name_of(node.func) == "stop_grad"


def kept_stopped(code: Code, node: ast.AST) -> bool:
    """A name, attribute or element of one, all of whose values in this function or class are stopped."""
    holder = node.value if isinstance(node, ast.Subscript) else node
    if not isinstance(holder, (ast.Name, ast.Attribute)):
        return False
    scope = code.source.enclosing(node, (ast.ClassDef,)) or code.source.scope(node)
    if isinstance(holder, ast.Name):
        scope = code.source.scope(node)
    text = ast.unparse(holder)
    values = [
        n.value
        for n in code.within(scope)
        if isinstance(n, ast.Assign)
        for t in n.targets
        if ast.unparse(t.value if isinstance(t, ast.Subscript) else t) == text
    ]
    told = [v for v in values if not isinstance(v, (ast.Dict, ast.List)) and name_of(v) != "None"]
    return bool(told) and all(is_stopped(v) for v in told)


def restarted(code: Code) -> Iterator[Finding]:
    """x.detach_inplace(), which is start_grad()."""
    for o in code.named("detach_inplace"):
        message = "detach_inplace() is start_grad(): it makes trainable; say stop_grad()"
        yield code.found(o.call, "detach-inplace", message)


def without_gradients(code: Code) -> Iterator[Finding]:
    for node in code.every(ast.With):
        if not any(is_no_grad(code, item.context_expr) for item in node.items):
            continue
        for call in (n for n in code.within(node) if isinstance(n, ast.Call)):
            name, owner = name_of(call.func), ast.unparse(call.func)
            loads = name in ("load_state_dict", "load_parameters")
            if loads and not OPTIMISERLIKE.search(owner) and not only_evaluates(code, call):
                message = "weights loaded under no_grad are frozen for good"
                level = WARNING if may_train(code, call) else HINT
                yield code.found(call, "no-grad-load", message, level=level)
            elif code.of(call).kind == "module" and isinstance(code.parent(call), ast.Assign):
                message = "a module built under no_grad is frozen for good"
                level = WARNING if is_optimised(code, call) else HINT
                yield code.found(call, "no-grad-build", message, level=level)


def may_train(code: Code, call: ast.Call) -> bool:
    """Whether the file trains; or, of a function that others may call, any file of the program."""
    is_script = code.source.scope(call) is code.source.tree
    return any(trains(other) for other in ([code] if is_script else code.files))


def is_optimised(code: Code, call: ast.Call) -> bool:
    """Whether the scope in which a module is built asks for its parameters: net.parameters(), optim.SGD(net...)."""
    name = name_of(code.parent(call).targets[0])
    return any(
        isinstance(n, ast.Attribute) and n.attr == "parameters" and name_of(n.value) == name
        for n in code.within(code.source.scope(call))
    )


RULES = (without_gradients, under_no_grad, of_stopped, restarted)
