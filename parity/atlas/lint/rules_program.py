"""What a program leaves out as a whole: train() where there is dropout, steps of an optimiser that it makes."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from parity.atlas.lint.code import Code
from parity.atlas.lint.evaluating import OPTIMISERS
from parity.atlas.lint.finding import Finding
from parity.atlas.lint.kinds import OBJECT, TORCH, TORCH_MODULE
from parity.atlas.lint.rules_training import is_step
from parity.atlas.lint.source import FUNCTIONS, constant, keyword, name_of, names_in

OF_NO_STEP = {"zero_grad", "state_dict", "load_state_dict", "param_groups", "lr", "defaults"}


def needs(code: Code) -> list[Code]:
    """The file and those of the program that it imports."""
    return reached(code, lambda one: imports(one))


def users(code: Code) -> list[Code]:
    """The file and those that import it."""
    return reached(code, lambda one: [c for c in code.files if one in imports(c)])


def reached(code: Code, leads: Callable[[Code], list[Code]]) -> list[Code]:
    """From file to file, as far as they speak to Jittor or hand on names; the first that does not is the last."""
    found = [code]
    for one in found:
        if one is code or one.source.uses_jittor or one.path.stem == "__init__":
            found += [c for c in leads(one) if c not in found]
    return found


def imports(code: Code) -> list[Code]:
    """Files of the program by the last part of a module's name; of several with one name, the nearest."""
    named: dict[str, list[Code]] = {}
    for other in code.files:
        bare = other.path.stem == "__init__" and not other.imported
        if (name := module_name(other.path)) in code.imported and other is not code and not bare:
            named.setdefault(name, []).append(other)
    return [max(same, key=lambda c: shared(c.path, code.path)) for same in named.values()]


def module_name(path: Path) -> str:
    return path.parent.name if path.stem == "__init__" else path.stem


def shared(one: Path, other: Path) -> int:
    """How many folders two paths have in common."""
    return sum(a == b for a, b in zip(one.parts, other.parts, strict=False))


def undropped(code: Code) -> Iterator[Finding]:
    """Gradients asked for where nobody calls train(): Jittor's Dropout drops nothing until then. Told once a file."""
    steps = [
        call
        for call in code.every(ast.Call)
        if isinstance(call.func, ast.Attribute)
        and is_step(call.func.attr, ast.unparse(call.func.value), call)
        and code.speaks_jittor(call)
    ]
    if not steps or any(calls_train(other) for other in {*needs(code), *users(code)}):
        return
    layer = next((other for other in needs(code) if drops(other) and not judges(other)), None)
    if layer is not None:
        message = f"nobody calls train(): the Dropout of {layer.path.name} drops nothing until then"
        yield code.found(min(steps, key=lambda n: n.lineno), "dropout-fresh", message)


def judges(code: Code) -> bool:
    """Whether a file is of metrics/, or of a network that only judges others."""
    place = f"{code.path.parent.name}/{code.path.stem}"
    return (
        re.search(r"metric|lpips|inception|(^|[/_])fid|vgg_?loss|perceptual", place, re.I)
        is not None
    )


def calls_train(code: Code) -> bool:
    for node in code.every(ast.Call):
        named = isinstance(node.func, ast.Attribute) and node.func.attr == "train"
        named = named and not runs_training(code, node)
        foreign = named and code.of(node.func.value).kind in (TORCH, TORCH_MODULE)
        if named and not foreign and not puts_back(code, node):
            return True
        if keyword(node, "is_train") is not None:
            return True
    stored = (n for n in code.every(ast.Attribute) if isinstance(n.ctx, ast.Store))
    return any(n.attr in ("is_train", "training") for n in stored)


def runs_training(code: Code, call: ast.Call) -> bool:
    """trainer.train(loader, metrics): a method of the program's own, which is given more than a mode."""
    own = code.of(call.func.value).kind == OBJECT
    mode = len(call.args) <= 1 and all(
        constant(a) in (True, False) or re.search("mode|train", ast.unparse(a)) for a in call.args
    )
    return own or not mode


def puts_back(code: Code, call: ast.Call) -> bool:
    """if was_training: net.train(), where was_training is what is_training() said: nobody begins with it."""
    branch = code.source.enclosing(call, (ast.If, *FUNCTIONS))
    asked = names_in(branch.test) if isinstance(branch, ast.If) else set()
    return any(
        isinstance(n, ast.Assign)
        and name_of(n.targets[0]) in asked
        and "training" in ast.unparse(n.value)
        for n in code.within(code.source.scope(call))
    )


def drops(code: Code) -> bool:
    """Whether it makes a Dropout of more than 0, as far as numbers and defaults of arguments show."""
    for call in code.every(ast.Call):
        if code.source.dotted(call.func) in ("jittor.nn.Dropout", "jittor.nn.Dropout2d"):
            found = keyword(call, "p")
            given = call.args[0] if call.args else found.value if found else None
            if given is None or (number(code, given) or 0) > 0:
                return True
            if isinstance(given, ast.Attribute) and any(
                defaults(c, given.attr) for c in code.files
            ):
                return True
    return False


def defaults(code: Code, name: str) -> bool:
    """Whether a function of this file takes `name`, and more than 0 where nobody says it: a config's rate."""
    for function in code.every(ast.FunctionDef):
        given = function.args.args[::-1]
        for argument, default in zip(given, function.args.defaults[::-1], strict=False):
            value = constant(default)
            if argument.arg == name and isinstance(value, (int, float)) and value > 0:
                return True
    return False


def number(code: Code, node: ast.AST) -> float | None:
    """A literal's value, or the default of the argument that a name is."""
    function = code.source.enclosing(node, FUNCTIONS)
    if isinstance(node, ast.Name) and function is not None:
        given = function.args.args
        defaults = dict(zip([a.arg for a in given][::-1], function.args.defaults[::-1]))
        node = defaults.get(node.id)
    value = constant(node)
    return value if isinstance(value, (int, float)) else None


def never_stepped(code: Code) -> Iterator[Finding]:
    """self.optimizer = optim.Adam(...) in a program that never steps it, and hands it to nobody."""
    for node in code.every(ast.Assign):
        call, target = node.value, node.targets[0]
        path = code.source.dotted(call.func) if isinstance(call, ast.Call) else ""
        made = path.startswith("jittor.") and path.rpartition(".")[2] in OPTIMISERS
        held = isinstance(target, ast.Attribute) or code.source.scope(node) is not code.source.tree
        name = name_of(target) if held else ""
        if made and name and not any(uses(other, name) for other in code.files):
            message = f"nothing in this program steps {name}: {name}.step(loss)"
            yield code.found(node, "backward-method", message)


def uses(code: Code, name: str) -> bool:
    """Whether something reads NAME or x.NAME for more than its rate, its state or zero_grad()."""
    for node in code.every(ast.Name, ast.Attribute):
        if name_of(node) != name or not isinstance(node.ctx, ast.Load):
            continue
        parent = code.parent(node)
        if not (isinstance(parent, ast.Attribute) and parent.attr in OF_NO_STEP):
            return True
    if not code.source.uses_jittor:
        return False
    texts = (n.value for n in code.every(ast.Constant) if isinstance(n.value, str))
    return name in texts or any(
        name_of(n.func) in ("vars", "globals") for n in code.every(ast.Call)
    )


RULES = (undropped, never_stepped)
