"""What a port means otherwise than Jittor and NumPy read it: modules that are called, lists that are asked for their
next item, records that nobody fills, data that grow behind a length that was asked for once.

Before: a file, and the program that it is of. After: findings, of which most have no entry in the atlas.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import numpy as np

from parity.atlas.lint.code import Code, is_self
from parity.atlas.lint.finding import Finding
from parity.atlas.lint.kinds import NUMPY, TORCH_MODULE
from parity.atlas.lint.rates import is_group
from parity.atlas.lint.rules_modes import is_clock
from parity.atlas.lint.rules_own import CALL, NAME
from parity.atlas.lint.source import constant, keyword, name_of

EMPTY = "never-filled"
MODULES = {"jittor", *(f"jittor.{n}" for n in ("nn", "init", "optim", "transform", "lr_scheduler"))}
LISTED = {"parameters", "modules", "children", "named_parameters", "named_modules"}
IN_GROUPS = {"momentum", "betas", "weight_decay", "nesterov", "dampening", "eps"}
OF_ARRAYS = set(dir(np.ndarray))
READERS = (ast.Dict, ast.FormattedValue, ast.For, ast.comprehension, ast.Compare)


def called_modules(code: Code) -> Iterator[Finding]:
    """transform(picture), where `from jittor import transform` is all that the name means."""
    for call in code.every(ast.Call):
        if code.source.dotted(call.func) in MODULES:
            yield code.found(call, CALL, f"{ast.unparse(call.func)} is a module, and no function")


def next_of_lists(code: Code) -> Iterator[Finding]:
    """next(net.parameters()), which gives a list here; models of other libraries may do otherwise."""
    if {"transformers", "diffusers", "jtorch"} & code.source.frameworks:
        return
    for call in code.every(ast.Call):
        given = call.args[0] if name_of(call.func) == "next" and call.args else None
        asked = isinstance(given, ast.Call) and isinstance(given.func, ast.Attribute)
        if asked and given.func.attr in LISTED and is_of_jittor(code, given.func.value):
            message = f"{given.func.attr}() gives a list in Jittor: {given.func.attr}()[0]"
            yield code.found(call, CALL, message)


def is_of_jittor(code: Code, node: ast.AST) -> bool:
    return code.of(node).kind != TORCH_MODULE and code.speaks_jittor(node)


def keyword_of_modules(code: Code) -> Iterator[Finding]:
    """net.add_module(name="6", module=nms)."""
    for call in code.every(ast.Call):
        given = keyword(call, "module") if name_of(call.func) == "add_module" else None
        if given and isinstance(call.func, ast.Attribute) and is_of_jittor(code, call.func.value):
            message = "add_module knows no module=: give it by its place"
            yield code.found(call, "keyword-unknown", message)


def names_of_arrays(code: Code) -> Iterator[Finding]:
    """np.linspace(0, 1, 3).as_type(np.float32)."""
    for node in code.every(ast.Attribute):
        array = code.of(node.value).kind == NUMPY and isinstance(node.value, ast.Call)
        path = code.source.dotted(node.value.func) if array else ""
        if path not in ("numpy.array", "numpy.linspace", "numpy.arange", "numpy.zeros"):
            continue
        if node.attr not in OF_ARRAYS:
            yield code.found(node, NAME, f"NumPy's arrays have no {node.attr}")


def unsynchronised(code: Code) -> Iterator[Finding]:
    """def time_synchronized(): jt.sync_all(), return time.time(): nothing waits for the device."""
    for function in code.every(ast.FunctionDef):
        inner = [n for n in code.within(function) if isinstance(n, ast.Call)]
        waits = [c for c in inner if code.source.dotted(c.func) == "jittor.sync_all"]
        timed = any(isinstance(code.parent(c), ast.Return) and is_clock(code, c) for c in inner)
        if timed and waits and not any(c.args or c.keywords for c in waits):
            message = "sync_all() starts the work and does not wait for it: sync_all(True)"
            yield code.found(waits[0], "lazy-time", message)


def keys_of_groups(code: Code) -> Iterator[Finding]:
    """if "momentum" in group: Jittor's groups hold what they were given, and no defaults."""
    given = {
        constant(key)
        for other in code.files
        for node in other.every(ast.Dict)
        if "params" in {constant(k) for k in node.keys if k is not None}
        for key in node.keys
    }
    for node in code.every(ast.Compare):
        key, group = constant(node.left), node.comparators[0]
        if not isinstance(key, str) or key not in IN_GROUPS - given:
            continue
        asked = isinstance(node.ops[0], ast.In) and code.speaks_jittor(node)
        if asked and is_group(code, looped(code, group)):
            message = f"Jittor's groups have no {key} unless it was given: this is never so"
            yield code.found(node, CALL, message)


def looped(code: Code, node: ast.AST) -> ast.AST:
    """`group` itself, or param_groups[0] for `group` of enumerate(optimizer.param_groups)."""
    loop = code.source.enclosing(node, (ast.For,)) if isinstance(node, ast.Name) else None
    while loop is not None:
        numbered = isinstance(loop.iter, ast.Call) and name_of(loop.iter.func) == "enumerate"
        second = isinstance(loop.target, ast.Tuple) and name_of(loop.target.elts[-1]) == node.id
        if numbered and second and name_of(loop.iter.args[0]) == "param_groups":
            return ast.Subscript(loop.iter.args[0], ast.Constant(0), ast.Load())
        loop = code.source.enclosing(loop, (ast.For,))
    return node


def empty(code: Code) -> Iterator[Finding]:
    """self.losses = [] that all of the program only reads."""
    for owner in code.every(ast.ClassDef) if code.path.name != "<text>" else ():
        for node in code.within(owner):
            made = isinstance(node, ast.Assign) and isinstance(node.value, ast.List)
            target = node.targets[0] if made and not node.value.elts else None
            if not isinstance(target, ast.Attribute) or not is_self(target.value):
                continue
            uses = [u for u in attributes_of(code, target.attr) if u[1] is not target]
            if uses and all(only_reads(*use) for use in uses):
                message = f"nothing fills {target.attr}, which is read"
                yield code.found(node, EMPTY, message)


def attributes_of(code: Code, name: str) -> list[tuple[Code, ast.AST]]:
    found = [(o, n) for o in code.files for n in o.every(ast.Attribute) if n.attr == name]
    words = (n for o in code.files for n in o.every(ast.Constant) if n.value == name)
    keys = sum(1 for _ in words)
    handed = any({"setattr", "__dict__"} & other.names for other in code.files)
    return [] if handed and keys else found


def only_reads(code: Code, node: ast.AST) -> bool:
    parent = code.parent(node)
    if not isinstance(node.ctx, ast.Load) or not is_self(node.value):
        return False
    if isinstance(parent, ast.Call):
        return name_of(parent.func) in ("len", "print", "sum", "max", "min", "mean")
    return isinstance(parent, READERS)


def grown(code: Code) -> Iterator[Finding]:
    """self.train_set.take(classes) and set_attrs() in one method: the length that the set told first stays."""
    sets = {owner.name: owner for o in code.files for owner in o.every(ast.ClassDef)}
    sets = {
        name: sets[name] for o in code.files for name, own in o.sets.items() if own and name in sets
    }
    fillers = {m for owner in sets.values() for m in filling(owner)}
    for call in code.every(ast.Call) if fillers else ():
        data = call.func.value if isinstance(call.func, ast.Attribute) else None
        kept = isinstance(data, ast.Attribute) and is_self(data.value)
        method = code.source.enclosing(call, (ast.FunctionDef,))
        if not kept or call.func.attr not in fillers or method is None or method.name == "__init__":
            continue
        again = any(
            isinstance(n, ast.Call)
            and name_of(n.func) == "set_attrs"
            and ast.unparse(n.func.value) == ast.unparse(data)
            and not keyword(n, "total_len")
            for n in code.within(method)
        )
        if again:
            message = (
                f"{ast.unparse(data)} keeps the length of its first data: set_attrs(total_len=)"
            )
            yield code.found(call, "dataset-length", message)


def filling(owner: ast.ClassDef) -> Iterator[str]:
    """Methods of a set that store what its __len__ counts, by itself or by methods that it asks."""
    methods = {n.name: n for n in owner.body if isinstance(n, ast.FunctionDef)}
    if "__len__" not in methods or re.search("total_len", ast.unparse(owner)):
        return
    text = ast.unparse(methods["__len__"])
    text += "".join(ast.unparse(m) for name, m in methods.items() if f"self.{name}(" in text)
    counted = set(re.findall(r"len\(self\.(\w+)\)", text))
    for name, method in methods.items():
        stored = {n.attr for n in ast.walk(method) if is_stored(n)}
        if counted & stored and name not in ("__init__", "__len__") and len(method.args.args) > 1:
            yield name


def is_stored(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value)
    )


RULES = (
    called_modules,
    next_of_lists,
    keyword_of_modules,
    names_of_arrays,
    unsynchronised,
    keys_of_groups,
    empty,
    grown,
)
