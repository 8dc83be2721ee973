"""Optimisers, schedules, gradients."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from parity.atlas.lint.code import Code
from parity.atlas.lint.evaluating import is_scheduler
from parity.atlas.lint.finding import HINT, WARNING, Finding, argument, instead
from parity.atlas.lint.kinds import TORCH, TORCH_MODULE
from parity.atlas.lint.rates import groups_with_rates, is_group, steps_by_batch
from parity.atlas.lint.source import constant, name_of, says, value_of

OPTIMISERLIKE = re.compile(r"opt|sched|scaler|(^|_|\.)ema", re.IGNORECASE)
LEAST_DAMPENING = 0.1  # a fourth argument of SGD below it is meant as a weight decay
LOSSLIKE = re.compile(r"loss|err|cost|total", re.IGNORECASE)


def groups(code: Code) -> Iterator[Finding]:
    given = groups_with_rates(code)
    for node in code.every(ast.Subscript):
        key, stored = constant(node.slice), isinstance(node.ctx, ast.Store)
        if key not in ("lr", "learning_rate") or not code.speaks_jittor(node):
            continue
        held = is_group(code, node.value)
        if key == "learning_rate" and held:
            message = 'nothing reads "learning_rate": a group\'s key is "lr"'
            yield code.found(node, "learning-rate-key", message, instead(node.slice, "'lr'"))
        elif key == "lr" and held and not (stored or given < node.lineno or is_asked(code, node)):
            message = 'a group has no "lr" unless one was given: .get("lr", optimizer.lr)'
            yield code.found(node, "group-lr-missing", message)


def is_asked(code: Code, node: ast.Subscript) -> bool:
    """Whether the code looks first: `"lr" in group`, group.get("lr"), try."""
    scope = ast.unparse(code.source.scope(node))
    asked = re.search(r"""['"]lr['"] (not )?in |\.get\(['"]lr['"]|setdefault\(['"]lr['"]""", scope)
    return bool(asked) or code.source.is_guarded(node)


def says_decay(code: Code, call: ast.Call) -> bool:
    """By itself, or in the groups that the program makes, when it is given more than m.parameters()."""
    plain = bool(call.args) and name_of(getattr(call.args[0], "func", None)) == "parameters"
    grouped = (
        {"params", "weight_decay"} <= {constant(k) for k in node.keys if k is not None}
        for other in code.files
        for node in other.every(ast.Dict)
    )
    return says(call, "weight_decay") or (not plain and any(grouped))


LATE = {
    "MultiStepLR": "multi-step-lr",
    "CosineAnnealingLR": "cosine-annealing",
    "ExponentialLR": "exponential-lr",
}
RATES = {"SGD": "lr=0.001", "Adam": "lr=0.001", "AdamW": "lr=0.001"}


def without_rate(path: str, call: ast.Call) -> bool:
    """Adam(parameters), which raises: the rate is neither named nor the second argument."""
    starred = any(isinstance(a, ast.Starred) for a in call.args)
    optimiser = path.rpartition(".")[2] in RATES
    return optimiser and len(call.args) == 1 and not (starred or says(call, "lr"))


def optimisers(code: Code) -> Iterator[Finding]:
    for call in code.every(ast.Call):
        path = code.source.dotted(call.func)
        if not path.startswith("jittor."):
            continue
        name = path.rpartition(".")[2]
        if name == "AdamW" and not (says_decay(code, call) or len(call.args) >= 5):
            message = "AdamW's default weight decay is 0, PyTorch's 0.01: say it"
            edit = argument(call, "weight_decay=0.01")
            yield code.found(call, "adamw-default-decay", message, edit)
        if name in LATE and call.args:
            message = f"{name} is a step later than PyTorch's"
            level = HINT if steps_by_batch(code) else WARNING
            yield code.found(call, LATE[name], message, level=level)
        if name == "StepLR" and constant(value_of(call, 1, "step_size")) == 1:
            message = "StepLR of one step is a step later than PyTorch's"
            yield code.found(call, "step-lr-one", message)
        if path.startswith(("jittor.optim.", "jittor.nn.")) and without_rate(path, call):
            message = f"{name} has no default learning rate here, PyTorch's {RATES[name]}: say lr="
            yield code.found(call, "optimizer-default-rate", message, argument(call, RATES[name]))
        fourth = constant(call.args[3]) if name == "SGD" and len(call.args) >= 4 else None
        if isinstance(fourth, (int, float)) and fourth >= LEAST_DAMPENING:
            message = "SGD's fourth argument is weight_decay, PyTorch's dampening"
            yield code.found(call, "sgd-argument-order", message)
        third = call.args[2] if name in ("Adam", "AdamW") and len(call.args) >= 3 else None
        if isinstance(third, ast.Tuple):
            message = f"{name}'s third argument is eps, PyTorch's betas: name them"
            yield code.found(call, "adam-argument-order", message)


def loss_of(call: ast.Call) -> ast.AST | None:
    """Of optimizer.step(loss), optimizer.backward(loss=loss)."""
    return value_of(call, 0, "loss")


def is_step(name: str, owner: str, call: ast.Call) -> bool:
    """optimizer.step(loss) and optimizer.backward(loss), which differentiate."""
    asks = name == "backward" or (name == "step" and loss_of(call) is not None)
    return asks and bool(OPTIMISERLIKE.search(owner)) and "sched" not in owner.lower()


def evaluation(code: Code) -> Iterator[Finding]:
    """eval() before gradients in one function."""
    for function in code.every(ast.FunctionDef):
        events = []
        for node in code.within(function):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            name, owner = node.func.attr, ast.unparse(node.func.value)
            foreign = code.of(node.func.value).kind in (TORCH, TORCH_MODULE)
            if (
                name in ("eval", "train")
                and not node.args
                and not foreign
                and not (name == "eval" and isinstance(code.parent(node), ast.IfExp))  # by a flag
                and code.speaks_jittor(node)
            ):
                events.append((node.lineno, name, owner, node))
            elif code.source.dotted(node.func) == "jittor.grad" or is_step(name, owner, node):
                events.append((node.lineno, "grad", owner, node))
        yield from stopped_by_eval(code, sorted(events, key=lambda e: e[0]), function)


def trained_by(function: ast.AST) -> dict[str, str]:
    """What optimisers of this function were made of, by their names: {"opt": "net.parameters()"}."""
    return {
        ast.unparse(n.targets[0]): ast.unparse(n.value)
        for n in ast.walk(function)
        if isinstance(n, ast.Assign)
        and isinstance(n.value, ast.Call)
        and "parameters()" in ast.unparse(n.value)
    }


def stopped_by_eval(code: Code, events: list[tuple], function: ast.AST) -> Iterator[Finding]:
    if not any(name == "eval" for _, name, _, _ in events):
        return
    evaluated: dict[str, ast.AST] = {}
    made = trained_by(function)
    meant = {owner for _, name, owner, _ in events if name == "train"}
    for line, name, owner, node in events:
        if name == "eval":
            if owner in meant or not meant:  # else one trains, the other stands still
                evaluated[owner] = node
        elif name == "train":
            evaluated = {k: v for k, v in evaluated.items() if not k.startswith(owner)}
        elif trained := [n for o, n in evaluated.items() if owner not in made or o in made[owner]]:
            where = trained[0]
            message = f"eval() stops the gradients asked for in line {line}"
            yield code.found(where, "eval-stops-gradients", message)
            evaluated = {}


NORMLIKE = re.compile(r"(^|_)(bn|norm)|norm\d*d?$", re.IGNORECASE)
FREEZING = re.compile(r"^(__init__|train)$|freeze|fix|frozen")  # methods that keep a layer as it is


def freezing(code: Code) -> Iterator[Finding]:
    """eval() of normalisation layers, or of layers in a loop over modules: a way to freeze statistics that freezes
    more here."""
    for call in code.every(ast.Call):
        is_eval = (
            isinstance(call.func, ast.Attribute) and call.func.attr == "eval" and not call.args
        )
        if not is_eval or not code.speaks_jittor(call):
            continue
        scope = layers_scope(code, call)
        frozen_too = any(
            isinstance(n, ast.Attribute) and n.attr in ("stop_grad", "requires_grad")
            for n in ast.walk(scope or call)
        )
        if scope is not None and not frozen_too:
            message = "eval() freezes weight and bias as well as statistics, and train() undoes it"
            yield code.found(call, "eval-freezes-affine", message)


def layers_scope(code: Code, call: ast.Call) -> ast.AST | None:
    """The loop over modules, or the function, in which LAYER.eval() is to freeze a layer; None where it is not."""
    owner, name = call.func.value, name_of(call.func.value)
    loop = code.source.enclosing(call, (ast.For,))
    if loop is not None and re.search(r"modules\(|children\(", ast.unparse(loop.iter)):
        held = {n.id for n in ast.walk(loop.target) if isinstance(n, ast.Name)}
        return loop if name in held else None
    function = code.source.enclosing(call, (ast.FunctionDef,))
    if function is None:
        return None
    own = isinstance(owner, ast.Attribute) and ast.unparse(owner.value) == "self"
    if own and FREEZING.search(function.name) and NORMLIKE.search(owner.attr):
        return function
    guard = code.source.enclosing(call, (ast.If,))  # a function that is given to apply()
    asked = ast.unparse(guard.test) if guard is not None else ""
    is_given = isinstance(owner, ast.Name) and name in {a.arg for a in function.args.args}
    says_norm = re.search(r"norm|bn", asked, re.IGNORECASE) and name in asked
    return function if is_given and says_norm else None


def backward(code: Code) -> Iterator[Finding]:
    for call in code.every(ast.Call):
        if not isinstance(call.func, ast.Attribute) or call.func.attr != "backward":
            continue
        owner = ast.unparse(call.func.value)
        if call.args or OPTIMISERLIKE.search(owner) or code.source.uses_torch:
            continue
        value = code.of(call.func.value)
        known = value.kind or value.is_pair
        if code.is_var(call.func.value) or (not known and LOSSLIKE.search(owner)):
            message = "a Var has no backward(): optimizer.step(loss), or optimizer.backward(loss)"
            yield code.found(call, "backward-method", message)


def is_no_grad(code: Code, node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and code.source.dotted(node.func) == "jittor.no_grad"


def schedulers(code: Code) -> Iterator[Finding]:
    for call in code.every(ast.Call):
        if (
            isinstance(call.func, ast.Attribute)
            and call.func.attr
            in (
                "state_dict",
                "load_state_dict",
            )
            and is_scheduler(code, call)
        ):
            message = "schedulers have no state_dict: keep last_epoch yourself"
            yield code.found(call, "scheduler-state", message)
    for node in code.every(ast.Attribute):
        stored = node.attr == "lr" and isinstance(node.ctx, ast.Store)
        own = code.of(node.value).kind == "optimiser" or name_of(node.value) == "optimizer"
        if stored and own and code.speaks_jittor(node) and not groups_with_rates(code):
            message = "optimizer.lr does not reach groups that have a rate of their own"
            yield code.found(node, "optimizer-lr-attribute", message, level=WARNING)


RULES = (
    groups,
    optimisers,
    evaluation,
    freezing,
    backward,
    schedulers,
)
