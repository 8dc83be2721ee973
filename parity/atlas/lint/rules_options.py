"""Options of the command line that a program reads and that its parser has not: args.ada, where nothing adds --ada.

Before: a file that makes its own argparse parser. After: a finding for each option that parse_args() cannot give.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from parity.atlas.lint.code import Code
from parity.atlas.lint.finding import Finding
from parity.atlas.lint.rules_own import CALL, NAME, handed, is_shadowed
from parity.atlas.lint.source import constant, keyword, name_of

OPEN = {"vars", "setattr", "add_subparsers", "parse_known_args", "Namespace", "exec"}
PARSED = ("parse_args",)


def options(code: Code) -> Iterator[Finding]:
    """args.NAME that no add_argument() and no assignment makes: told once a name."""
    known = declared(code)
    if known is None:
        return
    known |= set().union(*(other.sets_outside for other in code.files))
    told = set()
    for node in code.every(ast.Attribute):
        wanted = isinstance(node.ctx, ast.Load) and isinstance(node.value, ast.Name)
        if not wanted or node.attr in known | told or node.attr.startswith("_"):
            continue
        if holds_options(code, node.value) and not code.source.is_guarded(node):
            told.add(node.attr)
            yield code.found(node, NAME, f"no add_argument() makes {node.value.id}.{node.attr}")


def declared(code: Code) -> set[str] | None:
    """What the parser of this file gives; None where there is none, or where some of it cannot be read off the file."""
    calls = code.every(ast.Call)
    parsers = [c for c in calls if name_of(c.func) == "ArgumentParser"]
    names = {name_of(c.func) for c in calls}
    if len(parsers) != 1 or names & OPEN or "__dict__" in code.names or not {*PARSED} & names:
        return None
    if keyword(parsers[0], "parents") or not isinstance(code.parent(parsers[0]), ast.Assign):
        return None
    held = {name_of(t) for t in code.parent(parsers[0]).targets}
    found: set[str] = set()
    for call in calls:
        given = [*call.args, *(k.value for k in call.keywords)]
        if any(name_of(a) in held for a in given):
            return None  # somebody else adds to it
        if name_of(call.func) == "set_defaults":
            found |= {k.arg or "" for k in call.keywords}
        elif name_of(call.func) == "add_argument":
            if not (name := destination(call)):
                return None
            found.add(name)
    return None if not found or "" in found else found


def destination(call: ast.Call) -> str:
    """The attribute that add_argument("-b", "--batch-size") makes; "" where it is no literal."""
    if found := keyword(call, "dest"):
        value = constant(found.value)
        return value if isinstance(value, str) else ""
    flags = [constant(a) for a in call.args]
    if not flags or not all(isinstance(f, str) for f in flags):
        return ""
    long = [f for f in flags if f.startswith("--")]
    return (long or flags)[0].lstrip("-").replace("-", "_")


def holds_options(code: Code, name: ast.Name, steps: int = 2) -> bool:
    """Whether a name is always what parse_args() gave: assigned so, or handed to its function by all who call it."""
    scope = code.source.scope(name)
    stores = [n for n in code.stores(scope) if n.id == name.id and code.source.scope(n) is scope]
    if stores:
        return all(is_parsed(code.parent(n)) for n in stores)
    if isinstance(scope, ast.FunctionDef) and name.id in {a.arg for a in scope.args.args}:
        callers = code.callers.get(scope.name, [])
        given = [handed(scope, c).get(name.id) for c in callers]
        named = bool(given) and steps > 0 and all(isinstance(g, ast.Name) for g in given)
        return named and all(holds_options(code, g, steps - 1) for g in given)
    if scope is code.source.tree or is_shadowed(code, name):
        return False
    outer = [n for n in code.stores(code.source.tree) if n.id == name.id]
    loose = [n for n in outer if code.source.scope(n) is code.source.tree]
    return bool(loose) and all(is_parsed(code.parent(n)) for n in loose)


def is_parsed(node: ast.AST | None) -> bool:
    value = node.value if isinstance(node, ast.Assign) else None
    return isinstance(value, ast.Call) and name_of(value.func) in PARSED


def always(code: Code) -> Iterator[Finding]:
    """add_argument("--eval", action="store_true", default=True): true whatever is given."""
    for call in code.every(ast.Call):
        said = {k.arg: constant(k.value) for k in call.keywords}
        stores = {"store_true": True, "store_false": False}.get(said.get("action"))
        if (
            name_of(call.func) != "add_argument"
            or stores is None
            or said.get("default") is not stores
        ):
            continue
        flag = ast.unparse(call.args[0]) if call.args else "it"
        yield code.found(call, CALL, f"{flag} is always {stores}: its default is what it stores")


def words(code: Code) -> Iterator[Finding]:
    """add_argument("--eval", type=bool): true of every word, "False" among them."""
    for call in code.every(ast.Call):
        given = keyword(call, "type") if name_of(call.func) == "add_argument" else None
        if given is not None and isinstance(given.value, ast.Name) and given.value.id == "bool":
            flag = ast.unparse(call.args[0]) if call.args else "it"
            yield code.found(call, CALL, f"{flag} is true of every word: bool('False') is True")


RULES = (options, always, words)
