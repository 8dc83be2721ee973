"""What a user's packages import: folders for one side, stand-ins for what is not installed, packages without their
__init__.

Before: half.py, which asks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

from parity.errors import InputError


class StandIn(ModuleType):
    """A module that has every name; what they stand for does nothing."""

    __path__: tuple = ()

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        value = MagicMock(name=f"{self.__name__}.{name}")
        setattr(self, name, value)
        return value


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


def with_hint(error: ModuleNotFoundError) -> ModuleNotFoundError:
    """The error with what a pair file can say about it."""
    name = error.name or ""
    root = name.partition(".")[0]
    if name != root and root in sys.modules:
        hint = f"if only an __init__ of the package wants it, write WITHOUT_INIT = ({root!r},)"
    else:
        hint = f"install it or, if what is compared does not use it, write STAND_INS = ({root!r},)"
    return ModuleNotFoundError(f"{error}; {hint} in the pair file", name=error.name)
