"""What Python itself refuses, whatever the framework: names that a module lacks, functions taken for data,
paths where what is saved belongs.

Before: a file, and the program that it is of. After: findings that no atlas has.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from pathlib import Path

from parity.atlas.lint.code import Code, is_self
from parity.atlas.lint.finding import Finding
from parity.atlas.lint.kinds import VAR
from parity.atlas.lint.rules_own import CALL, NAME, OTHERS, is_shadowed
from parity.atlas.lint.source import constant, name_of
from parity.atlas.lint.values import own_returns

FUNCTIONS_OF_PYTHON = {"input", "filter", "iter", "id", "hash", "next", "map", "len", "sum", "vars"}
PATH = re.compile(r"(^|_)(path|file_?name|fname)$", re.I)


def of_modules(code: Code) -> Iterator[Finding]:
    """utils.rotate(x), where the program's utils has no rotate."""
    modules = {k: v for k, v in imported_modules(code) if not code.program.is_open(v)}
    told = set()
    for node in code.every(ast.Attribute):
        owner = node.value
        if not isinstance(owner, ast.Name) or owner.id not in modules or node.attr in told:
            continue
        file = modules[owner.id]
        given = code.program.holds(file, node.attr) or any(
            node.attr in other.sets_outside for other in code.files
        )
        read = isinstance(node.ctx, ast.Load) and not given and not is_shadowed(code, owner)
        if read and not code.source.is_guarded(node):
            told.add(node.attr)
            yield code.found(node, NAME, f"{owner.id} has no {node.attr}")


def imported_modules(code: Code) -> Iterator[tuple[str, Path]]:
    """The program's own modules by the one name that this file gives each."""
    names = code.program.names(code.path)
    for name, nodes in names.items():
        node = nodes[0]
        if len(nodes) > 1 or not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        alias = next((a for a in node.names if (a.asname or a.name) == name), None)
        if alias is None:
            continue
        module, level = getattr(node, "module", None), getattr(node, "level", 0)
        dotted = f"{module}.{alias.name}" if module else alias.name
        first = dotted.split(".")[0]
        if not code.program.is_own(code.path, dotted, level) or (not level and first in OTHERS):
            continue
        if module and code.program.definition(code.path, name):
            continue
        files = code.program.modules(code.path, dotted, level)
        if len(files) == 1 and files[0] != code.path:
            yield name, files[0]


def functions_as_data(code: Code) -> Iterator[Finding]:
    """input["image"], input.shape where nothing is called input: Python's own function."""
    if code.program.is_open(code.path):
        return
    told = set()
    for node in code.every(ast.Name):
        if node.id not in FUNCTIONS_OF_PYTHON or not isinstance(node.ctx, ast.Load):
            continue
        scope = code.source.scope(node)
        bound = is_shadowed(code, node) or code.program.holds(code.path, node.id)
        if not bound and (scope, node.id) not in told and is_data(code, node):
            told.add((scope, node.id))
            yield code.found(node, NAME, f"{node.id} is Python's own function here")


def is_data(code: Code, node: ast.Name) -> bool:
    """Subscripted, asked for an attribute, calculated with, or given to Jittor."""
    parent = code.parent(node)
    if isinstance(parent, ast.Subscript):
        return parent.value is node
    if isinstance(parent, ast.Attribute):
        return not parent.attr.startswith("__")
    if isinstance(parent, ast.BinOp):
        return True
    if isinstance(parent, (ast.List, ast.Tuple)):
        parent = code.parent(parent)
    given = isinstance(parent, ast.Call) and parent.func is not node
    return given and code.source.dotted(parent.func).startswith("jittor.")


def shapes(code: Code) -> Iterator[Finding]:
    """x.shape(0), which is no function."""
    for call in code.every(ast.Call):
        func, axis = call.func, constant(call.args[0]) if len(call.args) == 1 else None
        asked = isinstance(func, ast.Attribute) and func.attr == "shape"
        if asked and isinstance(axis, int) and code.may_be_var(func.value):
            yield code.found(call, CALL, "a shape is no function: shape[...]")


def counted_shapes(code: Code) -> Iterator[Finding]:
    """x.size() == 3, where the number of axes is meant: a shape is never a number."""
    for node in code.every(ast.Compare):
        asked = isinstance(node.left, ast.Call) and name_of(node.left.func) == "size"
        asked = asked and not node.left.args and isinstance(node.left.func, ast.Attribute)
        whole = asked or (isinstance(node.left, ast.Attribute) and node.left.attr == "shape")
        number = type(constant(node.comparators[0])) is int
        if whole and number and code.speaks_jittor(node) and not code.source.is_guarded(node):
            message = "a shape is never a number: its length, or one of its axes"
            yield code.found(node, CALL, message)


def containers(code: Code) -> Iterator[Finding]:
    """timer[name], name in timer, where timer is a function of the file's, and never anything else."""
    for node in code.every(ast.Name):
        parent = code.parent(node)
        item = isinstance(parent, ast.Subscript) and parent.value is node
        within = isinstance(parent, ast.Compare) and node in parent.comparators
        within = within and isinstance(parent.ops[0], (ast.In, ast.NotIn))
        if not (item or within) or is_shadowed(code, node):
            continue
        bound = code.program.names(code.path).get(node.id, [])
        plain = [n for n in bound if not isinstance(n, ast.Global)]
        if len(plain) == 1 and isinstance(plain[0], ast.FunctionDef):
            yield code.found(node, CALL, f"{node.id} is a function: it has no items")
            return


def unraised(code: Code) -> Iterator[Finding]:
    """ValueError("...") alone in a line, which is made and not raised."""
    for node in code.every(ast.Expr):
        made = isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Name)
        name = node.value.func.id if made else ""
        if re.fullmatch(r"[A-Z]\w*(Error|Exception)", name) and hasattr(builtins, name):
            yield code.found(node.value, CALL, f"{name} is made, and not raised")


def means_viewed(code: Code) -> Iterator[Finding]:
    """criterion(x, y).view(batch, length), where the criterion gives one number: its mean."""
    for call in code.every(ast.Call):
        inner = call.func.value if isinstance(call.func, ast.Attribute) else None
        viewed = isinstance(inner, ast.Call) and call.func.attr in ("view", "reshape")
        if viewed and len(call.args) > 1 and gives_mean(code, inner):
            message = "the mean loss is one number: reduction='none'"
            yield code.found(call, CALL, message)


def gives_mean(code: Code, call: ast.Call) -> bool:
    if isinstance(call.func, ast.Name):
        scope = code.within(code.source.scope(call))
        made = [
            n.value
            for n in scope
            if isinstance(n, ast.Assign) and name_of(n.targets[0]) == call.func.id
        ]
        call = made[0] if len(made) == 1 and isinstance(made[0], ast.Call) else call
    path = code.source.dotted(call.func)
    loss = path.startswith("jittor.nn.") and path.lower().endswith("loss")
    return loss and not any(k.arg in ("reduction", "reduce", "size_average") for k in call.keywords)


def foreign(code: Code) -> Iterator[Finding]:
    """torchvision.utils.make_grid(x) of a Var."""
    for call in code.every(ast.Call):
        path = code.source.dotted(call.func)
        if path.split(".")[0] not in ("torch", "torchvision"):
            continue
        given = [g for g in call.args if code.of(g).kind == VAR or is_pictures(code, call, g)]
        if given and not code.source.is_guarded(call):
            message = f"{path} takes tensors, and {ast.unparse(given[0])[:40]} is a Var"
            yield code.found(call, CALL, message)


def is_pictures(code: Code, call: ast.Call, given: ast.AST) -> bool:
    """What make_grid() or save_image() is given first in a file of Jittor's that names no torch, or calls a Var."""
    first = name_of(call.func) in ("make_grid", "save_image") and given is call.args[0]
    frameworks = code.source.frameworks | code.source.unbound.keys()
    known = code.of(given).kind not in ("", VAR)
    return first and "jittor" in frameworks and "torch" not in frameworks and not known


def fruitless(code: Code) -> Iterator[Finding]:
    """execute() that returns nothing and leaves nothing behind."""
    for owner in code.module_classes():
        main = [n for n in owner.body if getattr(n, "name", "") == "execute"]
        if len(main) != 1 or not isinstance(main[0], ast.FunctionDef) or len(main[0].body) < 3:
            continue
        nodes = code.within(main[0])
        returns = own_returns(code.source, main[0])
        kept = any(isinstance(n, (ast.Yield, ast.YieldFrom, ast.Raise)) for n in nodes)
        kept = kept or any(
            isinstance(n, ast.Attribute) and is_self(n.value) and isinstance(n.ctx, ast.Store)
            for n in nodes
        )
        steps = any(
            isinstance(n, ast.Expr) and isinstance(n.value, ast.Call) and acts(n.value)
            for n in nodes
        )
        if not kept and not steps and all(r.value is None for r in returns):
            yield code.found(main[0], CALL, f"execute of {owner.name} returns nothing")


def acts(call: ast.Call) -> bool:
    """A call for what it does: optimizer.step(loss), list.append(x); train() and print() are none."""
    return name_of(call.func) not in ("print", "eval", "train", "super", "__init__")


OF_OBJECTS = {"load", "save", "load_parameters", "load_state_dict"}  # of a module, with an argument


def unbound_methods(code: Code) -> Iterator[Finding]:
    """Module.load(path), Net.load_state_dict(d): a method without its object."""
    own = {owner.name for owner in code.module_classes()}
    for call in code.every(ast.Call):
        if not isinstance(call.func, ast.Attribute) or call.func.attr not in OF_OBJECTS:
            continue
        name = name_of(call.func.value)
        of_class = code.source.dotted(call.func.value) in ("jittor.Module", "jittor.nn.Module")
        of_class |= (
            name in own
            and isinstance(call.func.value, ast.Name)
            and not is_shadowed(code, call.func.value)
        )
        if of_class and len(call.args) == 1 and not is_own_method(code, name, call.func.attr):
            message = f"{name} is a class: {call.func.attr}() needs an object of it"
            yield code.found(call, CALL, message)


def is_own_method(code: Code, name: str, method: str) -> bool:
    """Whether a class defines the method itself, as a class's or a static one perhaps."""
    return any(
        owner.name == name and method in {getattr(n, "name", "") for n in owner.body}
        for owner in code.module_classes()
    )


def swapped(code: Code) -> Iterator[Finding]:
    """jt.save(path, kept): what is saved comes first."""
    for call in code.every(ast.Call):
        if code.source.dotted(call.func) == "jittor.save" and len(call.args) == 2:
            first, last = call.args
            if is_path(first) and not is_path(last) and name_of(last):
                yield code.found(call, CALL, "save takes what is saved first, then the path")


def is_path(node: ast.AST) -> bool:
    text = constant(node) if not isinstance(node, ast.JoinedStr) else ""
    return isinstance(text, str) or bool(PATH.search(name_of(node)))


RULES = (
    of_modules,
    functions_as_data,
    shapes,
    counted_shapes,
    containers,
    unraised,
    means_viewed,
    foreign,
    fruitless,
    unbound_methods,
    swapped,
)
