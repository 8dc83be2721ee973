"""Mutants that nobody wrote: every change that the operators know, at every place of a file, and a draw of some.

A mutant is named by where it is and what it is ("neutral/anchors.py:41:8:constant:1"), and made again of that name in
whatever process it is planted. Lines stay where they are, so tracebacks and places in reports are true.
"""

from __future__ import annotations

import ast
import copy
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from parity.mutants import ROOT, install
from parity.mutants.operators import OPERATORS, cuda, kernel
from parity.mutants.sound import SOUND

PLANTING = "parity.mutants.breeding:plant"
TOGETHER = "|"
EVERY = OPERATORS | SOUND
SHOWN = 90  # characters of a piece of code
# what no run depends on: types, messages of errors, how an object prints
IDLE_FIELDS = ("annotation", "returns", "decorator_list", "type_params")
IDLE_FUNCTIONS = ("__repr__", "__str__")


@dataclass(frozen=True)
class Bred:
    """One change of `path`, a file below `root`, on `side` only; `first` and `last` are the lines of its statement."""

    side: str
    file: str
    line: int
    column: int
    operator: str
    number: int  # of the changes of this operator at this place
    function: str = ""
    old: str = ""
    new: str = ""
    first: int = 0
    last: int = 0
    root: Path = field(default=ROOT, compare=False)

    @property
    def name(self) -> str:
        return f"{self.file}:{self.line}:{self.column}:{self.operator}:{self.number}"

    @property
    def path(self) -> Path:
        return self.root / self.file

    @property
    def module(self) -> str:
        parts = Path(self.file).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def lines(self) -> range:
        """Of its statement."""
        return range(self.first, self.last + 1)

    @property
    def text(self) -> str:
        return f"`{self.old}` became `{self.new}`"

    def patched(self) -> ast.Module:
        """The file's tree with the change; ValueError where the file has no such place any more."""
        return grafted([self])

    @property
    def where(self) -> str:
        return f"{self.line}:{self.column}:{self.operator}:{self.number}"


def named(name: str, side: str = "", root: Path = ROOT) -> Bred:
    """The mutant of a name; ValueError when it is none."""
    if not re.fullmatch(r"[^:]+:\d+:\d+:[a-z]+:\d+", name):
        raise ValueError(f"{name!r} is no mutant's name: FILE:LINE:COLUMN:OPERATOR:NUMBER")
    file = name.partition(":")[0]
    if not (root / file).is_file():
        raise ValueError(f"mutant {name}: there is no file {file}")
    found = [m for m in bred(file, side, root, EVERY) if m.name == name]
    if not found:
        raise ValueError(f"mutant {name}: there is no such place in {file}")
    return found[0]


def grafted(mutants: Sequence[Bred]) -> ast.Module:
    """The tree of their one file with all changes; ValueError where it has no such place any more."""
    found = {c.name: c for c in changes(copy.deepcopy(parsed(mutants[0].path)))}
    for mutant in mutants:
        if mutant.where not in found:
            raise ValueError(f"mutant {mutant.name}: there is no such place in {mutant.file}")
        tree = found[mutant.where].apply()
    return tree


@dataclass(frozen=True)
class Graft:
    """Several changes of one module, as `install` takes them."""

    mutants: tuple[Bred, ...]

    @property
    def name(self) -> str:
        return TOGETHER.join(m.name for m in self.mutants)

    @property
    def module(self) -> str:
        return self.mutants[0].module

    @property
    def path(self) -> Path:
        return self.mutants[0].path

    def patched(self) -> ast.Module:
        return grafted(self.mutants)


def plant(names: str) -> None:
    """A preload: this process gets the mutants of these names, with TOGETHER between them."""
    by_file: dict[str, list[Bred]] = {}
    for name in names.split(TOGETHER):
        by_file.setdefault(name.partition(":")[0], []).append(named(name))
    for mutants in by_file.values():
        install(Graft(tuple(mutants)))


@dataclass
class Change:
    """`new` for `old` in a tree that is this change's own to spoil."""

    tree: ast.Module
    parent: ast.AST
    field: str
    index: int | None
    old: ast.AST
    new: ast.AST
    operator: str
    number: int
    function: str
    statement: ast.AST

    @property
    def name(self) -> str:
        return f"{self.old.lineno}:{self.old.col_offset}:{self.operator}:{self.number}"

    def apply(self) -> ast.Module:
        new = ast.copy_location(self.new, self.old)
        if self.index is None:
            setattr(self.parent, self.field, new)
        else:
            getattr(self.parent, self.field)[self.index] = new
        return ast.fix_missing_locations(self.tree)


@lru_cache(maxsize=256)
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def places(
    node: ast.AST, function: str = "", statement: ast.AST | None = None
) -> Iterator[tuple[ast.AST, str, int | None, ast.AST, str, ast.AST]]:
    """(parent, field, index, node, function, statement) of all that runs in a tree, in the order of the text."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        function = f"{function}.{node.name}".lstrip(".")
        if node.name in IDLE_FUNCTIONS:
            return
    for name, value in ast.iter_fields(node):
        if name in IDLE_FIELDS:
            continue
        for index, child in enumerate(value) if isinstance(value, list) else ((None, value),):
            if not isinstance(child, ast.AST) or is_idle(child):
                continue
            inner = child if isinstance(child, (ast.stmt, ast.excepthandler)) else statement
            if hasattr(child, "lineno"):
                yield node, name, index, child, function, inner
            yield from places(child, function, inner)


def is_idle(node: ast.AST) -> bool:
    """Docstrings, imports, and what is raised: its text is nobody's result."""
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return text or isinstance(node, (ast.Import, ast.ImportFrom, ast.Raise, ast.JoinedStr))


def changes(tree: ast.Module, operators: Mapping = EVERY) -> Iterator[Change]:
    """Every change of a tree. Two at one place of one operator have numbers of their own."""
    counts: dict[tuple, int] = {}
    for parent, name, index, node, function, statement in list(places(tree)):
        for operator, make in operators.items():
            for new in make(node):
                key = (node.lineno, node.col_offset, operator)
                number = counts[key] = counts.get(key, -1) + 1
                yield Change(
                    *(tree, parent, name, index, node, new, operator, number, function, statement)
                )


def bred(file: str, side: str, root: Path = ROOT, operators: Mapping = OPERATORS) -> list[Bred]:
    """All mutants of a file below `root`."""
    found = []
    for change in changes(parsed(root / file), operators):
        statement = change.statement
        body = getattr(statement, "body", None)  # of a block its head only
        last = body[0].lineno - 1 if isinstance(body, list) and body else statement.end_lineno
        old, new = (shortened(x) for x in texts(change.old, change.new))
        found.append(
            Bred(
                *(side, file, change.old.lineno, change.old.col_offset),
                *(change.operator, change.number, change.function, old, new),
                *(statement.lineno, max(last, statement.lineno), root),
            )
        )
    return [m for m in found if m.old != m.new]


def texts(old: ast.AST, new: ast.AST) -> tuple[str, str]:
    """Both pieces of code; of long strings the line that differs."""
    if isinstance(old, ast.Constant) and isinstance(old.value, str) and "\n" in old.value:
        lines = zip(old.value.split("\n"), new.value.split("\n"))
        return next((a, b) for a, b in lines if a != b)
    return ast.unparse(old), ast.unparse(new)


def shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 4]} ..."


def draw(found: Mapping[str, list[Bred]], count: int, seed: int) -> list[Bred]:
    """`count` mutants, one after the other from each file, larger files oftener: the same for the same seed.

    Every file has a turn before any has a second one. Within a file an operator is drawn first, then one of its
    mutants, so that the many constants do not crowd out the few reductions. No two are of one place and operator.
    """
    rng = random.Random(seed)
    left = {file: list(mutants) for file, mutants in sorted(found.items()) if mutants}
    sizes = {file: len(mutants) for file, mutants in left.items()}
    chosen: list[Bred] = []
    turn = rng.sample(list(left), len(left))
    while left and len(chosen) < count:
        file = turn.pop() if turn else rng.choices(list(left), [sizes[f] ** 0.5 for f in left])[0]
        by_operator = grouped(left[file])
        mutant = rng.choice(by_operator[rng.choice(sorted(by_operator))])
        chosen.append(mutant)
        left[file] = [m for m in left[file] if place_of(m) != place_of(mutant)]
        left = {f: m for f, m in left.items() if m}
    return chosen


def place_of(mutant: Bred) -> tuple:
    """Where it is; in a string of C++ every change has a place of its own."""
    is_code = mutant.operator in (kernel.__name__, cuda.__name__)
    inside = mutant.number if is_code else 0
    return mutant.file, mutant.line, mutant.column, mutant.operator, inside


def grouped(mutants: Iterable[Bred]) -> dict[str, list[Bred]]:
    found: dict[str, list[Bred]] = {}
    for mutant in mutants:
        found.setdefault(mutant.operator, []).append(mutant)
    return found
