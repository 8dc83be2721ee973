"""A program of several files: which of its own modules an import means, and what those define.

Before: the texts of all Python files under one folder. After: for each import of the program's own, the files that it
may mean, the names that they hold, and the functions and classes behind these names.
"""

from __future__ import annotations

import ast
import os
import re
import sys
import warnings
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

ANYTHING = re.compile(  # what makes or reads names by their text; vars(x) is about x
    r"\b(globals|exec|locals|sys\.modules)\b|\bvars\(\s*\)|^def __getattr__", re.MULTILINE
)
STEPS = 5  # of names handed on from file to file
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Program:
    """texts: of the files, by their paths; trees: of those that are parsed already."""

    def __init__(self, texts: dict[Path, str], trees: dict[Path, ast.Module] | None = None):
        self.texts = texts
        self._trees: dict[Path, ast.Module | None] = dict(trees or {})
        self._names: dict[Path, dict[str, list[ast.AST]]] = {}

    def tree(self, file: Path) -> ast.Module | None:
        if file not in self._trees:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    self._trees[file] = ast.parse(self.texts[file])
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                self._trees[file] = None
        return self._trees[file]

    @cached_property
    def by_last_part(self) -> dict[str, list[Path]]:
        """Files by the last part of their module's name."""
        found: dict[str, list[Path]] = {}
        for file in self.texts:
            found.setdefault(module_of(file)[-1:][0], []).append(file)
        return found

    @cached_property
    def folders(self) -> set[Path]:
        root = Path(os.path.commonpath([file.parent for file in self.texts]))
        parents = {folder for file in self.texts for folder in file.parents}
        return {folder for folder in parents if folder.is_relative_to(root)}

    def modules(self, file: Path, dotted: str, level: int) -> list[Path]:
        """Files that `from {level dots}dotted import ...` in `file` may mean: a relative import means one at most."""
        parts = tuple(dotted.split(".")) if dotted else ()
        if level > len(file.parents):
            return []
        if level:
            place = file.parents[level - 1].joinpath(*parts)
            near = [place.with_name(f"{place.name}.py")] if parts else []
            return [f for f in (*near, place / "__init__.py") if f in self.texts]
        held = self.by_last_part.get(parts[-1], [])
        return [f for f in held if module_of(f)[-len(parts) :] == parts]

    def is_own(self, file: Path, dotted: str, level: int) -> bool:
        """Whether an import looks into this program: by dots, or as its first name lies beside or above the file."""
        if level:
            return level <= len(file.parents) and file.parents[level - 1] in self.folders
        first, near = dotted.split(".")[0], list(file.parents)
        if first in sys.stdlib_module_names:  # Python's own, unless a script has one beside it
            near = [] if file.parent / "__init__.py" in self.texts else near[:1]
        return any(p / f"{first}.py" in self.texts or p / first in self.folders for p in near)

    def found(self, file: Path, dotted: str, level: int) -> str:
        """What lies there: a "module", a "folder" without __init__.py, "other" files, compiled ones among them; ""."""
        if self.modules(file, dotted, level):
            return "module"
        parts = dotted.split(".") if dotted else []
        bases = [file.parents[level - 1]] if level else list(self.folders)
        places = [base.joinpath(*parts) for base in bases]
        if any(place in self.folders for place in places):
            return "folder"
        near = (o for p in places if p.parent.is_dir() for o in p.parent.glob(f"{p.name}*"))
        return "other" if any(o.name.split(".")[0] == (parts or [""])[-1] for o in near) else ""

    def names(self, file: Path) -> dict[str, list[ast.AST]]:
        """What stands at a file's top level, by name, with what binds it."""
        if file not in self._names:
            found = self._names[file] = {}
            tree = self.tree(file)
            for name, node in bound(tree.body) if tree else ():
                found.setdefault(name, []).append(node)
            for node in ast.walk(tree) if tree else ():
                for name in node.names if isinstance(node, ast.Global) else ():
                    found.setdefault(name, []).append(node)
        return self._names[file]

    def is_open(self, file: Path, steps: int = STEPS) -> bool:
        """Whether a file may hold names that cannot be read off it."""
        if steps == 0 or self.tree(file) is None or ANYTHING.search(self.texts[file]):
            return True
        for star in self.names(file).get("*", []):
            files = self.modules(file, star.module or "", star.level)
            if len(files) != 1 or self.is_open(files[0], steps - 1):
                return True
        return False

    def holds(self, file: Path, name: str, steps: int = STEPS) -> bool:
        names = self.names(file)
        if name in names or name.startswith("__"):
            return True
        folder = file.parent
        if file.name == "__init__.py" and (
            folder / name in self.folders or folder / f"{name}.py" in self.texts
        ):
            return True
        stars = names.get("*", []) if steps else []
        given = (f for s in stars for f in self.modules(file, s.module or "", s.level))
        return any(self.holds(other, name, steps - 1) for other in given)

    def definition(
        self, file: Path, name: str, steps: int = STEPS
    ) -> tuple[Path, Definition] | None:
        """The one function or class that a name means in a file; None where it may be several things."""
        bindings = self.names(file).get(name, [])
        if not steps or len(bindings) > 1:
            return None
        if not bindings:
            stars = self.names(file).get("*", [])
            given = [f for s in stars for f in self.modules(file, s.module or "", s.level)]
            found = [d for f in given if (d := self.definition(f, name, steps - 1))]
            return found[0] if len(found) == 1 else None
        node = bindings[0]
        if isinstance(node, Definition):
            return file, node
        if not isinstance(node, ast.ImportFrom):
            return None
        if not (self.is_own(file, node.module or "", node.level) or "sys.path" in self.texts[file]):
            return None
        files = self.modules(file, node.module or "", node.level)
        alias = next(a for a in node.names if (a.asname or a.name) == name)
        return self.definition(files[0], alias.name, steps - 1) if len(files) == 1 else None


def module_of(file: Path) -> tuple[str, ...]:
    """("models", "unet") of models/unet.py and of models/unet/__init__.py."""
    parts = file.with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def bound(statements: list[ast.stmt]) -> Iterator[tuple[str, ast.AST]]:
    """Names that statements bind, in branches and loops as well, but not within functions and classes."""
    for node in statements:
        if isinstance(node, Definition):
            yield node.name, node
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                whole = alias.asname or (
                    alias.name if isinstance(node, ast.ImportFrom) else alias.name.split(".")[0]
                )
                yield whole, node
            continue
        for child in ast.walk(node):
            if isinstance(child, ast.Name) and isinstance(child.ctx, (ast.Store, ast.Del)):
                yield child.id, node
        for field in ("body", "orelse", "finalbody"):
            yield from bound(getattr(node, field, []))
        for handler in getattr(node, "handlers", []):
            yield from bound(handler.body)
