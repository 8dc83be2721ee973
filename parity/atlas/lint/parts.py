"""The functions of one side's files, with what they call in the vocabulary of both frameworks."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from parity.atlas.lint.finding import Finding
from parity.atlas.lint.run import python_files, unreadable
from parity.atlas.lint.source import constant, name_of, read_source
from parity.atlas.lint.vocabulary import (
    FUNCTIONS,
    IGNORED_CALLS,
    TWO_ARRAYS,
    common_call,
    common_name,
)
from parity.errors import InputError

BOUNDS = {"min_v": "min", "max_v": "max"}
FAR = 1e4
FRAMEWORKS = ("torch", "jt", "jittor", "nn", "F", "np")


@dataclass
class Part:
    """A function or method of a file: `name` is "Class.method". layers: by attribute of the class, the layers that its
    constructor puts there, in the common vocabulary; made: all operations whose layers its class makes anywhere."""

    name: str
    path: Path
    node: ast.FunctionDef
    calls: list[tuple[str, ast.Call]] = field(default_factory=list)
    layers: dict[str, str] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)

    def does(self) -> Counter[str]:
        """Operations, those of layers among them."""
        own = Counter(name for name, _ in self.calls)
        for name, call in self.calls:
            if isinstance(call.func, ast.Attribute) and name_of(call.func.value) == "self":
                own[self.layers.get(name, name)] += name in self.layers
        return own


@dataclass
class Whole:
    """All of one side: how often it does what, its numbers wherever they stand, its own classes, and the attributes
    that are frozen or are no parameters."""

    does: Counter[str] = field(default_factory=Counter)
    bounds: set[str] = field(default_factory=set)
    numbers: set[float] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)
    frozen: set[str] = field(default_factory=set)


def whole(parts: list[Part]) -> Whole:
    found = Whole()
    for part in parts:
        found.does += part.does()
        found.bounds |= {limits(call) for name, call in part.calls if name == "clamp"}
    for path in {part.path for part in parts}:
        for node in ast.walk(ast.parse(read_source(path))):
            if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
                found.numbers.add(node.value)
            elif isinstance(node, ast.ClassDef):
                found.classes.add(node.name)
            else:
                found.frozen |= frozen(node)
    return found


def frozen(node: ast.AST) -> set[str]:
    """{"table"} of self.table = Parameter(x, requires_grad=False), register_buffer("table", x), table.stop_grad() and
    table.requires_grad = False."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr == "register_buffer" and node.args:
            name = constant(node.args[0])
            return {name} if isinstance(name, str) else set()
        return {name_of(node.func.value)} if node.func.attr in ("stop_grad", "detach") else set()
    if not isinstance(node, ast.Assign):
        return set()
    target, value = node.targets[0], node.value
    if isinstance(target, ast.Attribute) and target.attr == "requires_grad":
        return {name_of(target.value)} if constant(value) is False else set()
    stops = isinstance(value, ast.Call) and (
        any(k.arg == "requires_grad" and constant(k.value) is False for k in value.keywords)
        or name_of(value.func) in ("stop_grad", "detach")
    )
    return {name_of(target)} if stops else set()


def parts_of(path: Path, broken: list[Finding]) -> Iterator[Part]:
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    yield from parts_in([path] if path.is_file() else python_files(path), broken)


def parts_in(files: Iterable[Path], broken: list[Finding]) -> Iterator[Part]:
    for file in files:
        try:
            tree = ast.parse(read_source(file))
        except (SyntaxError, ValueError, OSError, RecursionError, MemoryError) as error:
            broken.append(unreadable(file, error))
            continue
        yield from functions(tree, file, "")


def functions(
    node: ast.AST, path: Path, prefix: str, layers: dict | None = None, made: set | None = None
) -> Iterator[Part]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            name = prefix + common_name(child.name)
            yield Part(name, path, child, calls_of(child), layers or {}, made or set())
        elif isinstance(child, ast.ClassDef):
            made = {name for name, _ in calls_of(child) if name in FUNCTIONS.values()}
            yield from functions(child, path, f"{prefix}{child.name}.", layers_of(child), made)
        elif isinstance(child, (ast.If, ast.Try)):
            yield from functions(child, path, prefix, layers, made)


def layers_of(node: ast.ClassDef) -> dict[str, str]:
    """{"act": "relu"} of a class with self.act = nn.ReLU()."""
    found = {}
    for child in ast.walk(node):
        if not isinstance(child, ast.Assign) or not isinstance(child.value, ast.Call):
            continue
        name = called(child.value)
        for target in child.targets:
            if isinstance(target, ast.Attribute) and name in FUNCTIONS.values():
                found[target.attr] = name
    return found


def calls_of(node: ast.AST) -> list[tuple[str, ast.Call]]:
    """Calls in the order in which they end, in the common vocabulary; nn.Sigmoid()(x) is one."""
    calls = [n for n in ast.walk(node) if isinstance(n, ast.Call)]
    applied = {id(n.func) for n in calls if isinstance(n.func, ast.Call)}
    calls = [n for n in calls if id(n) not in applied and name_of(maker(n).func)]
    calls.sort(key=lambda n: (n.end_lineno, n.end_col_offset))
    named = [(called(maker(c)), c) for c in calls]
    return [(name, call) for name, call in named if name not in IGNORED_CALLS]


def maker(call: ast.Call) -> ast.Call:
    return call.func if isinstance(call.func, ast.Call) else call


def called(call: ast.Call) -> str:
    """What a call does, in the common vocabulary."""
    name = common_call(name_of(call.func))
    if name in ("Pool", "pool", "pool2d"):
        given = [constant(k.value) for k in call.keywords if k.arg == "op"]
        place = 7 if name == "Pool" else 2
        given += [constant(a) for a in call.args[place : place + 1]]
        return "avg_pool" if "mean" in given else "max_pool"
    if name in TWO_ARRAYS and len(call.args) == 2 and not call.keywords and is_array(call.args[1]):
        return TWO_ARRAYS[name]
    if name == "step" and isinstance(call.func, ast.Attribute):
        return f"{'scheduler' if 'sched' in name_of(call.func.value) else 'optimiser'}.step"
    return name


def limits(call: ast.Call) -> str:
    """ "min=0, max=1", however they are given; "" where they cannot be told."""
    given = list(call.args)
    if isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) in FRAMEWORKS:
        given = given[1:]
    found = dict(zip(("min", "max"), given))
    found |= {BOUNDS.get(k.arg, k.arg): k.value for k in call.keywords if k.arg}
    told = {name: found[name] for name in ("min", "max") if name in found}
    values = {name: constant(node) for name, node in told.items()}
    return ", ".join(
        f"{name}={ast.unparse(node) if values[name] is None else float(values[name])}"
        for name, node in told.items()
        if ast.unparse(node) != "None" and not is_far(values[name])
    )


def is_far(value: object) -> bool:
    """A bound that nothing reaches: Jittor's clamp once wanted both."""
    return isinstance(value, (int, float)) and abs(value) >= FAR


def is_array(node: ast.AST) -> bool:
    """Of the second argument of max and min: an array, where a number would be an axis."""
    return not isinstance(constant(node), (int, tuple, list))
