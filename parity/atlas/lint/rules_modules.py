"""Modules: what becomes a parameter, what is saved, what is called."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from parity.atlas.lint.code import Code
from parity.atlas.lint.finding import HINT, WARNING, Finding, after, instead
from parity.atlas.lint.integers import is_integer
from parity.atlas.lint.kinds import LIST, MODULE, NUMBER, TUPLE, VAR
from parity.atlas.lint.rules_training import OPTIMISERLIKE, is_no_grad
from parity.atlas.lint.source import FUNCTIONS, constant, keyword, name_of
from parity.atlas.lint.stopping import (
    gives_stopped,
    is_apart,
    is_initialised,
    only_infers,
    stops,
    stops_named,
)

TABLELIKE = re.compile(
    r"running_|(^|_)(mean|var|std|anchors?|grid|index|indices|mask|buffer|stride|table|kernel|"
    r"matrix|priors?|project|window|freqs?|valid|cells?|center|centre|coords?|positions?|"
    r"ema\w*|queue|prototypes?)s?$"
)
LEARNT = re.compile(
    r"^w\d?$|bias|weight|embed|token|gamma|beta|scale|param|alpha|logit|query|queries|"
    r"thr(esh\w*)?$|temperature|lambda|slope|(^|_)(eta|rho|gain|gate|coef\w*)(_|$)"
)
INDEXLIKE = re.compile(
    r"(^|_)(index|indices|idx|ids)$"
)  # of whole numbers, which ask for no gradients
CONSTANT_MAKERS = {
    "array",
    "arange",
    "linspace",
    "from_numpy",
    "meshgrid",
    "load",
    "eye",
    "tril",
    "triu",
}
BUILDING = re.compile(r"^(__init__|_?build\w*|_?reset\w*|_?init\w*|_?make\w*|_?load\w*)$")
FILLED = {"zeros", "ones", "full", "randn", "rand", "empty"}


def buffers(code: Code) -> Iterator[Finding]:
    for call in code.every(ast.Call):
        if not isinstance(call.func, ast.Attribute) or call.func.attr != "register_buffer":
            continue
        owner = code.source.enclosing(call, (ast.ClassDef,))
        if owner and any(getattr(n, "name", "") == "register_buffer" for n in owner.body):
            continue
        given = call.args[1] if len(call.args) > 1 else None
        if given is None and (found := keyword(call, "tensor", "value")):
            given = found.value
        if given is None or constant(given) is not None or not code.speaks_jittor(call):
            continue
        if (isinstance(given, ast.Constant) and given.value is None) or stops(code, given):
            continue
        name = constant(call.args[0])
        if stops_named(code, call, name) or is_integer(code, given) or INDEXLIKE.search(str(name)):
            continue
        message = "a buffer is a parameter, trained and decayed: hand it in with .stop_grad()"
        simple = isinstance(given, (ast.Call, ast.Attribute, ast.Subscript))
        edits = [after(given, ".stop_grad()")] if simple else []
        yield code.found(call, "buffer-is-parameter", message, *edits)


def attributes(code: Code) -> Iterator[Finding]:
    """self.x = a Var: a parameter, trained and saved, unless its name begins with an underscore."""
    for owner in code.module_classes():
        for node in code.within(owner):
            if isinstance(node, ast.Assign):
                for target, value in assignments(node):
                    if is_self(target):
                        yield from attribute(code, node, target, value, target.attr)
            elif isinstance(node, ast.Call) and is_setattr(node):
                name = constant(node.args[1])
                text = name if isinstance(name, str) else ast.unparse(node.args[1])
                yield from attribute(code, node, node.args[1], node.args[2], text)


def assignments(node: ast.Assign) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Targets with their values, tuples taken apart."""
    for target in node.targets:
        if isinstance(target, ast.Tuple):
            values = node.value.elts if isinstance(node.value, ast.Tuple) else []
            whole = values if len(values) == len(target.elts) else [node.value] * len(target.elts)
            yield from zip(target.elts, whole, strict=True)
        else:
            yield target, node.value


def is_self(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    )


def is_setattr(node: ast.Call) -> bool:
    named = isinstance(node.func, ast.Name) and node.func.id == "setattr"
    on_self = (
        len(node.args) == 3 and isinstance(node.args[0], ast.Name) and node.args[0].id == "self"
    )
    return named and on_self


def attribute(
    code: Code, node: ast.AST, target: ast.AST, value: ast.AST, name: str
) -> Iterator[Finding]:
    kind = code.of(value).kind
    kind = code.of(target).kind if kind in ("", TUPLE, LIST) else kind
    if not kind and is_kept_output(code, node, value):
        kind = VAR
    if name.startswith("_") and not name.startswith("__"):
        if kind == VAR and is_made(code, value):  # a layer's own parameters are found all the same
            message = f"{name} begins with an underscore: neither trained nor saved"
            maker = maker_of(code, value)  # of a constant, that is what PyTorch's attribute is too
            level = WARNING if maker in ("Parameter", "init") else HINT
            yield code.found(node, "underscore-attribute", message, level=level)
        return
    function = code.source.enclosing(node, (ast.FunctionDef,))
    building = function is None or bool(BUILDING.search(function.name))
    if kind != VAR or stops(code, value) or stops(code, target):
        return
    maker = maker_of(code, value)
    message = f"{name} becomes a parameter, trained and saved: add .stop_grad()"
    edits = [after(value, ".stop_grad()")] if isinstance(value, ast.Call) else []
    tablelike = (
        TABLELIKE.search(name) and maker not in ("randn", "rand") and not LEARNT.search(name)
    )
    made = maker in CONSTANT_MAKERS and not LEARNT.search(name)
    if building and maker not in ("Parameter", "init") and (tablelike or made):
        learnt = is_scalar(code, value) and not tablelike
        frozen = is_integer(code, value) or without_gradients(code, node) or unreached(code, node)
        level = HINT if learnt or frozen else WARNING
        yield code.found(node, "plain-attribute", message, *edits, level=level)
    elif building and maker in FILLED:
        known = function is not None and is_written(code, function, name)
        level = WARNING if known and not LEARNT.search(name) else HINT
        yield code.found(node, "plain-attribute", message, *edits, level=level)
    elif not building and runs(code, function) and not is_initialised(code, node, target):
        message = f"{name}, kept in {function.name}, becomes a parameter and joins state_dict"
        yield code.found(node, "cached-attribute", message)


def unreached(code: Code, node: ast.AST) -> bool:
    """Whether no gradient comes to what the class keeps."""
    return gives_stopped(code, node) or only_infers(code, node) or is_apart(code, node)


def is_written(code: Code, function: ast.FunctionDef, name: str) -> bool:
    """self.eos[0] = 1 in the same function: a table, of numbers that its author knows."""
    return any(
        isinstance(n, ast.Assign)
        and isinstance(n.targets[0], ast.Subscript)
        and ast.unparse(n.targets[0].value) == f"self.{name}"
        and isinstance(constant(n.value), (int, float))
        for n in code.within(function)
    )


def is_scalar(code: Code, node: ast.AST) -> bool:
    """jt.array(0.5), jt.array([0.5]): one number, of which nobody makes an array who does not want it learnt."""
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args:
        node = node.func.value
    given = constant(node.args[0]) if isinstance(node, ast.Call) and node.args else None
    one = given[0] if isinstance(given, list) and len(given) == 1 else given
    named = isinstance(node, ast.Call) and bool(node.args) and code.of(node.args[0]).kind == NUMBER
    makes = isinstance(node, ast.Call) and name_of(node.func) in ("array", "Var", "float32")
    return makes and (named or isinstance(one, (int, float)))


def without_gradients(code: Code, node: ast.AST) -> bool:
    """Whether it stands in `with jt.no_grad()`."""
    within = code.source.enclosing(node, (ast.With, *FUNCTIONS))
    while isinstance(within, ast.With):
        if any(is_no_grad(code, item.context_expr) for item in within.items):
            return True
        within = code.source.enclosing(within, (ast.With, *FUNCTIONS))
    return False


def is_kept_output(code: Code, node: ast.AST, value: ast.AST) -> bool:
    """self.features = self.encoder(x) outside of a constructor, where encoder is a layer and not a method."""
    function = code.source.enclosing(node, (ast.FunctionDef,))
    layer = isinstance(value, ast.Call) and is_self(value.func) and value.func.attr
    if function is None or not layer or not runs(code, function):
        return False
    owner = code.source.enclosing(node, (ast.ClassDef,))
    made = [n for n in code.within(owner) if is_self(n) and n.attr == layer]
    stored = any(isinstance(n.ctx, ast.Store) for n in made)
    methods = {n.name for n in owner.body if isinstance(n, ast.FunctionDef)}
    return stored and layer not in methods


def runs(code: Code, function: ast.FunctionDef) -> bool:
    """Whether a method is what a module computes with: execute, or one that execute calls."""
    if function.name in ("execute", "forward"):
        return True
    owner = code.source.enclosing(function, (ast.ClassDef,))
    main = [n for n in owner.body if getattr(n, "name", "") in ("execute", "forward")]
    called = {
        n.func.attr
        for m in main
        for n in ast.walk(m)
        if isinstance(n, ast.Call) and is_self(n.func)
    }
    return function.name in called and not BUILDING.search(function.name)


def maker_of(code: Code, node: ast.AST) -> str:
    """The function of jittor that made it: "array" for jt.array(...).float32()."""
    while isinstance(node, (ast.Call, ast.Attribute, ast.Subscript, ast.BinOp, ast.UnaryOp)):
        if isinstance(node, ast.Call):
            path = code.source.dotted(node.func)
            if path.startswith("jittor.init"):
                return "init"
            if path:
                return path.rpartition(".")[2]
            node = node.func
        elif isinstance(node, ast.BinOp):
            node = node.left if code.is_var(node.left) else node.right
        elif isinstance(node, ast.UnaryOp):
            node = node.operand
        else:
            node = node.value
    return ""


def is_made(code: Code, node: ast.AST) -> bool:
    return maker_of(code, node) in CONSTANT_MAKERS | FILLED | {"Parameter", "init"}


def loading(code: Code) -> Iterator[Finding]:
    for call in code.every(ast.Call):
        named = isinstance(call.func, ast.Attribute)
        if (
            not named
            or call.func.attr not in ("load_state_dict", "load_parameters")
            or not call.args
        ):
            continue
        owner = ast.unparse(call.func.value)
        if owner.startswith("super") or OPTIMISERLIKE.search(owner) or not code.speaks_jittor(call):
            continue
        message = f"{call.func.attr} says nothing of missing or misshaped keys: check them"
        yield code.found(call, "load-missing", message, level=HINT)


def methods(code: Code) -> Iterator[Finding]:
    for call in code.every(ast.Call):
        named = isinstance(call.func, ast.Attribute) and call.func.attr == "train" and call.args
        given = constant(call.args[0]) if named else None
        if named and has_own_mode(code, call):
            continue
        if isinstance(given, bool) and is_module(code, call):
            word = "train" if given else "eval"
            message = f"train takes no argument: {word}()"
            edit = instead(call, f"{ast.unparse(call.func.value)}.{word}()")
            yield code.found(call, "train-false", message, edit)
        elif named and is_mode(call.args[0]) and is_module(code, call):
            message = "train takes no argument: train() or eval(), as the flag says"
            yield code.found(call, "train-false", message)
    for node in code.every(ast.Attribute):
        read = isinstance(node.ctx, ast.Load) and not is_self(node)
        if (
            node.attr == "_modules"
            and read
            and code.speaks_jittor(node)
            and not code.source.is_guarded(node)
        ):
            message = "a Sequential keeps its layers in .layers; _modules is another thing here"
            yield code.found(node, "sequential-modules", message, level=WARNING)


def has_own_mode(code: Code, call: ast.Call) -> bool:
    """Whether self.train(False) means a method of the class's own, which takes a flag."""
    owner = code.source.enclosing(call, (ast.ClassDef,))
    of_self = isinstance(call.func.value, ast.Name) and call.func.value.id == "self"
    own = [n for n in owner.body if getattr(n, "name", "") == "train"] if owner and of_self else []
    return any(isinstance(n, ast.FunctionDef) and len(n.args.args) > 1 for n in own)


def is_mode(node: ast.AST) -> bool:
    """training, mode, was_training, m.training: what a module is put back to."""
    return bool(re.search(r"(^|_)(training|mode|is_train)$", name_of(node)))


def is_module(code: Code, call: ast.Call) -> bool:
    kind = code.of(call.func.value).kind
    return kind == MODULE or (
        kind == "" and code.speaks_jittor(call) and "super" not in ast.unparse(call)
    )


RULES = (buffers, attributes, loading, methods)
