"""What a user's packages import: folders for one side, stand-ins for what is not installed, packages without their
__init__.

Before: half.py, which asks.
"""

from __future__ import annotations

import collections
import collections.abc
import sys
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import FunctionType, ModuleType
from unittest.mock import MagicMock

import numpy as np

from parity.backends import base
from parity.case import Side
from parity.engine.values import tree
from parity.errors import InputError
from parity.loading import call, importing, resolve

LACKING = 20  # packages at most that are told at once
NEEDED = {"numpy", "parity", "jittor_setup", "door", *sys.stdlib_module_names}


GIVEN: list[tuple] = []  # arrays that stand-ins were called with, and what was called


class Nothing:
    """What a class is derived from whose base is not installed."""

    def __init__(self, *_, **__): ...


class Anything(MagicMock):
    """What is found in a stand-in: called, entered, derived from, or the decorator of what stays as it is written."""

    def __call__(self, *args, **named):
        if len(args) == 1 and not named and isinstance(args[0], (type, FunctionType)):
            return args[0]
        GIVEN.extend((x, self._extract_mock_name()) for x in args if hasattr(x, "shape"))
        return super().__call__(*args, **named)

    def __mro_entries__(self, bases: tuple) -> tuple[type, ...]:
        return (Nothing,)


class StandIn(ModuleType):
    """A module that has every name; what they stand for does nothing. It is as new as anybody may want."""

    __path__: tuple = ()
    __version__ = "9999.0"

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        value = Anything(name=f"{self.__name__}.{name}")
        setattr(self, name, value)
        return value


def real(outputs):
    """The same; TypeError where a part is what a stand-in gave: on both sides alike it would look like agreement."""
    for path, part in tree.leaves(outputs, lambda x: isinstance(x, (Anything, StandIn))):
        name = part.__name__ if isinstance(part, StandIn) else part._extract_mock_name()
        where = f"{path} of what it gives" if path else "what it gives"
        raise TypeError(f"{where} is a stand-in, {name}: it is compared; take it out of STAND_INS")
    return outputs


class Importer(MetaPathFinder, Loader):
    """Before the usual finders: stand-ins, with all that is below them, and packages whose __init__ is not run."""

    def __init__(self, stand_ins: Iterable[str], bare: Iterable[str]):
        self.stand_ins, self.bare = tuple(stand_ins), tuple(bare)

    def find_spec(self, name: str, path=None, target=None) -> ModuleSpec | None:
        if any(name == s or name.startswith(f"{s}.") for s in self.stand_ins):
            return ModuleSpec(name, self, is_package=True)
        if name not in self.bare:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.submodule_search_locations is None:
            raise InputError(f"WITHOUT_INIT: there is no package {name} on this side's path")
        spec.loader = self
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None if spec.name in self.bare else StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is run."""


def add_folders(folders: Iterable[Path | str], base: Path) -> None:
    """First on sys.path; relative ones are below `base`. InputError where there is none."""
    for folder in reversed(list(folders)):
        full = (base / Path(folder).expanduser()).resolve()
        if not full.is_dir():
            raise InputError(f"PATHS: {full}: no such folder")
        if str(full) in sys.path:
            sys.path.remove(str(full))
        sys.path.insert(0, str(full))


def imported(build: Callable, stand_ins: tuple[str, ...], bare: tuple[str, ...]):
    """What build() gives. The importer stays: the user's code imports on later calls, too."""
    restore_old_names()
    put(stand_ins, bare)
    try:
        return build()
    except ModuleNotFoundError as error:
        told = with_hint(error, lacking(error, build, stand_ins, bare), stand_ins)
        raise told.with_traceback(error.__traceback__) from error  # with the user's lines
    except ImportError as error:  # a module that is there lacks the name
        if not error.name:
            raise
        hint = (
            f"if what is compared does not use it, write STAND_INS = {(*stand_ins, error.name)!r}"
        )
        told = ImportError(f"{error}; {hint} in the pair file", name=error.name)
        raise told.with_traceback(error.__traceback__) from error


def check_stand_ins(names: tuple[str, ...], framework: str) -> None:
    """InputError for one of what this half cannot do without, parts that its imported framework has loaded included."""
    needed = NEEDED | {framework}
    for name in names:
        loaded = sys.modules.get(name)
        is_part = name.partition(".")[0] in needed and loaded is not None
        if not name or name in needed or (is_part and not isinstance(loaded, StandIn)):
            raise InputError(
                f"STAND_INS: {name!r} is nothing that {framework}'s half can do without; name packages that are not "
                "installed, or your own that what is compared does not use"
            )


def made(side: Side, **offered):
    """What a side's target gives for its arguments, and for those offered that it has parameters for."""
    with own_framework(side.backend):
        return call(resolve(side.build), **side.arguments, **offered)


@contextmanager
def own_framework(own: str):
    """Around what builds a half: a framework of another half that cannot be imported there is told as that."""
    try:
        yield
    except Exception as error:
        other = next((name for name in importing(error) if name in base.NAMES), own)
        if other == own:
            raise
        first = error.__cause__ if isinstance(error, ModuleNotFoundError) else None
        told = first or (
            error if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        )
        hint = (
            f"this half runs in {own}'s process: import {other} in {other}'s half alone or, if it is not used here, "
            f"write STAND_INS = {{{own!r}: ({other!r},)}} in the pair file"
        )
        raise ImportError(f"{told}; {hint}").with_traceback(error.__traceback__) from error


def put(stand_ins: tuple[str, ...], bare: tuple[str, ...]) -> None:
    """Such an importer, in the place of one that is there; what it stands for is forgotten where it was imported."""
    sys.meta_path[:] = [x for x in sys.meta_path if not isinstance(x, Importer)]
    if stand_ins or bare:
        sys.meta_path.insert(0, Importer(stand_ins, bare))
    for name, module in list(sys.modules.items()):
        if f"{name}.".startswith(tuple(f"{s}." for s in stand_ins)) and not isinstance(
            module, StandIn
        ):
            del sys.modules[name]


def restore_old_names() -> None:
    """What Python 3.10 and NumPy 1.24 took away, and code of before them imports."""
    for name in collections.abc.__all__:
        if not hasattr(collections, name):
            setattr(collections, name, getattr(collections.abc, name))
    for name, kind in {"int": int, "float": float, "bool": bool, "object": object}.items():
        if name not in vars(np):
            setattr(np, name, kind)


def lacking(error, build: Callable, stand_ins: tuple, bare: tuple) -> tuple[str, ...]:
    """All packages that build() wants and that are not installed: tried again, each with a stand-in."""
    found: list[str] = []
    while isinstance(error, ModuleNotFoundError) and len(found) < LACKING:
        root = (error.name or "").partition(".")[0]
        if not root or root in found or root in sys.modules:
            break
        found.append(root)
        put((*stand_ins, *found), bare)
        try:
            build()
            break
        except Exception as other:
            error = other
    put(stand_ins, bare)
    for name in [n for n, m in sys.modules.items() if isinstance(m, StandIn)]:
        if name.partition(".")[0] in found:
            del sys.modules[name]
    return tuple(found)


def with_hint(
    error: ModuleNotFoundError, lost: tuple[str, ...], stand_ins: tuple[str, ...]
) -> ModuleNotFoundError:
    """The error with what a pair file can say about it; `stand_ins`: what it says already."""
    name = error.name or ""
    hint = f"install it or, if what is compared does not use it, write STAND_INS = {(*stand_ins, *lost)!r}"
    if not lost:
        root = name.partition(".")[0]
        hint = f"if only an __init__ of the package wants it, write WITHOUT_INIT = ({root!r},)"
    elif len(lost) > 1:
        hint = f"so are {', '.join(lost[1:])} not; {hint.replace('install it', 'install them')}"
    return ModuleNotFoundError(f"{error}; {hint} in the pair file", name=error.name)
