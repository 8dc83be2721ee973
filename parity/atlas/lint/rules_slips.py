"""Slips of the pen: lines copied and half changed, results that nobody takes, lists that become numbers in a loop,
names bound in one case only.

Before: a file of a port. After: findings that no atlas has: they are wrong in any framework.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise

from parity.atlas.lint.code import Code, is_self
from parity.atlas.lint.finding import HINT, Finding
from parity.atlas.lint.rules_own import CALL, NAME
from parity.atlas.lint.source import FUNCTIONS, constant, name_of

DROPPED, COPIED = "result-dropped", "copied-line"
FRESH = {"_parameters", "_buffers"}  # new dictionaries, each time a module of Jittor's is asked
ACTS = (ast.Yield, ast.YieldFrom, ast.Delete, ast.Global, ast.Nonlocal)
CASTS = {f"jittor.{name}" for name in ("float32", "float64", "float16", "int32", "int64", "uint8")}


def texts_raised(code: Code) -> Iterator[Finding]:
    """raise "no such model"."""
    for node in code.every(ast.Raise):
        if isinstance(node.exc, ast.JoinedStr) or isinstance(constant(node.exc), str):
            yield code.found(node, CALL, "a text is no exception: raise ValueError(...)")


def named_only(code: Code) -> Iterator[Finding]:
    """optuna.logging.enable_propagation alone in a line: a function that nobody calls."""
    for node in code.every(ast.Expr):
        path = code.source.dotted(node.value) if isinstance(node.value, ast.Attribute) else ""
        function = "." in path and path.rpartition(".")[2].islower()
        if function and not code.source.is_guarded(node):
            yield code.found(node, DROPPED, f"{path} is named here, and not called")


def results_dropped(code: Code) -> Iterator[Finding]:
    """self.compute_weight(module), which gives the weight and changes nothing, alone in a line."""
    for owner in code.every(ast.ClassDef):
        methods = {n.name: n for n in owner.body if isinstance(n, ast.FunctionDef)}
        for node in code.within(owner):
            call = node.value if isinstance(node, ast.Expr) else None
            asked = isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
            if not asked or not is_self(call.func.value):
                continue
            method = methods.get(call.func.attr)
            if method is not None and only_gives(code, method):
                yield code.found(call, DROPPED, f"{method.name}() only gives a result: take it")


def only_gives(code: Code, method: ast.FunctionDef) -> bool:
    """Whether a method ends with a result, stores nothing but its own names, and calls nothing for what it does."""
    last = method.body[-1]
    if method.decorator_list or not isinstance(last, ast.Return) or last.value is None:
        return False
    handed = {a.arg for a in method.args.args} & {name_of(last.value)}
    if isinstance(last.value, ast.Constant) or handed - {n.id for n in code.stores(method)}:
        return False
    for node in code.within(method):
        stored = isinstance(node, (ast.Attribute, ast.Subscript)) and not isinstance(
            node.ctx, ast.Load
        )
        acts = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        written = isinstance(node, ast.Call) and name_of(node.func).endswith("_")
        fresh = isinstance(node, ast.Call) and name_of(node.func) in ("next", "pop", "print")
        if stored or acts or written or fresh or isinstance(node, ACTS):
            return False
    inner = [n for n in code.within(method) if isinstance(n, ast.Call)]
    return not any(is_self(n.func) or any(is_self(a) for a in n.args) for n in inner) and not any(
        isinstance(n.func, ast.Attribute) and is_self(n.func.value) and n.func.attr == method.name
        for n in inner
    )


def emptied(code: Code) -> Iterator[Finding]:
    """del module._parameters["weight"]: Jittor makes the dictionary anew each time, and the weight stays."""
    for node in code.every(ast.Subscript):
        held = isinstance(node.value, ast.Attribute) and node.value.attr in FRESH
        own = held and any(
            n.attr == node.value.attr and is_stored(n) for n in code.every(ast.Attribute)
        )
        if held and not own and not isinstance(node.ctx, ast.Load) and code.speaks_jittor(node):
            message = f"{node.value.attr} is made anew at each call: the module stays as it is"
            yield code.found(node, "state-copied", message)


def is_stored(node: ast.Attribute) -> bool:
    return isinstance(node.ctx, ast.Store) and is_self(node.value)


def shapes_cast(code: Code) -> Iterator[Finding]:
    """jt.float32(x.size()), self.Tensor(x.size()) with self.Tensor = jt.float32: PyTorch's types
    make, Jittor's cast."""
    held = {
        t.attr
        for n in code.every(ast.Assign)
        for t in n.targets
        if isinstance(t, ast.Attribute) and code.source.dotted(n.value) in CASTS
    }
    for call in code.every(ast.Call):
        named = isinstance(call.func, ast.Attribute) and is_self(call.func.value)
        cast = code.source.dotted(call.func) in CASTS or (named and call.func.attr in held)
        given = call.args[0] if cast and len(call.args) == 1 else None
        sized = isinstance(given, ast.Call) and name_of(given.func) == "size" and not given.args
        if sized or (isinstance(given, ast.Attribute) and given.attr == "shape"):
            yield code.found(call, CALL, "Jittor's types cast what they are given: jt.zeros(shape)")


def copied(code: Code) -> Iterator[Finding]:
    """u, v = f(x), f(y); a = u / n(u); b = u / n(u): the second was to be of v, which nobody reads."""
    for function in code.every(*FUNCTIONS):
        for first, second in neighbours(code, function):
            unread = twins(code, function, first.value) if same_value(first, second) else ""
            if unread:
                message = f"the line above with another name: {unread} is never read"
                yield code.found(second, COPIED, message)


def neighbours(code: Code, function: ast.AST) -> Iterator[tuple[ast.stmt, ast.stmt]]:
    """Statements of one block that follow each other."""
    for node in code.within(function):
        for block in (getattr(node, "body", None), getattr(node, "orelse", None)):
            yield from pairwise(block) if isinstance(block, list) else ()


def same_value(first: ast.stmt, second: ast.stmt) -> bool:
    both = isinstance(first, ast.Assign) and isinstance(second, ast.Assign)
    other = both and ast.dump(first.targets[0]) != ast.dump(second.targets[0])
    return other and ast.dump(first.value) == ast.dump(second.value)


def twins(code: Code, function: ast.AST, value: ast.AST) -> str:
    """A name that one statement binds beside one of those in `value`, and that its function never reads."""
    read = {
        n.id
        for n in code.within(function)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
    }
    used = {n.id for n in ast.walk(value) if isinstance(n, ast.Name)}
    for node in code.within(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
            names = [name_of(t) for t in node.targets[0].elts]
            left = [n for n in names if n not in read and n.strip("_")]
            if left and used & set(names):
                return left[0]
    return ""


def rebound(code: Code) -> Iterator[Finding]:
    """for x in data: losses.append(x); losses = sum(losses): the second round appends to a number."""
    for loop in code.every(ast.For, ast.While):
        appended = {
            name_of(n.func.value): n
            for n in reversed(code.within(loop))
            if isinstance(n, ast.Call)
            and isinstance(n.func, ast.Attribute)
            and n.func.attr == "append"
            and isinstance(n.func.value, ast.Name)
        }
        for node in loop.body:
            target = node.targets[0] if isinstance(node, ast.Assign) else None
            first = appended.get(target.id) if isinstance(target, ast.Name) else None
            listed = isinstance(target, ast.Name) and isinstance(
                node.value, (ast.List, ast.ListComp)
            )
            if first is None or listed or first.lineno > node.lineno or not adds_up(node.value):
                continue
            place = (first.lineno, first.col_offset)
            stores = (n for n in code.stores(loop) if n.id == target.id)
            before = (n for n in stores if (n.lineno, n.col_offset) < place)
            if not any(before):
                message = f"{target.id} is a list no more in the next round, which appends to it"
                yield code.found(node, CALL, message)


def adds_up(value: ast.AST) -> bool:
    names = {name_of(n.func) for n in ast.walk(value) if isinstance(n, ast.Call)}
    return bool(names & {"sum", "mean", "concat", "cat", "stack", "array", "concatenate"})


def in_one_case(code: Code) -> Iterator[Finding]:
    """if kind.startswith("spectral"): rest = kind[8:] and then `if rest == ...`: unbound for every other kind."""
    for function in code.every(ast.FunctionDef):
        kept = {
            n
            for g in code.within(function)
            if isinstance(g, (ast.Global, ast.Nonlocal))
            for n in g.names
        }
        known = kept | {a.arg for a in ast.walk(function.args) if isinstance(a, ast.arg)}
        for node, after in neighbours(code, function):
            name = unbound_after(code, function, node, after) if isinstance(node, ast.If) else ""
            if name and name not in known:
                message = f"{name} is bound in the case above only"
                yield code.found(after, NAME, message, level=HINT)


def unbound_after(code: Code, function: ast.AST, node: ast.If, after: ast.stmt) -> str:
    """A name that `node` alone binds and that the next statement reads first of all."""
    if node.orelse or isinstance(after, (*FUNCTIONS, ast.ClassDef, ast.With, ast.Try)):
        return ""
    heads = [getattr(after, part, None) for part in ("test", "iter")]
    heads = [h for h in heads if h is not None] or [after]
    inside = {id(n) for n in ast.walk(node)}
    read = {
        n.id
        for h in heads
        for n in ast.walk(h)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
    }
    stores: dict[str, list[ast.Name]] = {}
    for name in code.stores(function):
        stores.setdefault(name.id, []).append(name)
    for name in sorted(read & stores.keys()):
        if all(id(n) in inside for n in stores[name]):
            return name
    return ""


RULES = (
    texts_raised,
    named_only,
    results_dropped,
    emptied,
    shapes_cast,
    copied,
    rebound,
    in_one_case,
)
