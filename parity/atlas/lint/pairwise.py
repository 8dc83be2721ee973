"""Both halves of a port side by side: functions and classes aligned by name, and what differs in what they do.

Told are, for each pair: defaults of parameters, numbers and strings in the code, calls of the reference that the port
never makes, branches and loops that it lacks, and the order of the calls that both make. Names of the frameworks'
operations are put into one vocabulary first (vocabulary.py), so that a translation is no difference.
"""

from __future__ import annotations

import ast
import difflib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from parity.atlas.lint.finding import Finding
from parity.atlas.lint.run import python_files, unreadable
from parity.atlas.lint.source import constant, name_of, read_source
from parity.atlas.lint.vocabulary import (
    IGNORED_CALLS,
    IGNORED_NUMBERS,
    common_call,
    common_name,
)
from parity.errors import InputError

STRUCTURE = {
    "branches": (ast.If, ast.IfExp),
    "loops": (ast.For, ast.While),
    "checks": (ast.Raise, ast.Assert),
}
LEAST_ALIKE = 0.6  # of two names that differ, for a pair
LEAST_SHARED = 3  # calls that both make, before their order means anything


@dataclass
class Part:
    """A function or method of a file: `name` is "Class.method"."""

    name: str
    path: Path
    node: ast.FunctionDef
    calls: list[tuple[str, ast.Call]] = field(default_factory=list)


def compare(reference: Path, port: Path) -> tuple[list[Finding], int]:
    """Differences, by place in the port, and how many functions were compared. InputError without functions."""
    broken: list[Finding] = []
    sides = [list(parts_of(path, broken)) for path in (reference, port)]
    for path, parts in zip((reference, port), sides, strict=True):
        if not parts and not broken:
            raise InputError(f"{path}: no functions in Python files there")
    pairs = aligned(*sides)
    found = [finding for a, b in pairs for finding in differences(a, b)]
    found += absent(sides[0], pairs)
    return sorted({*broken, *found}), len(pairs)


def parts_of(path: Path, broken: list[Finding]) -> Iterator[Part]:
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    for file in [path] if path.is_file() else python_files(path):
        try:
            tree = ast.parse(read_source(file))
        except (SyntaxError, ValueError, OSError, RecursionError, MemoryError) as error:
            broken.append(unreadable(file, error))
            continue
        yield from functions(tree, file, "")


def functions(node: ast.AST, path: Path, prefix: str) -> Iterator[Part]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield Part(prefix + common_name(child.name), path, child, calls_of(child))
        elif isinstance(child, ast.ClassDef):
            yield from functions(child, path, f"{prefix}{child.name}.")
        elif isinstance(child, (ast.If, ast.Try)):
            yield from functions(child, path, prefix)


def calls_of(node: ast.AST) -> list[tuple[str, ast.Call]]:
    """Calls in the order of the text, in the common vocabulary."""
    calls = [n for n in ast.walk(node) if isinstance(n, ast.Call) and name_of(n.func)]
    calls.sort(key=lambda n: (n.end_lineno, n.end_col_offset))
    named = [(common_call(name_of(c.func)), c) for c in calls]
    return [(name, call) for name, call in named if name not in IGNORED_CALLS]


def aligned(reference: list[Part], port: list[Part]) -> list[tuple[Part, Part]]:
    """By name; then what is left by alike names, of classes and files alike as well."""
    pairs, left = [], list(port)
    for part in reference:
        same = [p for p in left if p.name == part.name]
        if same:
            best = max(same, key=lambda p: (p.path.stem == part.path.stem, similar(p, part)))
            pairs.append((part, best))
            left.remove(best)
    paired = {id(a) for a, _ in pairs}
    for part in (p for p in reference if id(p) not in paired):
        near = max(left, key=lambda p: similar(p, part), default=None)
        if near is not None and similar(near, part) >= LEAST_ALIKE and alike(near, part):
            pairs.append((part, near))
            left.remove(near)
    return pairs


def similar(a: Part, b: Part) -> float:
    """0 to 1: how much of the calls is the same."""
    left, right = Counter(n for n, _ in a.calls), Counter(n for n, _ in b.calls)
    total = max(left.total(), right.total())
    return (left & right).total() / total if total else 0.0


def alike(a: Part, b: Part) -> bool:
    return difflib.SequenceMatcher(None, a.name.lower(), b.name.lower()).ratio() >= LEAST_ALIKE


def differences(reference: Part, port: Part) -> Iterator[Finding]:
    yield from defaults(reference, port)
    yield from literals(reference, port)
    yield from missing_calls(reference, port)
    yield from branches(reference, port)
    yield from order(reference, port)


def at(port: Part, node: ast.AST | None, entry: str, message: str) -> Finding:
    node = node or port.node
    return Finding(port.path, node.lineno, node.col_offset + 1, entry, f"{port.name}: {message}")


def defaults(reference: Part, port: Part) -> Iterator[Finding]:
    left, right = (parameters(p.node.args) for p in (reference, port))
    for name in left.keys() & right.keys():
        a, b = (ast.unparse(x) if x is not None else "none" for x in (left[name], right[name]))
        if a != b and constant(left[name]) != constant(right[name]):
            message = f"default of {name} is {b}, the reference has {a}"
            yield at(port, right[name], "pair-default", message)


def parameters(node: ast.arguments) -> dict[str, ast.AST | None]:
    given = [*node.posonlyargs, *node.args]
    values = [None] * (len(given) - len(node.defaults)) + list(node.defaults)
    found = {a.arg: v for a, v in zip(given, values, strict=True)}
    return found | {a.arg: v for a, v in zip(node.kwonlyargs, node.kw_defaults, strict=True)}


def literals(reference: Part, port: Part) -> Iterator[Finding]:
    """Numbers that one side has and the other has not."""
    left, right = (numbers(p.node) for p in (reference, port))
    lost = [v for v in left if v not in right]
    new = [v for v in right if v not in left]
    if lost and new:
        said = ", ".join(map(str, lost[:4])), ", ".join(map(str, new[:4]))
        message = f"has the numbers {said[1]} where the reference has {said[0]}"
        yield at(port, right[new[0]], "pair-constant", message)
    elif lost:
        yield at(
            port,
            None,
            "pair-constant",
            f"the reference's {', '.join(map(str, lost[:4]))} is not there",
        )


def numbers(node: ast.FunctionDef) -> dict[float, ast.AST]:
    skipped = {
        id(n)
        for default in [*node.args.defaults, *node.args.kw_defaults]
        if default
        for n in ast.walk(default)
    }
    found = {}
    for child in ast.walk(node):
        value = child.value if isinstance(child, ast.Constant) else None
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if is_number and id(child) not in skipped and value not in IGNORED_NUMBERS:
            found.setdefault(float(value) if isinstance(value, float) else value, child)
    return found


def missing_calls(reference: Part, port: Part) -> Iterator[Finding]:
    made = {name for name, _ in port.calls}
    told = set()
    for name, call in reference.calls:
        if name not in made and name not in told:
            told.add(name)
            text = ast.unparse(call.func)
            message = f"the reference calls {text}() (line {call.lineno}), the port never does"
            yield at(port, None, "pair-call", message)


def branches(reference: Part, port: Part) -> Iterator[Finding]:
    for kinds, word in (
        ((ast.If, ast.IfExp), "branches"),
        ((ast.For, ast.While), "loops"),
        ((ast.Raise, ast.Assert), "checks"),
    ):
        counts = [sum(isinstance(n, kinds) for n in ast.walk(p.node)) for p in (reference, port)]
        if counts[1] < counts[0]:
            message = f"{counts[1]} {word}, the reference has {counts[0]}"
            yield at(port, None, "pair-branch", message)


def order(reference: Part, port: Part) -> Iterator[Finding]:
    """Of calls that each side makes once."""
    once = [
        {n for n, c in Counter(n for n, _ in p.calls).items() if c == 1} for p in (reference, port)
    ]
    shared = once[0] & once[1]
    left, right = ([n for n, _ in p.calls if n in shared] for p in (reference, port))
    if len(shared) >= LEAST_SHARED and left != right:
        place = next(i for i, (a, b) in enumerate(zip(left, right, strict=True)) if a != b)
        call = dict(port.calls)[right[place]]
        message = f"calls {right[place]} where the reference calls {left[place]}"
        yield at(port, call, "pair-order", message)


def absent(reference: list[Part], pairs: list[tuple[Part, Part]]) -> Iterator[Finding]:
    """Functions of the reference that the port has not, in files that it has."""
    paired = {id(a) for a, _ in pairs}
    files = {a.path: b.path for a, b in pairs}
    for part in reference:
        if id(part) not in paired and part.path in files and part.name[-2:] != "__":
            message = f"the reference has {part.name} (line {part.node.lineno}), the port has not"
            yield Finding(files[part.path], 1, 1, "pair-function", message)
