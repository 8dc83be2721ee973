"""What a rule works on: a file's source, its values, and its operations on arrays."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from parity.atlas.lint.finding import WARNING, Edit, Finding
from parity.atlas.lint.kinds import NOTHING, PARAMETER, VAR, Value
from parity.atlas.lint.program import Program, bound
from parity.atlas.lint.source import FUNCTIONS, Source, keyword, name_of
from parity.atlas.lint.values import Flow

FUNCTION_SPACES = {
    "jittor",
    "jittor.nn",
    "jittor.misc",
    "jittor.core",
    "jittor.Var",
    "jittor.linalg",
}


@dataclass(frozen=True)
class Operation:
    """x.name(...), jt.name(x, ...) or nn.name(x, ...): `given` without x. sure: x is a Var, the code shows it."""

    name: str
    call: ast.Call
    x: ast.AST | None
    given: list[ast.AST]
    sure: bool
    is_method: bool

    def at(self, place: int, *names: str) -> ast.AST | None:
        """The argument at this place behind x, or by one of these names."""
        if len(self.given) > place:
            return self.given[place]
        found = keyword(self.call, *names)
        return found.value if found else None


class Code:
    """patched: names of jittor's that the program sets itself; sets: its data sets, and whether their own __len__
    counts items; program: its files; files: those that were read. All are of this file, until run.py gives it those of
    the whole program."""

    def __init__(self, text: str, path: Path = Path("<text>"), stars: dict | None = None):
        """stars: names that `import *` of the program's own files brings, with what they mean."""
        self.source = Source(text, stars or {})
        self._every: dict[tuple[type, ...], list] = {}
        self.path = path
        self.flow = Flow(self.source)
        self.patched = {
            self.source.dotted(node)
            for node in self.every(ast.Attribute)
            if isinstance(node.ctx, ast.Store) and self.source.dotted(node)
        }
        self._within: dict[ast.AST, list[ast.AST]] = {}
        self.sets = dict(self._sets())
        self.program = Program({path: text}, {path: self.source.tree})
        self.files = [self]
        self._stores: dict[ast.AST, list[ast.Name]] = {}
        self._taken: dict[ast.AST, set[str]] = {}

    def _sets(self) -> Iterator[tuple[str, bool]]:
        for node in self.every(ast.ClassDef):
            paths = [self.source.dotted(base) for base in node.bases]
            own = [n for n in node.body if getattr(n, "name", "") == "__len__"]
            if any(p.startswith("jittor.dataset") and p.endswith("Dataset") for p in paths):
                batches = any(re.search("batch|super", ast.unparse(n)) for n in own)
                yield node.name, bool(own) and not batches
            elif own and node.name.endswith("Loader") and not hands_on(own[0]):
                yield node.name, False

    def found(
        self,
        node: ast.AST,
        entry: str,
        message: str,
        *edits: Edit,
        level: str = WARNING,
    ) -> Finding:
        return Finding(
            self.path,
            node.lineno,
            node.col_offset + 1,
            entry,
            message,
            level,
            node.end_lineno,
            node.end_col_offset + 1,
            edits,
        )

    def of(self, node: ast.AST | None) -> Value:
        return self.flow.of(node)

    @cached_property
    def names(self) -> set[str]:
        """The last words of all names and attributes in the file."""
        return {name_of(node) for node in self.every(ast.Name, ast.Attribute)}

    @cached_property
    def imported(self) -> set[str]:
        """Last parts of the modules that it imports from, or imports."""
        names = {
            name
            for node in self.every(ast.Import, ast.ImportFrom)
            for name in [getattr(node, "module", None) or "", *(a.name for a in node.names)]
        }
        return {name.rpartition(".")[2] for name in names}

    @cached_property
    def attributes_set(self) -> set[str]:
        """Attributes that the file sets on anything, and names that its classes bind."""
        names = {n.attr for n in self.every(ast.Attribute) if not isinstance(n.ctx, ast.Load)}
        bodies = (n for owner in self.every(ast.ClassDef) for n in owner.body)
        return names | {name for name, _ in bound(list(bodies))}

    @cached_property
    def sets_outside(self) -> set[str]:
        """Attributes that the file sets on what is not called self."""
        return {
            node.attr
            for node in self.every(ast.Attribute)
            if not isinstance(node.ctx, ast.Load) and not is_self(node.value)
        }

    @property
    def nodes(self) -> list[ast.AST]:
        return self.source.nodes

    @cached_property
    def callers(self) -> dict[str, list[ast.Call]]:
        """Calls of plain names, by the name."""
        found: dict[str, list[ast.Call]] = {}
        for call in self.every(ast.Call):
            found.setdefault(getattr(call.func, "id", ""), []).append(call)
        return found

    def within(self, scope: ast.AST) -> list[ast.AST]:
        if scope not in self._within:
            self._within[scope] = self.source.walk(scope)
        return self._within[scope]

    def taken(self, function: ast.AST) -> set[str]:
        """Names of arguments, variables, imports and of what else is defined within a function."""
        if function not in self._taken:
            parts = (names_of(n) for n in self.within(function) if n is not function)
            self._taken[function] = set().union(*parts)
        return self._taken[function]

    def stores(self, scope: ast.AST) -> list[ast.Name]:
        """Names that something within a node assigns or deletes."""
        if scope not in self._stores:
            names = (n for n in self.within(scope) if isinstance(n, ast.Name))
            self._stores[scope] = [n for n in names if not isinstance(n.ctx, ast.Load)]
        return self._stores[scope]

    def every(self, *kinds: type) -> list:
        if kinds not in self._every:
            self._every[kinds] = [node for node in self.nodes if isinstance(node, kinds)]
        return self._every[kinds]

    @cached_property
    def bodies(self) -> list[list[ast.AST]]:
        """What stands in each function, and what stands in none."""
        loose = [n for n in self.nodes if self.source.scope(n) is self.source.tree]
        return [loose, *(self.within(n) for n in self.every(ast.FunctionDef))]

    @cached_property
    def operations(self) -> list[Operation]:
        """Operations on what is, or may well be, a Var."""
        return [found for call in self.every(ast.Call) if (found := self._operation(call))]

    def named(self, *names: str) -> Iterator[Operation]:
        return (o for o in self.operations if o.name in names)

    def _operation(self, call: ast.Call) -> Operation | None:
        path = self.source.dotted(call.func)
        if path:
            space, _, name = path.rpartition(".")
            if space not in FUNCTION_SPACES:
                return None
            x = call.args[0] if call.args else None
            return Operation(name, call, x, call.args[1:], True, False)
        if not isinstance(call.func, ast.Attribute) or not self.may_be_var(call.func.value):
            return None
        sure = self.of(call.func.value).kind in (VAR, PARAMETER)
        return Operation(call.func.attr, call, call.func.value, call.args, sure, True)

    def called(self, call: ast.Call) -> list[str]:
        """Dotted paths of what a call may call: by its name, or by a name that its function gives to one of several:
        `pool = nn.avg_pool2d`."""
        path, func = self.source.dotted(call.func), call.func
        if path or not isinstance(func, ast.Name):
            return [path] if path else []
        held = [
            n.value
            for n in self.within(self.source.scope(call))
            if isinstance(n, ast.Assign)
            and any(isinstance(t, ast.Name) and t.id == func.id for t in n.targets)
        ]
        paths = [self.source.dotted(value) for value in held]
        return paths if all(paths) else []

    def is_var(self, node: ast.AST | None) -> bool:
        return self.of(node).kind in (VAR, PARAMETER)

    def may_be_var(self, node: ast.AST | None) -> bool:
        """Whether it is a Var, or nothing is known of it and the code around it speaks to Jittor."""
        value = self.of(node)
        if value.kind or value.is_pair:
            return value.kind in (VAR, PARAMETER)
        if root_of(node) in ("torch", "torchvision"):
            return False  # imported or not
        if isinstance(node, ast.Attribute) and node.attr == "data":
            return False  # NumPy's, of a Var
        return node is not None and self.speaks_jittor(node)

    def speaks_jittor(self, node: ast.AST) -> bool:
        """Whether code of this place is Jittor's: its function names Jittor, or its class, or nobody else is named."""
        scope: ast.AST | None = node
        while scope is not None:
            scope = self.source.enclosing(scope, (*FUNCTIONS, ast.ClassDef))
            named = self.source.mentions(scope or self.source.tree)
            foreign = {"torch", "torchvision"} & named
            if "jittor" in named:
                return not foreign
            if foreign or (isinstance(scope, FUNCTIONS) and "numpy" in named):
                return False
        return self.source.uses_jittor and not self.source.uses_torch

    def parent(self, node: ast.AST) -> ast.AST | None:
        return self.source.parents.get(node)

    def is_boolean(self, node: ast.AST | None) -> bool:
        value = self.of(node)
        return value.dtype == "bool" and value.kind in (VAR, "")

    def loads(self, scope: ast.AST, name: str, after_line: int) -> Iterator[ast.Name]:
        """Where a name is read behind a line, in order."""
        reads = (
            n
            for n in self.within(scope)
            if isinstance(n, ast.Name)
            and n.id == name
            and isinstance(n.ctx, ast.Load)
            and n.lineno > after_line
        )
        return iter(sorted(reads, key=lambda n: (n.lineno, n.col_offset)))

    def module_classes(self) -> Iterator[ast.ClassDef]:
        """Classes of the file that are Jittor modules."""
        for node in self.every(ast.ClassDef):
            if self.flow.classes.get(node.name, NOTHING).kind == "module":
                yield node


def names_of(node: ast.AST) -> set[str]:
    """What a node gives a name to."""
    if isinstance(node, ast.arg):
        return {node.arg}
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return {node.id}
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return {getattr(node, "name", "")}
    imported = isinstance(node, (ast.Import, ast.ImportFrom))
    return {a.asname or a.name for a in node.names} if imported else set()


def is_self(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def root_of(node: ast.AST | None) -> str:
    """ "torch" of torch.nn.functional."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def hands_on(length: ast.FunctionDef) -> bool:
    """return len(self.loader): a wrapper, which counts what is in it."""
    last = length.body[-1]
    value = last.value if isinstance(last, ast.Return) else None
    return isinstance(value, ast.Call) and ast.unparse(value.func) == "len"
