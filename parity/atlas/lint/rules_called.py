"""Calls of the program's own functions: arguments that they do not take, and results that they do not give.

Before: a file, and the program that it is of. After: findings that no atlas has: Python raises in any framework. A call
is followed to what it calls through names, modules, what self keeps, objects that are called, and super().
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from functools import lru_cache

from parity.atlas.lint.code import Code, is_self
from parity.atlas.lint.finding import Finding
from parity.atlas.lint.kinds import VAR
from parity.atlas.lint.program import Definition
from parity.atlas.lint.rules_own import (
    CALL,
    Place,
    called,
    is_last,
    is_plain,
    is_shadowed,
    is_stored,
    made_by,
    method_of,
    misfit,
)
from parity.atlas.lint.rules_python import imported_modules
from parity.atlas.lint.source import constant, name_of
from parity.atlas.lint.values import own_returns

Called = tuple[str, ast.FunctionDef, int]  # by which name, what, how many arguments are filled in
BUILTIN = set(dir(builtins))


@lru_cache(maxsize=1)
def resolved(code: Code) -> list[tuple[ast.Call, Called]]:
    """Calls of the file with what each calls, as far as this is one function of the program's."""
    modules = dict(imported_modules(code))
    found = []
    for call in code.every(ast.Call):
        target = called(code, code.program, call) or further(code, call, modules)
        if target and not code.source.is_guarded(call):
            found.append((call, target))
    return found


def further(code: Code, call: ast.Call, modules: dict) -> Called | None:
    func = call.func
    if isinstance(func, ast.Name):
        return of_object(code, func)
    if not isinstance(func, ast.Attribute):
        return None
    owner = func.value
    if isinstance(owner, ast.Name):
        if owner.id == "self":
            place = kept_by(code, call, func.attr)
            return place and bound_method(code, place, "execute", func.attr)
        if owner.id in modules and not is_shadowed(code, owner):
            return of_place(code, code.program.definition(modules[owner.id], func.attr), func.attr)
    if isinstance(owner, ast.Attribute) and is_self(owner.value):
        place = kept_by(code, call, owner.attr)
        return place and bound_method(code, place, func.attr, func.attr)
    if isinstance(owner, ast.Call) and name_of(owner.func) == "super" and func.attr == "__init__":
        return of_base(code, call)
    return None


def of_place(code: Code, place: tuple | None, name: str) -> Called | None:
    """A function of another module, or the constructor of a class."""
    if place is None:
        return None
    if isinstance(place[1], ast.ClassDef):
        maker = method_of(code.program, *place, "__init__")
        return maker and (name, maker, 1)
    return (name, place[1], 0) if is_plain(place[1]) else None


def of_object(code: Code, name: ast.Name) -> Called | None:
    """net(x), where net = Net(): its execute()."""
    if name.id in BUILTIN or name.id in code.source.imports:
        return None
    if (
        code.program.names(code.path).get(name.id)
        and code.source.scope(name) is not code.source.tree
    ):
        return None
    place = made_by(code, code.program, name)
    return place and bound_method(code, place, "execute", name.id)


def bound_method(code: Code, place: Place, method: str, name: str) -> Called | None:
    if is_stored(place[1], method) or any(
        isinstance(n, Definition) and n.name == "__call__" for n in place[1].body
    ):
        return None
    found = method_of(code.program, *place, method)
    return found and (name, found, 1)


def of_base(code: Code, call: ast.Call) -> Called | None:
    owner = code.source.enclosing(call, (ast.ClassDef,))
    if owner is None or len(owner.bases) != 1 or not isinstance(owner.bases[0], ast.Name):
        return None
    place = code.program.definition(code.path, owner.bases[0].id)
    if place is None or not isinstance(place[1], ast.ClassDef) or place[1] is owner:
        return None
    maker = method_of(code.program, *place, "__init__")
    return maker and (f"{owner.bases[0].id}", maker, 1)


def kept_by(code: Code, call: ast.Call, attribute: str) -> Place | None:
    """The class of the program's of which self keeps one object under this name, and never another."""
    owner = code.source.enclosing(call, (ast.ClassDef,))
    if owner is None or not is_last(code, owner):
        return None
    return kept(code, owner).get(attribute)


@lru_cache(maxsize=64)
def kept(code: Code, owner: ast.ClassDef) -> dict[str, Place]:
    stores: dict[str, list[ast.AST]] = {}
    for node in code.within(owner):
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            stores.setdefault(node.attr, []).append(node)
    found = {}
    for name, nodes in stores.items():
        node = code.parent(nodes[0])
        value = node.value if isinstance(node, ast.Assign) else None
        single = (
            len(nodes) == 1 and len(getattr(node, "targets", [])) == 1 and is_self(nodes[0].value)
        )
        maker = value.func if isinstance(value, ast.Call) and single else None
        if not isinstance(maker, ast.Name) or is_shadowed(code, maker):
            continue
        place = code.program.definition(code.path, maker.id)
        outside = any(name in other.sets_outside for other in code.files)
        if place and isinstance(place[1], ast.ClassDef) and not outside:
            found[name] = place
    return found


def calls(code: Code) -> Iterator[Finding]:
    """f(x, mode=1), where the program's f takes no mode; too many arguments, or too few."""
    for call, (name, function, bound) in resolved(code):
        if message := misfit(call, function.args, bound):
            yield code.found(call, CALL, f"{name}{message}")


def unpacked(code: Code) -> Iterator[Finding]:
    """a, b = f(x), where all that f returns are three values."""
    for call, (name, function, _) in resolved(code):
        node = code.parent(call)
        names = node.targets[0] if isinstance(node, ast.Assign) else None
        if not isinstance(names, (ast.Tuple, ast.List)) or spread(names):
            continue
        if alone := single(code, function):
            message = (
                f"line {alone.lineno} of {name}() gives one array, not {len(names.elts)} values"
            )
            yield code.found(call, CALL, message)
            continue
        given = lengths(code, function)
        if given and len(names.elts) not in given:
            several = " or ".join(map(str, sorted(given)))
            message = f"{name}() gives {several} values, not {len(names.elts)}"
            yield code.found(call, CALL, message)


def single(code: Code, function: ast.FunctionDef) -> ast.Return | None:
    """A return of one array for some number, `if n == 1: return x`, where others give several values."""
    home = next((c for c in code.files if function in c.source.parents), None)
    returns = own_returns(home.source, function) if home and not yields(function) else []
    if not any(isinstance(r.value, ast.Tuple) for r in returns):
        return None
    for lone in returns:
        branch = home.source.enclosing(lone, (ast.If, ast.FunctionDef))
        test = branch.test if isinstance(branch, ast.If) else None
        number = isinstance(test, ast.Compare) and type(constant(test.comparators[0])) is int
        if number and home.of(lone.value).kind == VAR:
            return lone
    return None


def lengths(code: Code, function: ast.FunctionDef) -> set[int]:
    """How many values each return of a function gives; none where one does not say it."""
    home = next((c for c in code.files if function in c.source.parents), None)
    returns = own_returns(home.source, function) if home and not yields(function) else []
    values = [r.value for r in returns]
    if not values or not all(isinstance(v, ast.Tuple) and not spread(v) for v in values):
        return set()
    return {len(v.elts) for v in values}


def spread(node: ast.Tuple | ast.List) -> bool:
    return any(isinstance(e, ast.Starred) for e in node.elts)


def yields(function: ast.FunctionDef) -> bool:
    lazy = any(isinstance(n, (ast.Yield, ast.YieldFrom)) for n in ast.walk(function))
    return lazy or isinstance(function, ast.AsyncFunctionDef)


def nothing(code: Code) -> Iterator[Finding]:
    """model = init_weights(model), where init_weights returns nothing, and a use of model."""
    for call, (name, function, _) in resolved(code):
        node = code.parent(call)
        held = node.targets[0] if isinstance(node, ast.Assign) else None
        if not isinstance(held, ast.Name) or function.name == "__init__" or not ends(function):
            continue
        read = next(code.loads(code.source.scope(call), held.id, call.end_lineno), None)
        if read is not None and not asks(code, read):
            message = f"{name}() returns nothing: line {read.lineno} uses {held.id}"
            yield code.found(call, CALL, message)


def ends(function: ast.FunctionDef) -> bool:
    """Whether a function does something, and never returns a value or raises."""
    nodes = list(ast.walk(function))
    returns = any(isinstance(n, ast.Return) and n.value is not None for n in nodes)
    other = any(isinstance(n, (ast.Yield, ast.YieldFrom, ast.Raise, ast.Await)) for n in nodes)
    body = [n for n in function.body if not isinstance(n, (ast.Pass, ast.Expr))]
    return not (returns or other) and bool(body)


def asks(code: Code, read: ast.Name) -> bool:
    """if x is None, if x: somebody expects nothing."""
    parent = code.parent(read)
    return isinstance(parent, (ast.Compare, ast.If, ast.IfExp, ast.BoolOp, ast.UnaryOp))


RULES = (calls, unpacked, nothing)
