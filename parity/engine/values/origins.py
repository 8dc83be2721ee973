"""Whose results a statement that raised was reading: from a traceback back through assignments, through arguments to
who called, and through what an object keeps to the method that made it.

A function may well return what only another one cannot work with: the traceback names that one. What is read here is
source code beside the frames' own variables; nothing of the user's is run.

Before: values/places.py. judge/crashes.py tells them.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import inspect
import linecache
from collections.abc import Iterator
from types import CodeType, FrameType

from parity.engine.values.places import frames_of, is_foreign, is_of_library, is_own, qualified

MOST = 3  # functions that are told
DEEP = 4  # assignments that are followed one behind the other
RUNS = ("forward", "execute", "__call__")  # what of an object runs when it is called
HELD = ("body", "orelse", "finalbody", "handlers", "cases")  # fields of statements that hold others
COMPREHENSIONS = ("<genexpr>", "<listcomp>", "<setcomp>", "<dictcomp>")
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
# methods that put their arguments into what they belong to
FILLING = ("append", "appendleft", "extend", "insert", "add", "update", "setdefault", "__setitem__")


def origins(error: BaseException) -> list[str]:
    """ "NAME() (FILE:LINE)" of the user's own functions whose results were read where an exception came up, the nearest
    first: those that return them, fill them or keep them."""
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
        reading = Reading(frame, scope)
        for node in (statement, *conditions(scope, statement)):
            reading.follow(node, line, DEEP)
        if reading.filled and raised:  # else the traceback ends there
            found[shown(frame.f_code, reading.filled)] = None
        raised.add(frame.f_code)
        for code, made in (reading.called | reading.kept).items():
            if code not in raised:
                found[shown(code, made)] = None
        # a comprehension's frame is part of the next one's statement
        if not reading.given and frame.f_code.co_name not in COMPREHENSIONS:
            break


def shown(code: CodeType, line: int = 0) -> str:
    return f"{qualified(code)}() ({code.co_filename}:{line or code.co_firstlineno})"


class Reading:
    """What a statement in a frame reads. `called`: code of functions that gave it; `kept`: of methods that made what
    their object keeps, with the line; `given`: whether arguments did; `filled`: where a variable last got a part."""

    def __init__(self, frame: FrameType, scope: ast.AST):
        self.frame, self.scope = frame, scope
        self.called: dict[CodeType, int] = {}
        self.kept: dict[CodeType, int] = {}
        self.given, self.filled = False, 0
        self.seen: set[int] = set()

    def follow(self, node: ast.AST, line: int, deep: int) -> None:
        """Of what is read at a line, through so many assignments."""
        if id(node) in self.seen:
            return
        self.seen.add(id(node))
        parts = list(parts_of(node))
        asked = {id(x.func) for x in parts if isinstance(x, ast.Call)}
        for part in parts:
            if isinstance(part, ast.Call):
                code = code_of(self.value_of(part.func))
                if code is not None:
                    self.called[code] = 0
            if isinstance(part, ast.Attribute) and id(part) not in asked:
                self.keep(part)
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
                self.follow_name(part.id, line, deep)

    def follow_name(self, name: str, line: int, deep: int) -> None:
        before, source = self.source_of(name, line) if deep else (0, None)
        fillings = self.put_into(name) if deep else []
        if source is not None:
            self.follow(source, before, deep - 1)
        if source is None or before >= line:  # nothing before it made that
            self.given |= name in arguments_of(self.frame.f_code)
        for place, value in fillings:
            self.follow(value, place, deep - 1)
        self.filled = max([self.filled, *(place for place, _ in fillings)])

    def keep(self, node: ast.Attribute) -> None:
        """Who makes what the frame's own object keeps under a name; what is but handed over is its caller's."""
        own = arguments_of(self.frame.f_code)[:1]
        if not own or not isinstance(node.value, ast.Name) or node.value.id != own[0]:
            return
        for kind in type(self.frame.f_locals.get(own[0])).__mro__:
            for function in vars(kind).values():
                code = code_of(function) if inspect.isfunction(function) else None
                line = kept_at(code, node.attr) if code is not None else 0
                if line:
                    self.kept[code] = line

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

    def put_into(self, name: str) -> list[tuple[int, ast.AST]]:
        """What methods put into the variable of a name, and where."""
        return [
            (node.lineno, argument)
            for node in ast.walk(self.scope)
            if isinstance(node, ast.Call) and is_filling(node.func, name)
            for argument in node.args
        ]

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
    tree = parsed("".join(linecache.getlines(file)))
    around = [x for x in ast.walk(tree) if getattr(x, "lineno", line + 1) <= line <= x.end_lineno]
    scope = [x for x in around if isinstance(x, SCOPES)]
    statements = [x for x in around if isinstance(x, ast.stmt)]
    by_size = lambda x: x.end_lineno - x.lineno  # noqa: E731
    return min(scope, key=by_size, default=tree), min(statements, key=by_size, default=None)


def is_filling(function: ast.expr, name: str) -> bool:
    """Whether it is a method that puts something into the variable of a name."""
    own = isinstance(function, ast.Attribute) and function.attr in FILLING
    return own and isinstance(function.value, ast.Name) and function.value.id == name


def kept_at(code: CodeType, name: str) -> int:
    """The line where a method makes what its object keeps under a name, the last; 0 where it does not."""
    own, found = arguments_of(code)[:1], [0]
    for node in ast.walk(definition_of(code)):
        for target, value in assignments(node):
            is_part = isinstance(target, ast.Subscript)
            kept = target.value if is_part else target
            is_own = isinstance(kept, ast.Attribute) and kept.attr == name
            is_own = is_own and isinstance(kept.value, ast.Name) and (kept.value.id,) == own
            if is_own and (is_part or not isinstance(value, ast.Name)):
                found.append(node.lineno)
    return max(found)


@functools.lru_cache(maxsize=8)
def parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError:
        return ast.Module([], [])


def definition_of(code: CodeType) -> ast.AST:
    """Of a function; nothing where the source is another by now."""
    tree = parsed("".join(linecache.getlines(code.co_filename)))
    found = (x for x in ast.walk(tree) if isinstance(x, SCOPES[:2]) and x.name == code.co_name)
    first = lambda x: min(y.lineno for y in (x, *x.decorator_list))  # noqa: E731
    return next((x for x in found if first(x) == code.co_firstlineno), ast.Module([], []))


def conditions(scope: ast.AST, statement: ast.stmt) -> list[ast.expr]:
    """On what it depends whether an exception is raised there: the test around a `raise`."""
    if not isinstance(statement, ast.Raise):
        return []
    around = (x for x in ast.walk(scope) if isinstance(x, ast.If))
    return [x.test for x in around if statement in (*x.body, *x.orelse)]


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
