"""Functions with gradients of their own, functions taken for layers, initialisers of what is no Var."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from difflib import get_close_matches

from parity.atlas.lint.code import Code
from parity.atlas.lint.finding import Finding
from parity.atlas.lint.kinds import MODULE
from parity.atlas.lint.rules_names import known
from parity.atlas.lint.source import constant, name_of

ACTIVATIONS = {
    *("relu", "relu6", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh", "softplus", "mish"),
    *("softmax", "log_softmax", "hardtanh", "hardswish", "hardsigmoid", "selu"),
}
LOOPS = (ast.For, ast.While, ast.ListComp, ast.GeneratorExp)
IN_PLACE = re.compile(r"^[a-z]\w*[a-z0-9]_$")


def own_functions(code: Code) -> Iterator[tuple[ast.ClassDef, dict[str, ast.FunctionDef]]]:
    """Classes that derive from jt.Function, with their methods."""
    for owner in code.every(ast.ClassDef):
        if any(code.source.dotted(base) == "jittor.Function" for base in owner.bases):
            yield owner, {n.name: n for n in owner.body if isinstance(n, ast.FunctionDef)}


def saved(code: Code) -> Iterator[Finding]:
    """self.saved_tensors = x, of which grad takes [0]: the first row, where PyTorch has a tuple."""
    for _, methods in own_functions(code):
        if not {"execute", "grad"} <= methods.keys():
            continue
        whole = [
            n
            for n in ast.walk(methods["execute"])
            if isinstance(n, ast.Assign)
            and any(is_saved(t) for t in n.targets)
            and not isinstance(n.value, (ast.Tuple, ast.List))
        ]
        taken = [n for n in ast.walk(methods["grad"]) if takes_first(code, n)]
        if whole and taken:
            message = f"saved_tensors is one Var (line {whole[0].lineno}): this is its first row"
            yield code.found(taken[0], "function-saved", message)


def is_saved(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "saved_tensors"


def takes_first(code: Code, node: ast.AST) -> bool:
    """self.saved_tensors[0], x, = self.saved_tensors, or the same of a name for it."""
    if isinstance(node, ast.Assign):
        return isinstance(node.targets[0], (ast.Tuple, ast.List)) and means_saved(code, node.value)
    taken = isinstance(node, ast.Subscript) and isinstance(constant(node.slice), int)
    return taken and means_saved(code, node.value)


def means_saved(code: Code, node: ast.AST) -> bool:
    if not isinstance(node, ast.Name):
        return is_saved(node)
    return any(
        isinstance(n, ast.Assign) and name_of(n.targets[0]) == node.id and is_saved(n.value)
        for n in ast.walk(code.source.scope(node))
    )


def reused(code: Code) -> Iterator[Finding]:
    """One instance of a jt.Function called several times: what it keeps for grad is of the last call."""
    keeping = {owner.name: m for owner, m in own_functions(code) if keeps(m.get("execute"))}
    for node in code.every(ast.Assign):
        if not (isinstance(node.value, ast.Call) and name_of(node.value.func) in keeping):
            continue
        held = ast.unparse(node.targets[0])
        scope = code.source.enclosing(node, (ast.ClassDef,)) or code.source.scope(node)
        calls = [
            n for n in ast.walk(scope) if isinstance(n, ast.Call) and ast.unparse(n.func) == held
        ]
        again = [c for c in calls if loops_without(code, c, node)]
        functions = [code.source.scope(c) for c in calls]
        again += [c for c, f in zip(calls, functions, strict=True) if functions.count(f) > 1]
        if again:
            first = min(again, key=lambda n: n.lineno)
            message = f"{held} keeps what grad needs of its last call only: a new one for each call"
            yield code.found(first, "function-reused", message)


def keeps(execute: ast.FunctionDef | None) -> bool:
    """Whether execute sets attributes of self."""
    return execute is not None and any(
        isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store) for n in ast.walk(execute)
    )


def loops_without(code: Code, call: ast.Call, made: ast.Assign) -> bool:
    loop = code.source.enclosing(call, LOOPS)
    return loop is not None and all(n is not made for n in ast.walk(loop))


def gradients(code: Code) -> Iterator[Finding]:
    """grad that returns more than a call of its function has arguments. Told once a class."""
    for owner, methods in own_functions(code):
        if sum(n.name == owner.name for n in code.every(ast.ClassDef)) > 1:
            continue
        own = ast.walk(methods["grad"]) if "grad" in methods else ()
        returns = [n.value for n in own if isinstance(n, ast.Return)]
        if not returns or not all(isinstance(r, ast.Tuple) for r in returns):
            continue
        count = min(len(r.elts) for r in returns)
        held = {f"{owner.name}.apply", f"{owner.name}()"} | {
            ast.unparse(n.targets[0])
            for n in code.every(ast.Assign)
            if isinstance(n.value, ast.Call) and name_of(n.value.func) == owner.name
        }
        calls = [c for c in code.every(ast.Call) if ast.unparse(c.func) in held]
        plain = [c for c in calls if not c.keywords and not any(map(is_starred, c.args))]
        few = [c for c in plain if len(c.args) < count]
        if few:
            first = min(few, key=lambda c: c.lineno)
            message = (
                f"{owner.name}.grad returns {count} gradients, for {len(first.args)} arguments"
            )
            yield code.found(first, "function-gradients", message)


def is_starred(node: ast.AST) -> bool:
    return isinstance(node, ast.Starred)


def no_layers(code: Code) -> Iterator[Finding]:
    """nn.relu() and nn.relu(True) where a layer is wanted."""
    for call in code.every(ast.Call):
        space, _, name = code.source.dotted(call.func).rpartition(".")
        if name not in ACTIVATIONS or name not in known()["names"].get(space, ()):
            continue
        whole = not call.args and not any(k.arg in (None, "x", "input") for k in call.keywords)
        if whole or (call.args and isinstance(constant(call.args[0]), (int, float))):
            message = f"{name} is a function of an array, no layer: nn.{layer(name)}()"
            yield code.found(call, "function-as-layer", message)


LAYERS = {"ReLU", "ReLU6", "LeakyReLU", "GELU", "SiLU", "Sigmoid", "Tanh", "ELU", "Mish"}


def no_functions(code: Code) -> Iterator[Finding]:
    """nn.ReLU(self.conv(x)) where the function is wanted: a layer, made of an array and given on."""
    for call in code.every(ast.Call):
        space, _, name = code.source.dotted(call.func).rpartition(".")
        if space != "jittor.nn" or name not in LAYERS or len(call.args) != 1:
            continue
        given = call.args[0]
        of_layer = isinstance(given, ast.Call) and ast.unparse(given.func).startswith("self.")
        if of_layer or code.is_var(given) or is_passed(code, call):
            message = f"nn.{name}(...) makes a layer: nn.{name}()(x), or its function"
            yield code.found(call, "function-as-layer", message)


def is_passed(code: Code, call: ast.Call) -> bool:
    """lambda x: nn.Tanh(x): the layer is made of what the lambda is called with."""
    around, given = code.parent(call), call.args[0]
    if not isinstance(around, ast.Lambda) or not isinstance(given, ast.Name):
        return False
    return [a.arg for a in around.args.args] == [given.id] and given.id in ("x", "input", "out")


def misspelt(code: Code) -> Iterator[Finding]:
    """A module with excute() or exceute() and no execute()."""
    for owner in code.module_classes():
        methods = {n.name: n for n in owner.body if isinstance(n, ast.FunctionDef)}
        if {"execute", "forward"} & methods.keys():
            continue
        near = get_close_matches("execute", methods, n=1, cutoff=0.8)
        if near:
            message = f"a module's method is execute: nobody calls {near[0]}"
            yield code.found(methods[near[0]], "forward-name", message)


def layer(name: str) -> str:
    known = {"relu": "ReLU", "relu6": "ReLU6", "leaky_relu": "LeakyReLU", "silu": "SiLU"}
    known |= {"gelu": "GELU", "elu": "ELU", "selu": "SELU", "log_softmax": "LogSoftmax"}
    return known.get(name, name.capitalize())


def initialisers(code: Code) -> Iterator[Finding]:
    """init.gauss_(m.weight.data), init.gauss_(0.0, 0.02), init.xavier_gauss_([3, 3]): of no Var."""
    for call in code.every(ast.Call):
        path = code.source.dotted(call.func)
        if (
            path.startswith(("jittor.init.", "jittor.nn.init."))
            and path.endswith("_")
            and call.args
        ):
            given, name = call.args[0], name_of(call.func)
            listed = isinstance(given, (ast.List, ast.Tuple))
            if isinstance(given, ast.Attribute) and given.attr == "data":
                message = f"{ast.unparse(given)} is a NumPy array: {name} wants the Var"
                yield code.found(call, "init-of-data", message)
            elif listed or isinstance(constant(given), (int, float)):
                message = f"{name} wants a Var; init.{name[:-1]} makes one of a shape"
                yield code.found(call, "init-of-data", message)
        elif (
            isinstance(call.func, ast.Attribute)
            and IN_PLACE.match(call.func.attr)
            and isinstance(call.func.value, ast.Attribute)
            and call.func.value.attr == "data"
            and code.speaks_jittor(call)
        ):
            message = f"{ast.unparse(call.func.value)} is a NumPy array, without {call.func.attr}"
            yield code.found(call, "init-of-data", message)


def forwards(code: Code) -> Iterator[Finding]:
    """forward() of a module, or of a layer made more of, which has execute() already."""
    for owner in code.module_classes():
        names = {n.name: n for n in owner.body if isinstance(n, ast.FunctionDef)}
        aliased = any(
            isinstance(n, ast.Assign)
            and any(isinstance(t, ast.Name) and t.id == "execute" for t in n.targets)
            for n in owner.body
        )
        own = all(code.source.dotted(b).startswith("jittor.") for b in owner.bases)
        called = any(
            isinstance(n, ast.Attribute) and n.attr == "forward" and not is_super(n.value)
            for n in code.nodes
        )
        bare = "forward" in names and "execute" not in names and own
        if bare and not (aliased or called or is_called_elsewhere(code, owner.name)):
            message = "a module's method is execute: forward is never called"
            yield code.found(names["forward"], "forward-name", message)


def is_super(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and name_of(node.func) == "super"


def is_called_elsewhere(code: Code, name: str) -> bool:
    """self.net = Net(...), then self.net.forward(x), in another file of the program."""
    for other in code.files:
        owners = {
            name_of(n.func.value)
            for n in other.every(ast.Call)
            if isinstance(n.func, ast.Attribute) and n.func.attr == "forward"
        }
        if any(
            len(owner) > 3 and owner.lower().strip("_") in name.lower()
            for owner in owners - {"self"}
        ):
            return True  # prompt.forward(x), of CodaPrompt
        made = (n for n in other.every(ast.Assign) if owners and isinstance(n.value, ast.Call))
        if any(name_of(n.value.func) == name and name_of(n.targets[0]) in owners for n in made):
            return True
    return False


def sliced(code: Code) -> Iterator[Finding]:
    """self.model[0:3](x): a slice of a Sequential is a list here, which nobody can call."""
    for call in code.every(ast.Call):
        func = call.func
        cut = isinstance(func, ast.Subscript) and isinstance(func.slice, ast.Slice)
        if not cut or code.source.is_guarded(call) or not code.speaks_jittor(call):
            continue
        if code.of(func.value).kind in (MODULE, ""):
            message = f"{ast.unparse(func)} is a list of layers: nn.Sequential(*...) of it"
            yield code.found(call, "slice-of-sequential", message)


RULES = (
    sliced,
    saved,
    reused,
    gradients,
    no_layers,
    no_functions,
    misspelt,
    initialisers,
    forwards,
)
