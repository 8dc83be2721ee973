"""Targets, "package.module:function" or "file.py:function", looked up by name in the process that needs them."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from parity.errors import InputError


def resolve(target: str) -> Callable:
    """The function of that name; InputError says what is missing."""
    place, _, name = target.rpartition(":")
    if not place or not name:
        raise InputError(
            f'target {target!r}: write "package.module:function" or "file.py:function"'
        )
    module = load_file(place) if place.endswith(".py") else _module(place, target)
    found = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise InputError(f"{place}: defines no function {name}")
    return found


def _module(name: str, target: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise InputError(
                f"target {target!r}: there is no module {error.name} on this side's path"
            ) from None
        raise


def load_file(path: Path | str) -> ModuleType:
    """The file as a module, run once per process; InputError when it is missing or cannot be run."""
    path = Path(path).expanduser().resolve()
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise InputError(f"{path}: {what}; write a file as docs/pairs.md shows")
    # a file that was written anew is another module
    name = f"parity_file_{path.stem}_{abs(hash((str(path), path.stat().st_mtime_ns))):x}"
    if name in sys.modules:
        return sys.modules[name]
    specification = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(specification)
    folder = str(path.parent)  # the file may import its neighbours
    if folder not in sys.path:
        sys.path.insert(0, folder)
    sys.modules[name] = module
    try:
        specification.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # an argument parser asks the process to end
        del sys.modules[name]
        told = "it calls sys.exit" if isinstance(error, SystemExit) else type(error).__name__
        raise InputError(f"{path}: cannot be run: {told}: {error}") from error
    return module


class Refused:
    """A finder of modules, for sys.meta_path: the package is not imported in this process."""

    def __init__(self, package: str):
        self.package = package

    def find_spec(self, name: str, path=None, target=None):
        if name.partition(".")[0] == self.package:
            raise ModuleNotFoundError(f"{self.package} is not for this process", name=name)


@contextmanager
def refusing(package: str) -> Iterator[None]:
    """Inside, an import of the package raises ModuleNotFoundError, unless it was imported before."""
    finder = Refused(package)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def importing(error: BaseException) -> list[str]:
    """The packages whose import an error ended, outermost first."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    found = [
        (frame.f_globals.get("__name__") or "").partition(".")[0]
        for frame in frames
        if frame.f_code.co_name == "<module>" and Path(frame.f_code.co_filename).stem == "__init__"
    ]
    lost = getattr(error, "name", "") if isinstance(error, ModuleNotFoundError) else ""
    return [*found, (lost or "").partition(".")[0]]


def call(function: Callable, **offered):
    """The function, with those of the offered arguments that it has parameters for."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return function(**offered)
    names = {p.name for p in parameters}
    return function(**{k: v for k, v in offered.items() if k in names})
