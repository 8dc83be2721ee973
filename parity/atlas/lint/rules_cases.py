"""What holds in some cases only: names that the last branch leaves unbound, attributes that cannot be set, functions
that are called as if they worked in place, labels between two classes.

Before: a file of a port. After: findings that no atlas has, most of which Python raises.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from parity.atlas.lint.code import Code, is_self
from parity.atlas.lint.finding import HINT, Finding
from parity.atlas.lint.rules_own import CALL, NAME
from parity.atlas.lint.rules_slips import DROPPED, neighbours
from parity.atlas.lint.source import name_of

BLENDED = "label-blended"
READ_ONLY = {"_buffers", "_modules", "_parameters"}  # properties of Jittor's Module
SAYS = {"print", "info", "warning", "warn", "error", "debug", "log"}
LABELS = re.compile(r"(?:^|_)(?:label|labels|mask|masks|gt|seg|anno|target)(?:_|$)")


def last_branches(code: Code) -> Iterator[Finding]:
    """if n == 4: points = ..., elif n == 5: points = ..., else: print("only 4 and 5"), and then points.reshape()."""
    for function in code.every(ast.FunctionDef):
        known = {a.arg for a in ast.walk(function.args) if isinstance(a, ast.arg)}
        known |= {
            n
            for g in code.within(function)
            if isinstance(g, (ast.Global, ast.Nonlocal))
            for n in g.names
        }
        for node, after in neighbours(code, function):
            chain = branches(node) if isinstance(node, ast.If) else []
            if len(chain) < 2 or not only_says(chain[-1]):
                continue
            bound = set.intersection(
                *({n.id for s in b for n in code.stores(s)} for b in chain[:-1])
            )
            before = {n.id for n in code.stores(function) if n.lineno < node.lineno}
            reads = [
                n
                for n in ast.walk(after)
                if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
            ]
            for name in (n.id for n in reads if n.id in bound - before - known):
                message = f"{name} is unbound where the last branch only says so: raise"
                yield code.found(chain[-1][0], NAME, message)
                break


def branches(node: ast.If) -> list[list[ast.stmt]]:
    """The bodies of if, elif and else; empty where there is no else."""
    bodies = [node.body]
    while len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If):
        node = node.orelse[0]
        bodies.append(node.body)
    return [*bodies, node.orelse] if node.orelse else []


def only_says(body: list[ast.stmt]) -> bool:
    calls = [s.value for s in body if isinstance(s, ast.Expr) and isinstance(s.value, ast.Call)]
    return len(calls) == len(body) > 0 and all(name_of(c.func) in SAYS for c in calls)


def read_only(code: Code) -> Iterator[Finding]:
    """self._buffers = OrderedDict() of a module: a property of Jittor's, without a setter."""
    for owner in code.module_classes():
        for node in code.within(owner):
            stored = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
            if stored and is_self(node.value) and node.attr in READ_ONLY:
                yield code.found(node, NAME, f"{node.attr} of a module cannot be set in Jittor")


def no_attribute(code: Code) -> Iterator[Finding]:
    """__getattr__ that raises ValueError: hasattr() and getattr() with a default raise it on."""
    for function in code.every(ast.FunctionDef):
        if function.name != "__getattr__" or function.decorator_list:
            continue
        raised = [
            n for n in code.within(function) if isinstance(n, ast.Raise) and n.exc is not None
        ]
        kinds = {name_of(getattr(n.exc, "func", n.exc)) for n in raised}
        others = any(
            name_of(n) in ("super", "getattr", "__getattribute__") for n in code.within(function)
        )
        if (
            kinds
            and kinds <= {"ValueError", "KeyError", "RuntimeError", "NotImplementedError"}
            and not others
        ):
            message = "__getattr__ is to raise AttributeError: hasattr() passes on anything else"
            yield code.found(raised[0], CALL, message)


def not_in_place(code: Code) -> Iterator[Finding]:
    """trunc_normal_(net.weight), which binds its argument to something new and gives that."""
    given = {
        n.name: n for n in code.every(ast.FunctionDef) if n.name.endswith("_") and rebinds(code, n)
    }
    for node in code.every(ast.Expr) if given else ():
        call = node.value
        named = isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
        if named and call.func.id in given and call.args:
            yield code.found(call, DROPPED, f"{call.func.id}() gives something new: take it")


def rebinds(code: Code, function: ast.FunctionDef, steps: int = 2) -> bool:
    """Whether a function gives its first argument back as something else than it got, by itself or another's call."""
    first, last = function.args.args[:1], function.body[-1]
    if not first or not isinstance(last, ast.Return):
        return False
    value = last.value
    if (
        isinstance(value, ast.Call)
        and steps
        and value.args
        and name_of(value.args[0]) == first[0].arg
    ):
        called = [n for n in code.every(ast.FunctionDef) if n.name == name_of(value.func)]
        return (
            len(called) == 1 and called[0] is not function and rebinds(code, called[0], steps - 1)
        )
    bound = [n for n in code.stores(function) if n.id == first[0].arg]
    return name_of(value) == first[0].arg and any(makes(code, n) for n in bound)


def makes(code: Code, name: ast.Name) -> bool:
    parent = code.parent(name)
    value = parent.value if isinstance(parent, ast.Assign) else None
    return isinstance(value, (ast.BinOp, ast.Call)) and not name_of(
        getattr(value, "func", value)
    ).endswith("_")


def blended(code: Code) -> Iterator[Finding]:
    """label.resize((256, 256)) of PIL's pictures: bicubic, unless the picture has a palette."""
    pictures = any(name.split(".")[0] == "PIL" for name in code.source.imports.values())
    for call in code.every(ast.Call) if pictures else ():
        asked = isinstance(call.func, ast.Attribute) and call.func.attr == "resize"
        if (
            not asked
            or len(call.args) != 1
            or call.keywords
            or not isinstance(call.args[0], ast.Tuple)
        ):
            continue
        if LABELS.search(name_of(call.func.value).lower()):
            message = "labels are blended where they are resized: Image.NEAREST"
            yield code.found(call, BLENDED, message, level=HINT)


RULES = (last_branches, read_only, no_attribute, not_in_place, blended)
