"""In which module of a network an exception came up, by the names that reports use: of one that ran, or of one that
was being constructed and had got no further.

Before: values/nodes.py. tracer.py and server.py ask.
"""

from __future__ import annotations

import ast
import linecache
import re
from collections.abc import Mapping
from itertools import pairwise
from types import FrameType

from parity.engine.values.nodes import OUTSIDE, ROOT
from parity.engine.values.places import BUILT, frames_of, home, is_own, qualified

REGISTERED = ("add_module", "register_module")  # methods that keep a module under a name
PLAIN = (ast.Constant, ast.Name, ast.JoinedStr, ast.FormattedValue, ast.BinOp)  # in a name


def module_of_error(error: BaseException, modules: Mapping) -> str:
    """The innermost of `modules` (by name, the model itself under "") whose code ran; else the one that was being
    constructed, or used before anybody has named it; else "(outside) FUNCTION" of the user's; "" where no code of
    theirs ran."""
    frames = list(frames_of(error))
    names = {id(module): name or ROOT for name, module in modules.items()}
    ran = [names[id(x)] for frame, _ in frames if id(x := owner(frame)) in names]
    return ran[-1] if ran else unnamed(frames) or outside(frames)


def owner(frame: FrameType):
    """The object whose method runs in a frame, by its first argument; None in a function."""
    code = frame.f_code
    return frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None


def unnamed(frames: list[tuple[FrameType, int]]) -> str:
    """The dotted name of the innermost module whose code ran, as far as those around it tell, by what they hold or by
    their constructors' statements; "(model)" for the outermost, "" where no module's code ran."""
    chain: list[tuple[FrameType, int]] = []
    for frame, line in frames:
        if BUILT not in getattr(owner(frame), "__dict__", {}):
            continue
        if chain and owner(chain[-1][0]) is owner(frame):
            if not is_own(frame):
                continue  # the framework's own part of the same method
            chain.pop()
        chain.append((frame, line))
    names = []
    for (frame, line), (inner, _) in pairwise(chain):
        name = held_as(owner(frame), owner(inner))
        if not name and frame.f_code.co_name == "__init__":
            name = attribute(frame, line)
        if not name:
            break
        names.append(name)
    return ".".join(names) or (ROOT if chain else "")


def held_as(module, part) -> str:
    """The name of a part of a module, "" while it is none."""
    held = vars(module) | (vars(module).get("_modules") or {})
    return next((str(name) for name, value in held.items() if value is part), "")


def attribute(frame: FrameType, line: int) -> str:
    """Under which name the statement at a line of a constructor keeps what it makes; "" where that is not plain."""
    try:
        tree = ast.parse("".join(linecache.getlines(frame.f_code.co_filename)))
    except SyntaxError:
        return ""
    found = [
        x for x in ast.walk(tree) if isinstance(x, ast.stmt) and x.lineno <= line <= x.end_lineno
    ]
    statement = max(found, key=lambda x: (x.lineno, -x.end_lineno), default=None)
    own = frame.f_code.co_varnames[0]
    if isinstance(statement, (ast.Assign, ast.AnnAssign)):
        targets = getattr(statement, "targets", None) or [statement.target]
        return targets[0].attr if is_of(targets[0], own) else ""
    call = getattr(statement, "value", None)
    if not isinstance(call, ast.Call):
        return ""
    if is_of(call.func, own) and call.func.attr in REGISTERED and call.args:
        return text(call.args[0], frame)
    is_set = isinstance(call.func, ast.Name) and call.func.id == "setattr" and len(call.args) > 1
    if is_set and isinstance(call.args[0], ast.Name) and call.args[0].id == own:
        return text(call.args[1], frame)
    return ""


def is_of(node: ast.AST, own: str) -> bool:
    """Whether it is `self.X`, by whatever name the constructor has for itself."""
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == own
    )


def text(node: ast.expr, frame: FrameType) -> str:
    """The value of a name that is written down or put together of a constructor's own variables."""
    inner = (x for x in ast.walk(node) if isinstance(x, ast.expr))
    if not all(isinstance(x, PLAIN) for x in inner):
        return ""
    try:
        code = compile(ast.Expression(node), "name", "eval")
        return str(eval(code, frame.f_globals, frame.f_locals))
    except Exception:
        return ""


def outside(frames: list[tuple[FrameType, int]]) -> str:
    """The innermost function of the user's, or their module that was being imported; a lambda is part of the one that
    made it."""
    names = [function_of(frame) for frame, _ in frames if is_own(frame)]
    names = [name for name in names if name]
    return f"{OUTSIDE} {names[-1]}" if names else ""


def function_of(frame: FrameType) -> str:
    """What runs in a frame: "Class.method", "package.module" while that is imported, "" in a lambda of a module's."""
    name = qualified(frame.f_code)
    return home(frame) if name == "<module>" else re.sub(r"\.?<\w+>", "", name)


def innermost(error: BaseException) -> str:
    return outside(list(frames_of(error)))
