"""Whose results a statement that raised was reading: from a traceback back through assignments, and through arguments
to who called.

A function may well return what only another one cannot work with: the traceback names that one. What is read here is
source code beside the frames' own variables; nothing of the user's is run.

Before: values/places.py. judge/crashes.py tells them.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import linecache
from collections.abc import Iterator
from types import CodeType, FrameType

from parity.engine.values.places import frames_of, is_foreign, is_of_library, is_own, qualified

MOST = 3  # functions that are told
DEEP = 4  # assignments that are followed one behind the other
RUNS = ("forward", "execute", "__call__")  # what of an object runs when it is called
HELD = ("body", "orelse", "finalbody", "handlers", "cases")  # fields of statements that hold others
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def origins(error: BaseException) -> list[str]:
    """ "NAME() (FILE:LINE)" of the user's own functions whose results were read where an exception came up, the nearest
    first."""
    found: dict[str, None] = {}
    with contextlib.suppress(
        Exception
    ):  # of odd objects and odd sources: the crash itself has to be told
        look(error, found)
    return list(found)[:MOST]


def look(error: BaseException, found: dict[str, None]) -> None:
    raised: set[CodeType] = set()  # what has not returned
    frames = [(frame, line) for frame, line in frames_of(error) if is_own(frame)]
    for frame, line in reversed(frames):
        scope, statement = at(frame.f_code.co_filename, line)
        if statement is None:
            break
        raised.add(frame.f_code)
        reading = Reading(frame, scope)
        reading.follow(statement, line, DEEP)
        for code in reading.called:
            if code not in raised:
                found[f"{qualified(code)}() ({code.co_filename}:{code.co_firstlineno})"] = None
        if not reading.given:
            break


class Reading:
    """What a statement in a frame reads. `called`: code of functions that gave it; `given`: whether arguments did."""

    def __init__(self, frame: FrameType, scope: ast.AST):
        self.frame, self.scope = frame, scope
        self.called: dict[CodeType, None] = {}
        self.given = False
        self.seen: set[int] = set()

    def follow(self, node: ast.AST, line: int, deep: int) -> None:
        """Of what is read at a line, through so many assignments."""
        if id(node) in self.seen:
            return
        self.seen.add(id(node))
        for part in parts_of(node):
            if isinstance(part, ast.Call):
                code = code_of(self.value_of(part.func))
                if code is not None:
                    self.called[code] = None
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
                before, source = self.source_of(part.id, line) if deep else (0, None)
                if source is not None:
                    self.follow(source, before, deep - 1)
                elif part.id in arguments_of(self.frame.f_code):
                    self.given = True

    def source_of(self, name: str, line: int) -> tuple[int, ast.AST | None]:
        """What was assigned to a name last before a line, in the text, and where; else anywhere in the function."""
        found = [
            (node.lineno, value)
            for node in ast.walk(self.scope)
            for target, value in assignments(node)
            if any(isinstance(x, ast.Name) and x.id == name for x in ast.walk(target))
        ]
        found.sort(key=lambda x: x[0])
        before = [assigned for assigned in found if assigned[0] < line]
        return before[-1] if before else next(iter(found), (0, None))

    def value_of(self, node: ast.AST):
        """Of a name, or of an attribute that is simply there; None for anything else."""
        if isinstance(node, ast.Name):
            return self.frame.f_locals.get(node.id, self.frame.f_globals.get(node.id))
        if not isinstance(node, ast.Attribute):
            return None
        owner = self.value_of(node.value)
        parts = getattr(owner, "__dict__", {}).get("_modules") or {}
        found = parts.get(node.attr, inspect.getattr_static(owner, node.attr, None))
        return found.__func__ if isinstance(found, (staticmethod, classmethod)) else found


def at(file: str, line: int) -> tuple[ast.AST, ast.AST | None]:
    """The innermost function and the innermost statement that a line is in."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:
        return ast.Module([], []), None
    around = [x for x in ast.walk(tree) if getattr(x, "lineno", line + 1) <= line <= x.end_lineno]
    scope = [x for x in around if isinstance(x, SCOPES)]
    statements = [x for x in around if isinstance(x, ast.stmt)]
    by_size = lambda x: x.end_lineno - x.lineno  # noqa: E731
    return min(scope, key=by_size, default=tree), min(statements, key=by_size, default=None)


def parts_of(node: ast.AST) -> Iterator[ast.AST]:
    """Of a statement that holds others what it reads itself, of any other node all of it."""
    inside = {id(x) for field in HELD for x in held(node, field)}
    for child in ast.iter_child_nodes(node) if inside else [node]:
        if id(child) not in inside:
            yield from ast.walk(child)


def held(node: ast.AST, field: str) -> list:
    found = getattr(node, field, [])
    return found if isinstance(found, list) else []


def assignments(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """(target, what it is made of) of a statement or a `:=`."""
    if isinstance(node, ast.Assign):
        yield from ((target, node.value) for target in node.targets)
    elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
        yield node.target, node.value
    elif isinstance(node, (ast.For, ast.AsyncFor)):
        yield node.target, node.iter
    elif isinstance(node, (ast.With, ast.AsyncWith)):
        yield from ((x.optional_vars, x.context_expr) for x in node.items if x.optional_vars)


def arguments_of(code: CodeType) -> tuple[str, ...]:
    count = code.co_argcount + code.co_kwonlyargcount
    variable = bool(code.co_flags & inspect.CO_VARARGS) + bool(
        code.co_flags & inspect.CO_VARKEYWORDS
    )
    return code.co_varnames[: count + variable]


def code_of(function) -> CodeType | None:
    """Of a function of the user's own, of a class's constructor, of what an object runs when it is called."""
    if isinstance(function, property):
        function = function.fget
    elif isinstance(function, type):
        function = function.__init__
    elif not inspect.isroutine(function):
        kind = type(function)
        function = next((vars(k)[r] for k in kind.__mro__ for r in RUNS if r in vars(k)), None)
    code = getattr(inspect.unwrap(function), "__code__", None) if function else None
    if code is None or is_of_library(code.co_filename):
        return None
    return None if is_foreign(getattr(function, "__module__", "") or "") else code
