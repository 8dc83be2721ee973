"""Where in a user's code something is: FILE:LINE of the frames that ran, of constructors, of classes.

Before: nothing. sides/tracer.py notes them, tell/causes.py shows them.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import linecache
import os
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType

HARNESS = "parity"  # the package
# packages whose frames are passed over: a place is in the code of whoever uses them
FOREIGN = (
    HARNESS,
    "torch",
    "jittor",
    "torchvision",
    "jittor_setup",
    "importlib",
    "contextlib",
    "runpy",
    *("numpy", "scipy", "PIL", "cv2", "pycocotools"),
)
LIBRARY = sysconfig.get_path("stdlib") + "/"
PACKAGES = ("site-packages/", "dist-packages/")  # below LIBRARY, and none of it
OURS = Path(__file__).resolve().parents[3]  # where parity and jittor_setup lie
# what faulthandler prints of the thread that a signal met
STACK = re.compile(
    r'^(?:Current thread|Stack)[^\n]*\(most recent call first\):\n((?:  File "[^\n]*\n?)+)',
    re.MULTILINE,
)
STACKED = re.compile(r'  File "(.*)", line (\d+) in (.*)')
DECORATORS = 8  # inside of each other
BUILT = "_parity_built"  # attribute of a module: where it was constructed


def is_foreign(module: str) -> bool:
    return module.partition(".")[0] in FOREIGN


def home(frame: FrameType) -> str:
    """The module a frame runs in, also of one that was started by `python -m`."""
    spec = frame.f_globals.get("__spec__")
    return spec.name if spec is not None else frame.f_globals.get("__name__", "")


def is_own(frame: FrameType) -> bool:
    """Whether a frame runs the user's code, and none of the frameworks, of Python's own library or of NumPy's kin."""
    return not is_of_library(frame.f_code.co_filename) and not is_foreign(home(frame))


def is_of_library(file: str) -> bool:
    own = file.startswith(LIBRARY) and not is_installed(file)
    return own or file.startswith("<frozen ")


def is_installed(file: str) -> bool:
    """Whether it came with pip, into this interpreter."""
    return file.startswith(LIBRARY) and file.startswith(PACKAGES, len(LIBRARY))


def last_frames(printed: str) -> list[str]:
    """ "FILE:LINE, in FUNCTION" of the user's frames, innermost first, of the last that faulthandler printed."""
    found = STACK.findall(printed)
    return [
        f"{file}:{line}, in {function}"
        for file, line, function in STACKED.findall(found[-1] if found else "")
        if not is_of_library(file) and not is_foreign(package_of(file))
    ]


def package_of(file: str) -> str:
    """The package that a file is installed with, "" where it is none: in site-packages, in another folder that pip
    has filled, or beside parity."""
    installed = re.search(r"/(?:site|dist)-packages/(\w+)", file)
    if installed:
        return installed[1]
    path = Path(file)
    for folder in path.parents:
        name = path.relative_to(folder).parts[0].removesuffix(".py")
        if name in installed_in(folder):
            return name
    return path.relative_to(OURS).parts[0] if path.is_relative_to(OURS) else ""


@functools.cache
def installed_in(folder: Path) -> frozenset[str]:
    """Packages and modules that pip's records in a folder tell of; none of what merely lies beside them."""
    found = set()
    with contextlib.suppress(OSError):
        for record in folder.glob("*.dist-info/RECORD"):
            lines = record.read_text(errors="replace").splitlines()
            found |= {re.split("[/,]", line, maxsplit=1)[0].removesuffix(".py") for line in lines}
    return frozenset(found)


def caller(frame: FrameType | None) -> str:
    """The nearest place of the user's at or above a frame; "" when there is none."""
    while frame is not None:
        if is_own(frame):
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
    if frame is None or not is_own(frame):
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


def own_frames(error: BaseException) -> list[str]:
    """ "FILE:LINE, in FUNCTION: CODE" of the user's frames in a traceback, outermost first."""
    return [told(frame, line) for frame, line in frames_of(error) if is_own(frame)]


def handled(error: BaseException) -> list[str]:
    """Of the exception that the user's code was handling as it raised another: what it was, and where it came up."""
    first = error.__cause__ or error.__context__
    frames = [(f, n) for f, n in frames_of(first) if is_own(f)] if first is not None else []
    raising = [frame for frame, _ in frames_of(error)][-1:]
    if not frames or not raising or not is_own(raising[0]):
        return []
    (frame, line), text = frames[-1], str(first).strip().split("\n")[0]
    place = f"{qualified(frame.f_code)}() ({frame.f_code.co_filename}:{line})"
    what = type(first).__name__ + (f": {text[:200]}" if text and text not in str(error) else "")
    return [f"it was handling {what}, raised in {place}"]


def own_callers(frame: FrameType | None) -> list[str]:
    """The same of the user's frames at and above one that runs."""
    found = []
    while frame is not None:
        found += [told(frame, frame.f_lineno)] if is_own(frame) else []
        frame = frame.f_back
    return found[::-1]


def other_frames(error: BaseException) -> list[str]:
    """The same of frameworks and libraries; of the harness where there are no others."""
    frames = [(f, n) for f, n in frames_of(error) if not f.f_code.co_filename.startswith("<")]
    others = [(frame, line) for frame, line in frames if not is_harness(frame)]
    return [told(frame, line) for frame, line in others or frames]


def is_harness(frame: FrameType) -> bool:
    return home(frame).partition(".")[0] == HARNESS


def frames_of(error: BaseException) -> Iterator[tuple[FrameType, int]]:
    """Frames and their lines, outermost first."""
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


def told(frame: FrameType, line: int) -> str:
    code = frame.f_code
    text = linecache.getline(code.co_filename, line).strip()
    return f"{code.co_filename}:{line}, in {qualified(code)}: {text}"


def qualified(code: CodeType) -> str:
    """ "Class.method" where Python tells it (3.11), else "method"; a function within another without "<locals>"."""
    return getattr(code, "co_qualname", code.co_name).replace("<locals>.", "")


def shown(place: str) -> str:
    """A place in the code as one would type it here: below the working directory without that."""
    file, _, line = place.rpartition(":")
    if not file or not os.path.isabs(file):
        return place
    here = Path.cwd()
    path = Path(file)
    return f"{path.relative_to(here)}:{line}" if path.is_relative_to(here) else place
