"""Whether gradients of a value are stopped somewhere: in its expression, by its name, or with its whole class.

Before: a file and an expression. After: yes or no, for the rules of what becomes a parameter.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from parity.atlas.lint.code import Code
from parity.atlas.lint.source import name_of


def stops(code: Code, node: ast.AST) -> bool:
    """Whether stop_grad or detach is in the expression, or was called on the name before or after."""
    if stops_all(code, node):
        return True
    if any(
        isinstance(n, ast.Attribute) and n.attr in ("stop_grad", "detach")
        for n in code.within(node)
    ):
        return True
    if isinstance(node, (ast.Name, ast.Attribute)):
        text = ast.unparse(node)
        scope = code.source.enclosing(node, (ast.ClassDef,)) or code.source.scope(node)
        return any(stops_name(other, text) for other in code.within(scope))
    return False


def stops_all(code: Code, node: ast.AST) -> bool:
    """Whether the class stops all its parameters: for p in self.parameters(): p.stop_grad()"""
    owner = code.source.enclosing(node, (ast.ClassDef,))
    return owner is not None and any(
        isinstance(n, ast.For)
        and ast.unparse(n.iter) in ("self.parameters()", "self.named_parameters()")
        and any(name_of(m) == "stop_grad" for m in code.within(n))
        for n in code.within(owner)
    )


def stops_named(code: Code, call: ast.Call, name: object) -> bool:
    """Whether self.NAME is stopped somewhere in the class."""
    owner = code.source.enclosing(call, (ast.ClassDef,))
    return owner is not None and any(stops_name(n, f"self.{name}") for n in code.within(owner))


def stops_name(node: ast.AST, name: str) -> bool:
    """name.stop_grad(...), name.requires_grad = ..., name = ....stop_grad()"""
    if isinstance(node, ast.Attribute) and node.attr in ("stop_grad", "requires_grad"):
        return ast.unparse(node.value) == name
    if isinstance(node, ast.Assign) and any(ast.unparse(t) == name for t in node.targets):
        return ".stop_grad()" in ast.unparse(node.value)
    return False


def gives_stopped(code: Code, node: ast.AST) -> bool:
    """Whether all that the class's execute returns is stopped: no gradient reaches what it keeps."""
    owner = code.source.enclosing(node, (ast.ClassDef,))
    main = [n for n in owner.body if getattr(n, "name", "") == "execute"] if owner else []
    returned = [n.value for m in main for n in code.within(m) if isinstance(n, ast.Return)]
    return bool(returned) and all(
        isinstance(v, ast.Call) and name_of(v.func) in ("stop_grad", "detach") for v in returned
    )


def only_infers(code: Code, node: ast.AST, steps: int = 3) -> bool:
    """Whether the program calls what it makes of a class only where it does not train.

    That is in the `else` of `if training`, under no_grad(), or in a class of which this holds.
    """
    owner = code.source.enclosing(node, (ast.ClassDef,))
    places = list(calls_of(code, owner.name)) if owner and steps else []
    return bool(places) and all(
        is_inference(other, call) or only_infers(other, call, steps - 1) for other, call in places
    )


def is_apart(code: Code, node: ast.AST) -> bool:
    """Whether objects of a class are no parts of modules, and nobody asks for their parameters: a loss's constants."""
    owner = code.source.enclosing(node, (ast.ClassDef,))
    name = owner.name if owner else ""
    if any(
        name in {name_of(b) for b in c.bases} for f in code.files for c in f.every(ast.ClassDef)
    ):
        return False
    made = [(f, c) for f in code.files for c in f.every(ast.Call) if name_of(c.func) == name]
    return bool(made) and all(is_kept_apart(code, other, call) for other, call in made)


def is_kept_apart(code: Code, other: Code, call: ast.Call) -> bool:
    """loss = Loss(...) outside of a module, of which nobody says loss.parameters(), loss.state_dict() and the like."""
    around = other.source.enclosing(call, (ast.ClassDef,))
    target = other.parent(call)
    name = name_of(target.targets[0]) if isinstance(target, ast.Assign) else ""
    if not name or (around is not None and around in list(other.module_classes())):
        return False
    return not any(
        node.attr in ASKED and name_of(node.value) == name
        for file in code.files
        for node in file.every(ast.Attribute)
    )


ASKED = {
    "parameters",
    "named_parameters",
    "state_dict",
    "load_state_dict",
    "load",
    "save",
    "modules",
}


def calls_of(code: Code, name: str) -> Iterator[tuple[Code, ast.Call]]:
    """self.x(...) where self.x = NAME(...), in all files."""
    for other in code.files:
        made = (n for n in other.every(ast.Assign) if isinstance(n.value, ast.Call))
        held = {name_of(n.targets[0]) for n in made if name_of(n.value.func) == name} - {""}
        calls = other.every(ast.Call) if held else []
        yield from ((other, call) for call in calls if name_of(call.func) in held)


def is_inference(code: Code, call: ast.Call) -> bool:
    child: ast.AST = call
    held = code.source.enclosing(call, (ast.With,))
    if held and any(
        isinstance(i.context_expr, ast.Call)
        and code.source.dotted(i.context_expr.func) == "jittor.no_grad"
        for i in held.items
    ):
        return True
    while (branch := code.source.enclosing(child, (ast.If,))) is not None:
        test = ast.unparse(branch.test)
        trains = "training" in test or "is_train" in test
        turned = test.startswith("not ")
        body = branch.body if turned else branch.orelse
        if trains and any(call in code.within(statement) for statement in body):
            return True
        child = branch
    return False


def is_initialised(code: Code, node: ast.AST, target: ast.AST) -> bool:
    """Whether an initialiser fills the attribute: it is meant as a parameter."""
    text, around = ast.unparse(target), code.source.enclosing(node, (ast.ClassDef,))
    calls = (n for n in ast.walk(around) if isinstance(n, ast.Call)) if around else ()
    return any(
        call.args
        and ast.unparse(call.args[0]) == text
        and code.source.dotted(call.func).startswith("jittor.init.")
        for call in calls
    )
