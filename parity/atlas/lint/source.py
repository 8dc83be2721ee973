"""A Python file as Python reads it: its text, its names' meaning, and the comments that silence findings."""

from __future__ import annotations

import ast
import builtins
import io
import re
import tokenize
import warnings
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

SILENT = re.compile(
    r"#.*?\b(?:noqa|atlas:\s*ok)\b(?::\s*(?P<entries>[\w-]+(?:[,\s]+[\w-]+)*))?", re.I
)
WHOLE_FILE = re.compile(r"#\s*(?:atlas|ruff|flake8):\s*noqa\s*$", re.I)
MOST_BYTES = 20_000_000  # of a file; its tree takes fifty times as much memory
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
HANDED_ON = {"jt": "jittor", "nn": "jittor.nn", "init": "jittor.init", "optim": "jittor.optim"}
OF_MODULES = {  # what a file or a notebook has without a word
    *("__file__", "__path__", "__class__", "__annotations__", "get_ipython", "display", "profile"),
    *("WindowsError", "__IPYTHON__", "reveal_type"),
}
GUARDS = {
    "NameError",
    "AttributeError",
    "ImportError",
    "ModuleNotFoundError",
    "TypeError",
    "Exception",
    "",
}


def read_source(path: Path) -> str:
    """The text, by its coding line or byte order mark; SyntaxError, ValueError or OSError otherwise."""
    if not path.is_file() and path.exists():
        raise ValueError("no regular file")  # a pipe would wait for ever
    if (size := path.stat().st_size) > MOST_BYTES:
        raise ValueError(f"{size:,} bytes, more than {MOST_BYTES:,}")
    with tokenize.open(path) as file:
        return file.read()


class Source:
    """A parsed file: every node's parent, what names were imported, which lines are silenced."""

    def __init__(self, text: str, stars: dict[str, str]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of invalid escapes in somebody else's strings
            self.tree = ast.parse(text)
        self.text = text
        self.parents: dict[ast.AST, ast.AST] = {}
        self.nodes: list[ast.AST] = [self.tree]  # as ast.walk gives them
        self._children: dict[ast.AST, list[ast.AST]] = {}
        for node in self.nodes:
            inner = self._children[node] = list(ast.iter_child_nodes(node))
            self.nodes += inner
            self.parents.update(dict.fromkeys(inner, node))
        self.imports = stars | dict(self._imports())
        self.rebound: dict[tuple[str, ast.AST], int] = {}
        for key, line in self._rebound():
            self.rebound[key] = min(line, self.rebound.get(key, line))
        self.frameworks = {name.split(".")[0] for name in self.imports.values()}
        self.silenced, self.silent = self._silenced()
        self._mentions: dict[ast.AST, set[str]] = {}

    def children(self, node: ast.AST) -> list[ast.AST]:
        return self._children[node]

    def walk(self, scope: ast.AST) -> list[ast.AST]:
        """What ast.walk gives of a node of this file, many times as fast."""
        found = [scope]
        for node in found:
            found += self._children[node]
        return found

    @property
    def uses_jittor(self) -> bool:
        return "jittor" in self.frameworks

    @property
    def uses_torch(self) -> bool:
        return bool({"torch", "torchvision"} & self.frameworks)

    def _imports(self) -> Iterator[tuple[str, str]]:
        """(name in this file, dotted path) of all imports, wherever they stand."""
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    whole, first = alias.name, alias.name.split(".")[0]
                    yield (alias.asname, whole) if alias.asname else (first, first)
            elif isinstance(node, ast.ImportFrom):
                names = {alias.name for alias in node.names}
                for alias in node.names:
                    if "jt" in names and alias.name in HANDED_ON:  # by a module of the port's own
                        yield alias.asname or alias.name, HANDED_ON[alias.name]
                    elif node.module and not node.level:
                        yield alias.asname or alias.name, f"{node.module}.{alias.name}"

    def _rebound(self) -> Iterator[tuple[tuple[str, ast.AST], int]]:
        """((name of an import, function or module), line) from which on the name means something else there.

        A guarded import's `jt = None` and an alias of the same thing mean nothing else.
        """
        for node in self.nodes:
            if isinstance(node, ast.arg) and node.arg in self.imports:
                yield (node.arg, self.scope(node)), 0
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                statement = self.enclosing(node, (ast.stmt,))
                value = getattr(statement, "value", None)
                aliased = isinstance(value, (ast.Name, ast.Attribute, ast.Constant))
                guarded = self.enclosing(node, (ast.Try, ast.If))
                of_class = isinstance(
                    self.enclosing(node, (*FUNCTIONS, ast.ClassDef)), ast.ClassDef
                )
                if node.id in self.imports and not (aliased or guarded or of_class):
                    yield (node.id, self.scope(node)), node.lineno

    def means_import(self, name: ast.Name) -> bool:
        """Whether a name is what was imported: not an argument or a variable of the same name."""
        scope: ast.AST | None = name
        while scope is not None:
            scope = self.enclosing(scope, FUNCTIONS)
            since = self.rebound.get((name.id, scope or self.tree), float("inf"))
            elsewhere = scope is None and self.scope(name) is not self.tree  # runs later
            if since < (float("inf") if elsewhere else name.lineno):
                return False
        return True

    def _silenced(self) -> tuple[dict[int, set[str]], bool]:
        """Entries silenced by line ("" for all), and whether the whole file is."""
        found: dict[int, set[str]] = {}
        try:
            tokens = list(tokenize.generate_tokens(io.StringIO(self.text).readline))
        except (tokenize.TokenError, IndentationError):
            return found, False
        whole = False
        for token in tokens:
            if token.type != tokenize.COMMENT:
                continue
            whole |= (
                bool(WHOLE_FILE.match(token.string)) and not token.line[: token.start[1]].strip()
            )
            if match := SILENT.search(token.string):
                entries = (
                    re.split(r"[,\s]+", match["entries"].lower()) if match["entries"] else [""]
                )
                found.setdefault(token.start[0], set()).update(entries)
        return found, whole

    def is_silenced(self, node: ast.AST, entry: str) -> bool:
        """By a comment on its first or last line, or where its statement begins or ends."""
        lines = {node.lineno, node.end_lineno}
        while node in self.parents and not isinstance(node, ast.stmt):
            node = self.parents[node]
        header = getattr(node, "body", None)
        lines |= {node.lineno} if header else {node.lineno, node.end_lineno}
        return any({"", entry.lower()} & self.silenced.get(line, set()) for line in lines)

    def dotted(self, node: ast.AST) -> str:
        """The imported thing that an expression names ("jittor.nn.interpolate"), "" for anything else."""
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self.imports:
            return ""
        if not self.means_import(node):
            return ""
        path = ".".join([self.imports[node.id], *reversed(parts)])
        return path.replace("jittor.nn.init.", "jittor.init.", 1)

    def enclosing(self, node: ast.AST, kinds: tuple) -> ast.AST | None:
        while node in self.parents:
            node = self.parents[node]
            if isinstance(node, kinds):
                return node
        return None

    def scope(self, node: ast.AST) -> ast.AST:
        return self.enclosing(node, FUNCTIONS) or self.tree

    def mentions(self, scope: ast.AST) -> set[str]:
        """First parts of the imported names that a function, a class or the module uses."""
        if scope not in self._mentions:
            names = (n.id for n in self.walk(scope) if isinstance(n, ast.Name))
            found = {self.imports[n].split(".")[0] for n in names if n in self.imports}
            self._mentions[scope] = found
        return self._mentions[scope]

    def is_guarded(self, node: ast.AST) -> bool:
        """Whether somebody expects that a name may be missing: try/except, or hasattr of it."""
        child = node
        while child in self.parents:
            parent = self.parents[child]
            if isinstance(parent, ast.Try) and child in parent.body:
                caught = {name for handler in parent.handlers for name in names_in(handler.type)}
                if caught & GUARDS or any(h.type is None for h in parent.handlers):
                    return True
            branch = isinstance(parent, (ast.If, ast.IfExp)) and self.asks(parent.test)
            if branch and not asks_of_others(parent.test, node):
                return True
            child = parent
        return False

    def asks(self, test: ast.AST) -> bool:
        """Whether a condition asks hasattr, itself or by a name that holds the answer."""
        names = names_in(test)
        return "hasattr" in names or bool(names & self.answers)

    @cached_property
    def answers(self) -> set[str]:
        """Names that hold what hasattr said: HAS_AMP = hasattr(jt, "amp")."""
        return {
            target.id
            for node in self.nodes
            if isinstance(node, ast.Assign) and "hasattr" in names_in(node.value)
            for target in node.targets
            if isinstance(target, ast.Name)
        }

    @cached_property
    def unbound(self) -> dict[str, ast.Name]:
        """Names that are read and that nothing in this file binds, each with its first place; names that only a
        decorator or an annotation says are left out."""
        held = set(dir(builtins)) | self.imports.keys() | OF_MODULES
        reads: dict[str, ast.Name] = {}
        for node in self.nodes:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                held |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, (ast.Global, ast.Nonlocal)):
                held |= set(node.names)
            elif isinstance(node, (ast.MatchAs, ast.MatchStar, ast.ExceptHandler)):
                held.add(node.name or "")
            elif isinstance(node, ast.MatchMapping):
                held.add(node.rest or "")
            elif isinstance(node, ast.arg):
                held.add(node.arg)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                held.add(node.name)
            elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                held.add(node.id)
            elif isinstance(node, ast.Name):
                first = reads.setdefault(node.id, node)
                if (node.lineno, node.col_offset) < (first.lineno, first.col_offset):
                    reads[node.id] = node
        return {name: node for name, node in reads.items() if name not in held}


def asks_of_others(test: ast.AST, node: ast.AST) -> bool:
    """hasattr(m, "weight"), where nothing of that name is in what stands behind it."""
    calls = [n for n in ast.walk(test) if isinstance(n, ast.Call) and name_of(n.func) == "hasattr"]
    asked = [constant(call.args[1]) if len(call.args) > 1 else None for call in calls]
    if not asked or not all(isinstance(name, str) for name in asked):
        return False
    text = ast.unparse(node)
    modules = {name_of(call.args[0]) for call in calls} & {"jt", "jittor", "nn", "init"}
    return not modules and not any(name in text for name in asked)


def names_in(node: ast.AST | None) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} if node else {""}


def name_of(node: ast.AST) -> str:
    """The last part of a dotted name: "interpolate" for nn.interpolate."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def keyword(call: ast.Call, *names: str) -> ast.keyword | None:
    return next((k for k in call.keywords if k.arg in names), None)


def value_of(call: ast.Call, place: int, name: str) -> ast.AST | None:
    if len(call.args) > place:
        return call.args[place]
    found = keyword(call, name)
    return found.value if found else None


def says(call: ast.Call, *names: str) -> bool:
    """Whether one of these keywords is given, or some are handed on with **."""
    return any(k.arg is None or k.arg in names for k in call.keywords)


def constant(node: ast.AST | None):
    """The value of a literal, with its sign; None for anything else."""
    try:
        return ast.literal_eval(node) if node is not None else None
    except (ValueError, TypeError, SyntaxError):
        return None
