"""Gradients that NumPy cuts, and parameters that no optimiser finds: what a port computes and never trains.

Before: a file of a port. After: findings of what is wrong in any framework, so that the atlas has no entry
of it; a port comes by it where Jittor lacked an operation, and its author took NumPy's.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from parity.atlas.lint.code import Code
from parity.atlas.lint.finding import Finding
from parity.atlas.lint.kinds import DICT, LIST, MODULE, NUMPY, PARAMETER, TUPLE, VAR
from parity.atlas.lint.rules_freezing import in_no_grad
from parity.atlas.lint.rules_modules import BUILDING, LEARNT, is_self, maker_of, runs
from parity.atlas.lint.source import name_of

CUT, LISTED = "gradient-through-numpy", "parameters-in-list"
BACK = {
    "array",
    "Var",
    "float32",
    "from_numpy",
    "tensor",
    "as_tensor",
}  # NumPy's array as a Var again
DEAD_NAMES = re.compile(  # arguments that nobody differentiates
    r"mask|label|target|(^|_)(gt|idx|ids?|y|t|len\w*|sizes?|shapes?|meta|finished|steps?|alpha)s?$|"
    r"index|indices|anchor|proposal|box|num|epoch|seed|stats?$",
    re.IGNORECASE,
)
DEAD = {  # what has no gradients, whatever it is of
    *("argmax", "argmin", "argsort", "topk", "sort", "where", "nonzero", "unique", "shape", "size"),
    *("ndim", "dtype", "int", "int32", "int64", "long", "bool", "stop_grad", "detach", "astype"),
    *("item", "tolist", "len", "print", "isinstance", "device", "randint", "randn", "round"),
}
LAYERS = re.compile(  # what makes parameters
    r"\b(Linear|Conv(Transpose)?[123]?d?|(Batch|Layer|Group)Norm\w*|Embedding|LSTM\w*|GRU\w*|RNN\w*|PReLU|"
    r"MultiheadAttention|Bilinear|Parameter)\b"
)
DRAWN = {"Parameter", "init", "randn", "rand", "normal", "uniform", "gauss"}


def cut(code: Code) -> Iterator[Finding]:
    """y = jt.array(np.std(x.data)) in what a network computes: nothing in front of it is trained through y."""
    for function in code.every(ast.FunctionDef):
        if not computes(code, function):
            continue
        living, given = alive(code, function), {id(n) for n in wanted(code, function)}
        for call in code.within(function):
            if not isinstance(call, ast.Call) or id(call) not in given or not call.args:
                continue
            path = code.source.dotted(call.func)
            back = path.startswith("jittor.") and path.rpartition(".")[2] in BACK
            if back and through_numpy(code, call.args[0], living) and not in_no_grad(code, call):
                message = "NumPy computed this: no gradients go through it"
                yield code.found(call, CUT, message)


def computes(code: Code, function: ast.FunctionDef) -> bool:
    """execute of a module, or a method that it calls."""
    owner = code.parent(function)
    return (
        isinstance(owner, ast.ClassDef) and owner in code.module_classes() and runs(code, function)
    )


def alive(code: Code, function: ast.FunctionDef) -> set[str]:
    """Names of what layers and Jittor's operations have computed, as far as gradients go through it."""
    names: set[str] = set()
    for _ in range(2):
        for node in code.within(function):
            if isinstance(node, (ast.Assign, ast.AugAssign)) and lives(code, node.value, names):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names |= {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
    return names - {"self"}


def lives(code: Code, node: ast.AST | None, names: set[str]) -> bool:
    """Whether something that has gradients is in an expression, and reaches its value."""
    if node is None or isinstance(node, (ast.Compare, ast.Constant, ast.Lambda)):
        return False
    if isinstance(node, ast.Name):
        return node.id in names
    if isinstance(node, ast.Subscript):
        return lives(code, node.value, names)
    if isinstance(node, ast.Attribute):
        own = is_self(node) and code.of(node).kind in (VAR, PARAMETER)
        return node.attr not in DEAD and (own or lives(code, node.value, names))
    if not isinstance(node, ast.Call):
        return any(lives(code, n, names) for n in ast.iter_child_nodes(node))
    name, path = name_of(node.func), code.source.dotted(node.func)
    if name in DEAD and not (name == "where" and len(node.args) == 3):
        return False
    if is_self(node.func) and code.of(node.func).kind == MODULE:
        return True
    computed = path.startswith("jittor.") and name not in BACK
    return any(
        lives(code, n, names) or (computed and is_differentiable(code, n))
        for n in [node.func, *node.args, *(k.value for k in node.keywords)]
    )


def is_differentiable(code: Code, node: ast.AST) -> bool:
    """Of an argument of the method that one of Jittor's operations is given: what may have gradients."""
    function = code.source.enclosing(node, (ast.FunctionDef,))
    given = {a.arg for a in function.args.args[1:]} if function else set()
    return isinstance(node, ast.Name) and node.id in given and not DEAD_NAMES.search(node.id)


def through_numpy(code: Code, node: ast.AST, names: set[str]) -> bool:
    """Whether NumPy computes with what has gradients; jt.array(x.data) alone is somebody's way to detach."""
    if not lives(code, node, names):
        return False
    plain = isinstance(node, ast.Attribute) and node.attr == "data"
    plain |= isinstance(node, ast.Call) and name_of(node.func) in ("numpy", "copy", "detach")
    if plain:
        return False
    return code.of(node).kind == NUMPY


def wanted(code: Code, function: ast.FunctionDef) -> Iterator[ast.AST]:
    """All expressions that the returned values are made of; not what only selects or asks."""
    returned = [n.value for n in code.within(function) if isinstance(n, ast.Return) and n.value]
    names: set[str] = set()
    waiting, seen = list(returned), set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen or isinstance(node, ast.Compare):
            continue
        seen.add(id(node))
        yield node
        inner = [node.value] if isinstance(node, ast.Subscript) else ast.iter_child_nodes(node)
        waiting += inner
        if isinstance(node, ast.Name) and node.id not in names:
            names.add(node.id)
            waiting += [v for v in values_of(code, function, node.id)]


def values_of(code: Code, function: ast.AST, name: str) -> Iterator[ast.AST]:
    for node in code.within(function):
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AugAssign) else targets
        if any(isinstance(n, ast.Name) and n.id == name for t in targets for n in ast.walk(t)):
            yield node.value


def listed(code: Code) -> Iterator[Finding]:
    """self.prompts = [jt.rand(...) for _ in ...], self.convs = [nn.Conv2d(...)]: neither trained nor saved."""
    for owner in code.module_classes():
        for node in code.within(owner):
            target = node.targets[0] if isinstance(node, ast.Assign) else None
            if not (target and is_self(target)) or not is_plain_list(node.value):
                continue
            function = code.source.enclosing(node, (ast.FunctionDef,))
            if function is None or not BUILDING.search(function.name):
                continue
            held = what(code, owner, function, target, node.value)
            if held and not handed_on(code, owner, target.attr):
                message = (
                    f"{target.attr} is a Python list: its {held} are neither trained nor saved"
                )
                yield code.found(node, LISTED, message)


def is_plain_list(node: ast.AST) -> bool:
    return isinstance(node, (ast.List, ast.ListComp, ast.Dict, ast.DictComp))


def what(
    code: Code, owner: ast.ClassDef, function: ast.AST, target: ast.Attribute, value: ast.AST
) -> str:
    """ "layers" or "parameters" of a list, or what the constructor appends to it; "" for anything else."""
    text = f"self.{target.attr}"
    items = list(getattr(value, "elts", [])) + list(getattr(value, "values", []))
    items += [n for n in (getattr(value, "elt", None), getattr(value, "value", None)) if n]
    for node in code.within(function):
        added = isinstance(node, ast.Call) and name_of(node.func) == "append" and node.args
        stored = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript)
        holder = node.func.value if added else node.targets[0].value if stored else None
        if holder is not None and ast.unparse(holder) == text:
            items.append(node.args[0] if added else node.value)
    if not items or any(code.of(n).kind in (LIST, TUPLE, DICT) for n in items):
        return ""
    if all(is_trained(code, n) for n in items) and runs_with(code, owner, target.attr):
        return "layers"
    drawn = all(maker_of(code, n) in DRAWN for n in items)
    learnt = drawn or LEARNT.search(target.attr) or initialised(code, function, text)
    stopped = any(name_of(n) == "stop_grad" for i in items for n in ast.walk(i))
    if learnt and not stopped and all(code.of(n).kind == VAR for n in items):
        return "parameters"
    return ""


def is_trained(code: Code, node: ast.AST) -> bool:
    """Whether a layer is made there, of a class that has parameters."""
    if code.of(node).kind != MODULE or not isinstance(node, ast.Call):
        return False
    if code.source.dotted(node.func):
        return bool(LAYERS.search(name_of(node.func)))
    place = code.program.definition(code.path, name_of(node.func))
    return place is not None and bool(LAYERS.search(ast.unparse(place[1])))


def initialised(code: Code, function: ast.AST, text: str) -> bool:
    """for x in self.prompts: init.gauss_(x)"""
    return any(
        isinstance(n, ast.For)
        and text in ast.unparse(n.iter)
        and any(
            code.source.dotted(c.func).startswith("jittor.") and "init" in ast.unparse(c.func)
            for c in ast.walk(n)
            if isinstance(c, ast.Call)
        )
        for n in code.within(function)
    )


def runs_with(code: Code, owner: ast.ClassDef, name: str) -> bool:
    """Whether a method that computes reads self.NAME."""
    methods = [n for n in owner.body if isinstance(n, ast.FunctionDef) and runs(code, n)]
    return any(is_self(n) and n.attr == name for m in methods for n in ast.walk(m))


def handed_on(code: Code, owner: ast.ClassDef, name: str) -> bool:
    """Whether somebody makes layers or parameters of it: nn.Sequential(*self.convs), setattr(self, ...), an optimiser's
    list of parameters, add_module."""
    for node in code.within(owner):
        if isinstance(node, ast.Call) and name_of(node.func) in ("setattr", "add_module", "insert"):
            return True
        held = isinstance(node, ast.Starred) and is_self(node.value) and node.value.attr == name
        if held:
            return True
        made = isinstance(node, ast.Call) and name_of(node.func) in (
            "ModuleList",
            "ParameterList",
            "Sequential",
        )
        if made and any(is_self(a) and a.attr == name for a in node.args):
            return True
        stores = isinstance(node, ast.Assign) and any(
            is_self(t) and t.attr == name for t in node.targets
        )
        if stores and isinstance(node.value, ast.Call):
            return True
        if isinstance(node, ast.FunctionDef) and "parameters" in node.name:
            return True
    return any(
        isinstance(n, ast.Attribute) and n.attr == name and not is_self(n)
        for other in code.files
        for n in other.every(ast.Attribute)
    )


RULES = (cut, listed)
