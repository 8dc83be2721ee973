"""Where in a user's code something is: FILE:LINE of the frames that ran, of constructors, of classes.

Before: nothing. sides/tracer.py notes them, tell/causes.py shows them.
"""

from __future__ import annotations

import inspect
import linecache
import sys
from types import FrameType

# packages whose frames are passed over: a place is in the code of whoever uses them
FOREIGN = (
    "parity",
    "torch",
    "jittor",
    "torchvision",
    "jittor_setup",
    "importlib",
    "contextlib",
    "runpy",
)
DECORATORS = 8  # inside of each other
BUILT = "_parity_built"  # attribute of a module: where it was constructed


def is_foreign(module: str) -> bool:
    return module.partition(".")[0] in FOREIGN


def home(frame: FrameType) -> str:
    """The module a frame runs in, also of one that was started by `python -m`."""
    spec = frame.f_globals.get("__spec__")
    return spec.name if spec is not None else frame.f_globals.get("__name__", "")


def caller(frame: FrameType | None) -> str:
    """The nearest place of the user's at or above a frame; "" when there is none."""
    while frame is not None:
        if not is_foreign(home(frame)):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def direct(frame: FrameType | None, passed: tuple[str, ...] = ()) -> str:
    """The place of a frame if it is the user's own, or the first behind frames of the modules `passed` and of modes
    of PyTorch's; else ""."""
    while frame is not None and (
        home(frame) in passed or frame.f_code.co_name == "__torch_function__"
    ):
        frame = frame.f_back
    if frame is None or is_foreign(home(frame)):
        return ""
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def watch_constructors(base: type) -> None:
    """From now on every object of `base` remembers where it was made; again does nothing."""
    if "__new__" in vars(base):
        return

    def remembering(cls, *args, **named):
        new = super(base, cls).__new__
        made = new(cls) if new is object.__new__ else new(cls, *args, **named)
        made.__dict__[BUILT] = caller(sys._getframe(1))
        return made

    base.__new__ = remembering


def of_module(module) -> str:
    """Where the code of a module is: its class's forward, or for a framework's own layer where it was constructed."""
    kind = type(module)
    function = getattr(module, "_parity_function", None)
    function = function or getattr(kind, "forward", None) or getattr(kind, "execute", None)
    if not is_foreign(kind.__module__) or getattr(module, "_parity_function", None):
        return of_function(function)
    return vars(module).get(BUILT, "")


def of_function(function) -> str:
    """Where it is defined; "" for what is not Python. Decorators that wrap it are looked through."""
    function = inspect.unwrap(function) if function else None
    for _ in range(DECORATORS):
        code = getattr(function, "__code__", None)
        if code is None or not is_foreign(getattr(function, "__module__", "") or ""):
            return f"{code.co_filename}:{code.co_firstlineno}" if code else ""
        # a decorator without functools.wraps, as jt.no_grad() is, holds the function in a cell
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        inside = next((x for x in cells if inspect.isfunction(x)), None)
        if inside is None:
            return f"{code.co_filename}:{code.co_firstlineno}"
        function = inspect.unwrap(inside)
    return ""


def of_error(error: BaseException) -> str:
    """Where an exception came up: the innermost place of the user's in its traceback."""
    frames = own_frames(error)
    return frames[-1].partition(",")[0] if frames else ""


def own_frames(error: BaseException) -> list[str]:
    """ "FILE:LINE, in FUNCTION: CODE" of the user's frames in a traceback, outermost first."""
    found, trace = [], error.__traceback__
    while trace is not None:
        code, line = trace.tb_frame.f_code, trace.tb_lineno
        if not is_foreign(home(trace.tb_frame)):
            text = linecache.getline(code.co_filename, line).strip()
            found.append(f"{code.co_filename}:{line}, in {code.co_name}: {text}")
        trace = trace.tb_next
    return found
