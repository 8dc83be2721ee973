"""Warns where Python code for Jittor uses a spelling that the atlas knows to mean something else than in PyTorch.

Looks at syntax only, so a rule fires where the code itself shows that it applies, and stays silent where it would have
to guess: a warning should be worth reading. `# atlas: ok` at the end of a line silences it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from parity.errors import InputError

SILENCED = "# atlas: ok"
NUMPY = {"np", "numpy", "cupy", "torch", "math", "random", "F", "scipy"}
MAKERS = {
    *("array", "zeros", "ones", "full", "rand", "randn", "arange", "linspace", "empty", "Var"),
    *("float32", "zeros_like", "ones_like", "full_like", "init"),
}
MASKLIKE = re.compile(r"(^|_)(mask|masks|valid|keep|not_mask)$")
BUFFERLIKE = re.compile(r"running_|(^|_)(mean|var|std|anchors?|grid|index|mask|buffer|stride)s?$")
OPTIMISERLIKE = re.compile(r"opt|sched|scaler|(^|_|\.)ema", re.IGNORECASE)
LEAST_DAMPENING = 0.1  # a fourth argument of SGD below it is meant as a weight decay


@dataclass(frozen=True)
class Finding:
    """Where, which entry of the atlas, and what to write instead."""

    path: Path
    line: int
    entry: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message} [{self.entry}]"


class Code:
    """A parsed file, with every node's parent and the function or module that it lies in."""

    def __init__(self, text: str):
        self.tree = ast.parse(text)
        self.lines = text.splitlines()
        self.parents: dict[ast.AST, ast.AST] = {}
        for node in ast.walk(self.tree):
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node
        self.frameworks = set(self._frameworks())

    def _frameworks(self) -> Iterator[str]:
        """Names that stand for jittor or for its parts."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name.split(".")[0] == "jittor":
                        yield alias.asname or alias.name.split(".")[0]
            elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "jittor":
                for alias in node.names:
                    yield alias.asname or alias.name

    def scope(self, node: ast.AST) -> ast.AST:
        while node in self.parents:
            node = self.parents[node]
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                return node
        return self.tree

    def assigned(self, name: ast.Name) -> ast.AST | None:
        """The value of the last plain assignment to a name before it, in its own function."""
        found = None
        for node in ast.walk(self.scope(name)):
            if isinstance(node, ast.Assign) and node.lineno < name.lineno:
                for target in node.targets:
                    same = isinstance(target, ast.Name) and target.id == name.id
                    if same and (found is None or node.lineno > found.lineno):
                        found = node
        return found.value if found else None


def name_of(node: ast.AST) -> str:
    """The last part of a dotted name: "interpolate" for nn.interpolate."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def root_of(node: ast.AST) -> str:
    """The first part of a dotted name, through calls and subscripts."""
    while isinstance(node, (ast.Attribute, ast.Call, ast.Subscript)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def keywords(call: ast.Call) -> set[str]:
    """Names of keyword arguments; "*" when some are handed on."""
    return {k.arg or "*" for k in call.keywords}


def is_tensor_method(code: Code, call: ast.Call) -> bool:
    """x.name(...) or jt.name(...), where x is not a module of another library, nor an array from one."""
    if not isinstance(call.func, ast.Attribute) or root_of(call.func) in NUMPY:
        return False
    owner = call.func.value
    if isinstance(owner, ast.Name) and (value := code.assigned(owner)) is not None:
        made_elsewhere = root_of(value) in NUMPY or ends_in_numpy(value)
        return not made_elsewhere
    return not ends_in_numpy(owner)


def ends_in_numpy(node: ast.AST) -> bool:
    """Whether an expression is an array of NumPy's, as far as it shows: .numpy(), .data, .detach().cpu().numpy() ..."""
    while isinstance(node, (ast.Call, ast.Attribute, ast.Subscript)):
        if isinstance(node, ast.Attribute) and node.attr in ("numpy", "data", "asnumpy", "fetch"):
            return True
        node = node.func if isinstance(node, ast.Call) else node.value
    return False


def makes_var(code: Code, node: ast.AST | None) -> bool:
    """Whether an expression is a call like jt.zeros(...)."""
    return (
        isinstance(node, ast.Call)
        and root_of(node.func) in code.frameworks
        and name_of(node.func) in MAKERS
    )


def is_boolean(code: Code, node: ast.AST, depth: int = 0) -> bool:
    """Whether an expression is a mask, as far as the code shows."""
    if isinstance(node, ast.Compare):
        return not any(isinstance(op, (ast.In, ast.NotIn, ast.Is, ast.IsNot)) for op in node.ops)
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, (ast.Not, ast.Invert))
    if isinstance(node, ast.Call):
        return name_of(node.func) in ("bool", "logical_not", "logical_and", "logical_or", "isnan")
    if isinstance(node, ast.Name):
        value = code.assigned(node) if depth < 3 else None
        if value is not None:
            return is_boolean(code, value, depth + 1)
        return bool(MASKLIKE.search(node.id))
    if isinstance(node, ast.Attribute):
        return bool(MASKLIKE.search(node.attr))
    return False


Found = Iterator[tuple[ast.AST, str, str]]  # node, entry, message


def calls(code: Code) -> Iterator[ast.Call]:
    return (node for node in ast.walk(code.tree) if isinstance(node, ast.Call))


def cumulative(code: Code) -> Found:
    for call in calls(code):
        if name_of(call.func) != "cumsum" or root_of(call.func) in NUMPY:
            continue
        if isinstance(call.func, ast.Attribute) and root_of(call.func.value) in code.frameworks:
            summed = call.args[0] if call.args else None
        else:
            summed = call.func.value if isinstance(call.func, ast.Attribute) else None
        if "dtype" in keywords(call):
            yield (
                call,
                "cumsum-dtype",
                "cumsum takes no dtype; convert before: x.float32().cumsum(...)",
            )
        elif summed is not None and is_boolean(code, summed):
            yield (
                call,
                "cumsum-bool",
                "cumsum of a mask stays boolean; use .int32() or .float32() first",
            )


def resizing(code: Code) -> Found:
    for call in calls(code):
        if name_of(call.func) != "interpolate" or root_of(call.func) == "F":
            continue
        told = {"mode", "*"} & keywords(call) or len(call.args) >= 4
        if not told:
            yield (
                call,
                "interpolate-default",
                "interpolate is bilinear by default, not nearest: say mode=",
            )


def statistics(code: Code) -> Found:
    for call in calls(code):
        told = {"unbiased", "*"} & keywords(call)
        if name_of(call.func) == "var" and is_tensor_method(code, call) and not told:
            yield call, "var-biased", "var divides by n, PyTorch's by n - 1: say unbiased="


def pairs(code: Code) -> Found:
    """Results that are pairs here, or that are not."""
    for call in calls(code):
        name, parent = name_of(call.func), code.parents.get(call)
        if not is_tensor_method(code, call):
            continue
        picked = isinstance(parent, ast.Subscript) and parent.value is call
        names = parent.targets[0] if isinstance(parent, ast.Assign) else None
        unpacked = isinstance(names, ast.Tuple) and len(names.elts) == 2
        if name in ("argmax", "argmin", "argsort") and (call.args or call.keywords):
            used = isinstance(parent, (ast.Compare, ast.BinOp, ast.Attribute)) or (
                isinstance(parent, ast.Subscript) and parent.slice is call
            )
            if used:
                yield call, f"{name}-pair", f"{name} returns (index, value): take [0]"
        if name in ("max", "min") and len(call.args) + len(call.keywords) >= 1:
            by_axis = "dim" in keywords(call) or (
                call.args and isinstance(call.args[-1], (ast.Constant, ast.UnaryOp))
            )
            first = (
                picked and isinstance(parent.slice, ast.Constant) and parent.slice.value in (0, 1)
            )
            wants = isinstance(parent, ast.Attribute) and parent.attr in ("values", "indices")
            if by_axis and (unpacked or wants) and "keepdims" not in keywords(call):
                yield call, "max-pair", f"{name} along an axis returns values only; argmax has both"
            elif by_axis and first and "keepdims" not in keywords(call):
                yield (
                    call,
                    "max-pair",
                    f"{name} along an axis returns values only: [0] takes the first row",
                )


def not_a_number(code: Code) -> Found:
    for node in ast.walk(code.tree):
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            sides = [ast.dump(side) for side in (node.left, node.comparators[0])]
            same = isinstance(node.ops[0], (ast.NotEq, ast.Eq)) and sides[0] == sides[1]
            plain = isinstance(node.left, ast.Constant | ast.Call) or ends_in_numpy(node.left)
            if same and not plain:
                yield node, "nan-self-test", "x != x finds no NaN under fast-math: use jt.isnan"


def optimisers(code: Code) -> Found:
    for node in ast.walk(code.tree):
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            if node.slice.value == "learning_rate" and isinstance(node.ctx, ast.Store):
                message = 'nothing reads "learning_rate": a group\'s key is "lr"'
                yield node, "learning-rate-key", message
            held = (
                isinstance(node.value, ast.Subscript)
                and name_of(node.value.value) == "param_groups"
            )
            if node.slice.value == "lr" and held and isinstance(node.ctx, ast.Load):
                message = 'a group has no "lr" unless one was given: .get("lr", optimizer.lr)'
                yield node, "group-lr-missing", message
    for call in calls(code):
        name, given = name_of(call.func), keywords(call)
        if root_of(call.func) in NUMPY:
            continue
        if name == "AdamW" and not {"weight_decay", "*"} & given and len(call.args) < 5:
            yield (
                call,
                "adamw-default-decay",
                "AdamW's default weight decay is 0, PyTorch's 0.01: say it",
            )
        if name == "MultiStepLR" and call.args:
            yield call, "multi-step-lr", "MultiStepLR drops an epoch later than PyTorch's"
        fourth = call.args[3] if name == "SGD" and len(call.args) >= 4 else None
        if isinstance(fourth, ast.Constant) and fourth.value >= LEAST_DAMPENING:
            yield (
                call,
                "sgd-argument-order",
                "SGD's fourth argument is weight_decay, PyTorch's dampening",
            )


def is_step(name: str, owner: str, call: ast.Call) -> bool:
    """optimizer.step(loss) and optimizer.backward(loss), which differentiate."""
    asks = name == "backward" or (name == "step" and bool(call.args))
    return asks and bool(OPTIMISERLIKE.search(owner)) and "sched" not in owner.lower()


def gradients(code: Code) -> Found:
    for function in ast.walk(code.tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        events = []
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                name, owner = node.func.attr, ast.unparse(node.func.value)
                if name in ("eval", "train") and not node.args:
                    events.append((node.lineno, name, owner, node))
                elif (name == "grad" and root_of(node.func) in code.frameworks) or is_step(
                    name, owner, node
                ):
                    events.append((node.lineno, "grad", owner, node))
        stopped: dict[str, ast.AST] = {}
        for _, name, owner, node in sorted(events, key=lambda e: e[0]):
            if name == "eval":
                stopped[owner] = node
            elif name == "train":
                stopped = {k: v for k, v in stopped.items() if not k.startswith(owner)}
            elif stopped:
                where = next(iter(stopped.values()))
                message = f"eval() stops the gradients asked for in line {node.lineno}"
                yield where, "eval-stops-gradients", message
                stopped = {}


def modules(code: Code) -> Found:
    for call in calls(code):
        name = name_of(call.func)
        if (
            name == "register_buffer"
            and len(call.args) >= 2
            and not any(
                isinstance(n, ast.Attribute) and n.attr == "stop_grad" for n in ast.walk(call)
            )
        ):
            message = "a buffer is a parameter, trained and decayed: hand it in with .stop_grad()"
            yield call, "buffer-is-parameter", message
        is_load = name in ("load_state_dict", "load_parameters") and isinstance(
            call.func, ast.Attribute
        )
        is_load = is_load and root_of(call.func) != "super" and call.args
        if is_load and not OPTIMISERLIKE.search(ast.unparse(call.func.value)):
            yield (
                call,
                "load-missing",
                f"{name} says nothing of missing or misshaped keys: check them",
            )
    for owner in ast.walk(code.tree):
        if not isinstance(owner, ast.ClassDef) or not is_module(owner):
            continue
        for node in ast.walk(owner):
            if isinstance(node, ast.Assign) and is_self_attribute(node.targets[0]):
                yield from attribute(code, node)


def is_module(owner: ast.ClassDef) -> bool:
    return any(name_of(base) == "Module" for base in owner.bases)


def is_self_attribute(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    )


def attribute(code: Code, node: ast.Assign) -> Found:
    name, value = node.targets[0].attr, node.value
    makes_layer = isinstance(value, ast.Call) and root_of(value.func) == "nn"
    if (
        name.startswith("_")
        and not name.startswith("__")
        and (makes_layer or makes_var(code, value))
    ):
        if not makes_layer or name_of(value.func)[:1].isupper():
            message = f"{name} begins with an underscore: neither trained nor saved"
            yield node, "underscore-attribute", message
    elif makes_var(code, value) and BUFFERLIKE.search(name):
        message = f"{name} becomes a parameter, trained and saved: add .stop_grad()"
        yield node, "plain-attribute", message


def arrays(code: Code) -> Found:
    for node in ast.walk(code.tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            yield from assignment(code, node)
    for call in calls(code):
        name, given = name_of(call.func), keywords(call)
        if not isinstance(call.func, ast.Attribute) or root_of(call.func) in NUMPY:
            continue
        if name in ("clamp", "clamp_") and {"min", "max"} & given:
            yield call, "clamp-keywords", "clamp's arguments are min_v and max_v, or positional"
        if name == "clamp_" and isinstance(call.func.value, ast.Subscript):
            yield call, "view-clamp-columns", "clamp_ of a slice changes nothing: assign the result"
        method = root_of(call.func.value) not in code.frameworks and is_tensor_method(code, call)
        if name == "permute" and method and len(call.args) == 2 and not given:
            yield call, "permute-two", "permute with two axes swaps them: permute(0, 1) transposes"
        of_all = name == "softmax" and len(call.args) == 1 and not given
        if of_all and root_of(call.func) in code.frameworks | {"nn"}:
            yield call, "softmax-axis", "softmax without an axis runs over all elements"
        if root_of(call.func) in code.frameworks and name == "nms":
            yield call, "nms-offset", "jt.nms counts pixels with +1"
        if root_of(call.func) in code.frameworks and name == "randperm" and call.args:
            size = call.args[0]
            size = code.assigned(size) if isinstance(size, ast.Name) else size
            if isinstance(size, ast.Call) and name_of(size.func) in ("sum", "max"):
                yield (
                    call,
                    "randperm-of-tensor",
                    "randperm wants a Python integer: int(x.item())",
                )
        if name == "Conv2d" and any(
            k.arg == "padding" and isinstance(k.value, ast.Constant) and k.value.value == "same"
            for k in call.keywords
        ):
            yield call, "conv-same", "padding='same' is not supported"


def assignment(code: Code, node: ast.Assign) -> Found:
    target, value = node.targets[0], node.value
    if isinstance(target.value, ast.Subscript) and isinstance(target.value.value, ast.Name):
        inner = target.value
        sliced = isinstance(inner.slice, (ast.Slice, ast.Tuple, ast.Compare))
        if sliced and makes_var(code, code.assigned(inner.value)):
            yield (
                node,
                "set-chained",
                "assigning into a slice of a slice changes nothing: one index",
            )
    if isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.USub):
        value = value.operand
    is_float = isinstance(value, ast.Constant) and isinstance(value.value, float)
    axis = target.slice
    one_axis = isinstance(axis, (ast.Constant, ast.Name, ast.Slice)) and not (
        isinstance(axis, ast.Slice) and axis.lower is None and axis.upper is None
    )
    if isinstance(axis, ast.Name):  # a loop's counter, not a mask
        one_axis = any(
            isinstance(loop, ast.For)
            and axis.id in {n.id for n in ast.walk(loop.target) if isinstance(n, ast.Name)}
            for loop in ast.walk(code.scope(target))
        )
    if is_float and one_axis and isinstance(target.value, ast.Name):
        made = code.assigned(target.value)
        if makes_var(code, made) and has_axes(made):
            yield node, "set-row-scalar", "sets ONE element of the row: write x[i, :] = ..."


def has_axes(call: ast.Call) -> bool:
    """Whether jt.zeros((a, b)) and the like make two axes or more."""
    shape = call.args[0] if call.args else None
    return (isinstance(shape, (ast.Tuple, ast.List)) and len(shape.elts) > 1) or len(call.args) > 1


def contexts(code: Code) -> Found:
    for node in ast.walk(code.tree):
        if not isinstance(node, ast.With):
            continue
        if not any(
            isinstance(item.context_expr, ast.Call)
            and name_of(item.context_expr.func) == "no_grad"
            and root_of(item.context_expr.func) in code.frameworks
            for item in node.items
        ):
            continue
        for call in (n for n in ast.walk(node) if isinstance(n, ast.Call)):
            name = name_of(call.func)
            if name in ("load_state_dict", "load_parameters") and not OPTIMISERLIKE.search(
                ast.unparse(call.func)
            ):
                yield call, "no-grad-load", "weights loaded under no_grad are frozen for good"


RULES: tuple[Callable[[Code], Found], ...] = (
    *(cumulative, resizing, statistics, pairs, not_a_number, optimisers, gradients, modules),
    *(arrays, contexts),
)


def lint_text(text: str, path: Path = Path("<text>")) -> list[Finding]:
    """Warnings of one file, by line; none when it does not import jittor. SyntaxError when it is not Python."""
    code = Code(text)
    if not code.frameworks:
        return []
    found = {
        Finding(path, node.lineno, entry, message)
        for rule in RULES
        for node, entry, message in rule(code)
        if SILENCED not in code.lines[node.lineno - 1]
    }
    return sorted(found, key=lambda w: (w.line, w.entry))


def lint_path(path: Path) -> tuple[list[Finding], int, list[str]]:
    """Warnings of a file or a folder's files, how many of them use jittor, and those that do not parse."""
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    warnings, count, broken = [], 0, []
    for file in files:
        try:
            text = file.read_text()
            if "jittor" not in text:
                continue
            warnings += lint_text(text, file)
            count += 1
        except (SyntaxError, UnicodeDecodeError) as error:
            broken.append(f"{file}: {error}")
    return warnings, count, broken
