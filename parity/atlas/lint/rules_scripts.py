"""What a script leaves out that others of the program, or of its kind, do: weights to load, train() after eval().

Before: the files of a port. After: findings in the script or loop that leaves it out.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from parity.atlas.lint.code import Code
from parity.atlas.lint.evaluating import trains
from parity.atlas.lint.finding import Finding
from parity.atlas.lint.kinds import MODULE
from parity.atlas.lint.rules_modes import LOOPS, STEPS, events
from parity.atlas.lint.rules_own import NAME
from parity.atlas.lint.rules_program import calls_train, needs, users
from parity.atlas.lint.source import FUNCTIONS, constant, name_of

UNLOADED, SEED = "never-loaded", "seed-left-out"
SCRIPT = re.compile(
    r"^(run_?)?(test|eval\w*|predict\w*|infer\w*|demo|valid\w*|visuali[sz]e)(_|$|\d)", re.I
)
LOADS = re.compile(r"load(?!er|s\b|txt)|restore|resume|pretrained|ckpt|checkpoint", re.I)
DATALIKE = re.compile(r"data|loader|test_?set", re.I)
OTHERS = ("numpy", "json", "yaml", "scipy", "pickle", "cv2", "torch", "PIL", "dotenv")


def unloaded(code: Code) -> Iterator[Finding]:
    """predict.py that makes a network, gives it the test set's data, and loads nothing."""
    if not SCRIPT.match(code.path.stem) or not code.source.uses_jittor:
        return
    if trains(code) or any(loads(other) for other in needs(code)):
        return
    if not any(DATALIKE.search(name) for name in code.names | code.imported):
        return
    for node in code.every(ast.Assign):
        value = code.of(node.value)
        own = value.kind == MODULE and value.cls and isinstance(node.value, ast.Call)
        within = code.source.enclosing(node, (ast.ClassDef,))
        if own and within is None and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if is_run(code, node, name):
                yield code.found(node, UNLOADED, f"nothing loads the weights of {name}")
                return


def loads(code: Code) -> bool:
    """Whether a file names anything that loads weights: a call, an option, a file's path."""
    for call in code.every(ast.Call):
        path = code.source.dotted(call.func)
        if LOADS.search(name_of(call.func)) and path.split(".")[0] not in OTHERS:
            return True
    words = (n.value for n in code.every(ast.Constant) if isinstance(n.value, str))
    return any(
        re.search(r"\.(pkl|pth|pt|ckpt|bin)\b|--\w*(load|ckpt|weights|checkpoint)", w)
        for w in words
    )


def is_run(code: Code, node: ast.Assign, name: str) -> bool:
    """Whether the scope calls the network, or hands it to a function."""
    return any(
        isinstance(n, ast.Call)
        and (name_of(n.func) == name or any(name_of(a) == name for a in n.args))
        for n in code.within(code.source.scope(node))
    )


def left(code: Code) -> Iterator[Finding]:
    """learn(): steps, then self.model.eval(), where a loop of another file calls it again and nobody calls train()."""
    for function in code.every(ast.FunctionDef):
        if not evaluates(code, function) or not code.speaks_jittor(function):
            continue
        happened = list(events(code, function, {}, STEPS))
        if {event.name for event in happened} != {"eval", "step"}:
            continue
        own = {id(n) for n in code.within(function)}
        last = happened[-1]
        around = {*needs(code), *users(code)}
        if last.name != "eval" or id(last.node) not in own or any(calls_train(c) for c in around):
            continue
        if any(repeats(other, function.name) for other in around):
            message = f"eval() stops all gradients: {function.name}() is called again, and nobody calls train()"
            yield code.found(last.node, "eval-stops-gradients", message)


def evaluates(code: Code, function: ast.AST) -> bool:
    return any(
        isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and n.func.attr == "eval"
        for n in code.within(function)
    )


def repeats(code: Code, name: str) -> bool:
    """Whether a loop calls a function or method of this name."""
    calls = (n for n in code.every(ast.Call) if name_of(n.func) == name)
    for call in calls:
        loop = code.source.enclosing(call, (*LOOPS, *FUNCTIONS))
        if isinstance(loop, LOOPS):
            return True
    return False


def keys(code: Code) -> Iterator[Finding]:
    """kept = jt.load(path), then kept["others"], where all that this file saves has other keys."""
    saved = [saved_keys(code, c) for c in code.every(ast.Call) if is_call_of(code, c, "save")]
    if not saved or not all(saved):
        return
    known = set().union(*saved)
    for node in code.every(ast.Assign):
        name = name_of(node.targets[0])
        if not name or not is_call_of(code, node.value, "load"):
            continue
        reads = [r for r in code.loads(code.source.scope(node), name, node.lineno)]
        asked = [code.parent(r) for r in reads if not is_fallback(code, r)]
        asked = [(p, w) for p in asked if isinstance(p, ast.Subscript) for w in words(code, p)]
        near = {w for _, w in asked} & known
        for place, key in asked:
            if key not in known and near and not code.source.is_guarded(place):
                message = f"nothing that this file saves has the key {key!r}"
                yield code.found(place, NAME, message)


def is_fallback(code: Code, node: ast.AST) -> bool:
    """try: kept["net"], except KeyError: kept["model"]."""
    return code.source.enclosing(node, (ast.ExceptHandler,)) is not None


def words(code: Code, place: ast.Subscript) -> list[str]:
    """kept["net"], and both keys of key = "ema" if averaged else "net", then kept[key]."""
    key = place.slice
    if isinstance(key, ast.Name):
        scope = code.within(code.source.scope(place))
        made = [n for n in scope if isinstance(n, ast.Assign) and name_of(n.targets[0]) == key.id]
        key = made[0].value if len(made) == 1 else key
    ends = (key.body, key.orelse) if isinstance(key, ast.IfExp) else (place.slice,)
    return [constant(e) for e in ends if constant(e)]


def unsaved(code: Code) -> Iterator[Finding]:
    """jt.save() in a function that nobody calls, of a program that saves nowhere else; its test.py loads."""
    own = {name_of(call.func) for call in code.every(ast.Call)}
    if not {"save", "step"} <= own:
        return
    kept = [
        (other, call)
        for other in code.files
        for call in other.every(ast.Call)
        if name_of(call.func) == "save" and not other.source.dotted(call.func).startswith("numpy.")
    ]
    homes = [other.source.enclosing(call, FUNCTIONS[:2]) for other, call in kept]
    called = any(home is None or is_named(code, home.name) for home in homes)
    wanted = any(SCRIPT.match(other.path.stem) and loads_weights(other) for other in code.files)
    if wanted and not called:
        for other, call in kept:
            if other is code and is_call_of(code, call, "save"):
                message = "nobody calls what saves the weights: nothing of the training is kept"
                yield code.found(call, "never-saved", message)


def loads_weights(code: Code) -> bool:
    return any(is_call_of(code, call, "load") for call in code.every(ast.Call))


def is_named(code: Code, name: str) -> bool:
    return any(name in other.names or name in other.imported for other in code.files)


def is_call_of(code: Code, node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and code.source.dotted(node.func) == f"jittor.{name}"


def saved_keys(code: Code, call: ast.Call) -> set[str]:
    """Of jt.save({...}, path), or of a name for such a dictionary; empty where it is anything else."""
    given = call.args[0] if call.args else None
    if isinstance(given, ast.Name):
        made = [
            n.value
            for n in code.within(code.source.scope(call))
            if isinstance(n, ast.Assign) and name_of(n.targets[0]) == given.id
        ]
        given = made[0] if len(made) == 1 else None
    found = {constant(k) for k in given.keys} if isinstance(given, ast.Dict) else set()
    return set() if None in found else found


SEEDED = re.compile(
    r"^[^#\n]*(set_global_seed|\b(jt|jittor)\.(misc\.)?(set_)?(manual_)?seed\(|jittor\.misc import)",
    re.M,
)


def unseeded(code: Code) -> Iterator[Finding]:
    """np.random.seed(1) where the program trains with Jittor and seeds it nowhere: other weights in every run."""
    if SCRIPT.match(code.path.stem) or not code.source.uses_jittor:
        return
    if any(SEEDED.search(t) for t in code.program.texts.values()):
        return
    around = {*needs(code), *users(code)}
    if not any(trains(other) for other in around):
        return
    for call in code.every(ast.Call):
        path = code.source.dotted(call.func)
        within = code.source.enclosing(call, (ast.ClassDef,))
        if path in ("numpy.random.seed", "transformers.set_seed") and within is None:
            message = "does not seed Jittor, which begins with the time: jt.set_global_seed(...)"
            yield code.found(call, SEED, message)
            return


RULES = (unloaded, left, keys, unsaved, unseeded)
