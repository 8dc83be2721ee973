"""Files have 300 lines at most and functions 50, tables of data aside: a rule that everybody's tree keeps.

Of every Python file that git tracks, or that is new: what stands at top level as a tuple, list, set, dictionary or
call that fills more than one line is data, and does not count.
"""

from __future__ import annotations

import ast
import subprocess
from functools import cache

import pytest

from tests.commands import ROOT

FILE, FUNCTION = 300, 50  # lines
DATA = (ast.Tuple, ast.List, ast.Set, ast.Dict, ast.Call)
# name of a file or FILE:function -> why it is longer
EXCEPTIONS: dict[str, str] = {}


def python_files() -> list[str]:
    command = ["git", "ls-files", "-co", "--exclude-standard", "*.py"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in sorted(set(found.split("\n"))) if name and (ROOT / name).is_file()]


def lines_of(node: ast.AST) -> int:
    return node.end_lineno - node.lineno + 1


def is_data(statement: ast.stmt) -> bool:
    is_value = isinstance(statement, (ast.Assign, ast.AnnAssign, ast.Expr))
    return is_value and isinstance(statement.value, DATA)


def too_long(source: str) -> dict[str, int]:
    """Lines by function, "" for the file itself, of what is longer than it may be."""
    tree = ast.parse(source)
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = {n.name: lines_of(n) for n in ast.walk(tree) if isinstance(n, functions)}
    found = {name: count for name, count in found.items() if count > FUNCTION}
    whole = len(source.splitlines()) - sum(lines_of(s) for s in tree.body if is_data(s))
    return found | ({"": whole} if whole > FILE else {})


@cache
def offenders() -> dict[str, int]:
    return {
        f"{name}:{function}".rstrip(":"): count
        for name in python_files()
        for function, count in too_long((ROOT / name).read_text()).items()
    }


def test_files_and_functions_are_short():
    left = {name: count for name, count in offenders().items() if name not in EXCEPTIONS}
    assert not left, f"split these by what belongs together (lines): {left}"


def test_exceptions_are_needed():
    assert not sorted(EXCEPTIONS.keys() - offenders().keys())


STATEMENT, ENTRY = "    x = 1\n", "    1,\n"


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("x = 1\n" * 300, {}),
        ("x = 1\n" * 301, {"": 301}),
        ("def f():\n" + STATEMENT * 49, {}),
        ("def f():\n" + STATEMENT * 50, {"f": 51}),
        ("class C:\n    def f():\n" + f"    {STATEMENT}" * 50, {"f": 51}),
        ("X = (\n" + ENTRY * 400 + ")\n", {}),
        ('X = """\n' + "text\n" * 300 + '"""\n', {"": 302}),
    ],
)
def test_what_counts(source, wanted):
    assert too_long(source) == wanted
