"""Which functions of a user's code ran, in their framework's process.

Before: values/places.py. server.py notes, ask/coverage.py asks.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType

from parity.engine.values.places import is_foreign, is_of_library, package_of

EACH = 3  # requests of one kind that are watched: more of them run the same code
FILES = 400  # of a port that are looked at
HIDDEN = {"__pycache__", "node_modules", "build"}


class Ran:
    """Code of the functions that were called inside of `noting`."""

    def __init__(self):
        self.codes: set[CodeType] = set()
        self.asked: Counter = Counter()

    @contextmanager
    def noting(self, request: str) -> Iterator[None]:
        """Inside, what is called is noted, the first times that this is asked for."""
        self.asked[request] += 1
        before = sys.gettrace()
        if self.asked[request] > EACH or before is not None:  # a debugger's
            yield
            return
        sys.settrace(self.note)
        try:
            yield
        finally:
            sys.settrace(None)

    def note(self, frame: FrameType, event: str, _) -> None:
        self.codes.add(frame.f_code)


def told(server, passed: list[str]) -> list[dict]:
    """In a worker: of each file of the user's own, "path", "root" (the folder that it is imported from), "ran" and
    "never": names of functions and methods; both are empty where nothing imported it. `passed`: files that are none of
    the port's."""
    lines = {(code.co_filename, code.co_firstlineno) for code in tuple(server.ran.codes)}
    roots = dict(own_files(passed))
    found = []
    for file, root in roots.items():
        by_ran: dict[bool, list[str]] = {True: [], False: []}
        for name, line in functions_of(file):
            by_ran[(file, line) in lines].append(name)
        found.append({"path": file, "root": root, "ran": by_ran[True], "never": by_ran[False]})
    for root in dict.fromkeys(roots.values()):
        others = (str(f) for f in python_files(Path(root)))
        left = [f for f in others if f not in roots and f not in passed and not package_of(f)]
        found += [{"path": f, "root": root, "ran": [], "never": []} for f in left[:FILES]]
    return found


def own_files(passed: list[str]) -> Iterator[tuple[str, str]]:
    """Files of imported modules of the user's own, and the folder that each is imported from."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        if not file.endswith(".py") or file in passed or is_foreign(name) or is_of_library(file):
            continue
        path = Path(file)
        depth = len(name.split(".")) - (path.name != "__init__.py")
        if not package_of(file) and path.is_file() and len(path.parents) > depth:
            yield file, str(path.parents[depth])


def python_files(root: Path) -> Iterator[Path]:
    for path in sorted(root.iterdir()):
        if path.is_dir() and not path.name.startswith(".") and path.name not in HIDDEN:
            yield from python_files(path) if not path.is_symlink() else ()
        elif path.suffix == ".py" and path.is_file():
            yield path


def functions_of(file: str) -> Iterator[tuple[str, int]]:
    """Functions and methods by name, with the line where their code begins; not those within others."""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    for node in tree.body:
        parts = node.body if isinstance(node, ast.ClassDef) else [node]
        owner = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        for part in parts:
            if isinstance(part, ast.FunctionDef):
                first = min(n.lineno for n in (part, *part.decorator_list))
                yield owner + part.name, first
