"""Faults that the harness must catch, planted on one side, and the processes that they are planted in.

A worker process that installs one before anything else imports the patched source; nothing on disk changes.
The suite's `catalogue.py` lists the mutants with the check and the node that must catch each, `experiments.py` the
experiments, `python -m parity.suite.mutants` runs them all. Nobody wrote those of `breeding.py`: `operators.py` makes
them of any file, `covered.py` learns which check runs which lines, `warm.py` keeps processes warm: seconds for each.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).resolve().parent.parent.parent


def replaced_once(path: Path, old: str, new: str, who: str) -> str:
    """The file's text with `new` for `old`; ValueError, which names `who`, unless `old` occurs exactly once."""
    source = path.read_text()
    if source.count(old) != 1:
        raise ValueError(f"{who}: {old!r} occurs {source.count(old)} times in {path.name}")
    return source.replace(old, new)


class Fault(Protocol):
    """What can be planted: `patched` is the source, or the tree, of the faulty `module`, whose file is `path`."""

    name: str
    module: str
    path: Path

    def patched(self) -> str | ast.Module: ...


class _PatchedLoader(SourceFileLoader):
    def __init__(self, mutant: Fault):
        super().__init__(mutant.module, str(mutant.path))
        self.mutant = mutant

    def get_code(self, fullname):
        return compile(self.mutant.patched(), str(self.mutant.path), "exec")


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Fault):
        self.mutant = mutant

    def find_spec(self, fullname, path=None, target=None):
        if fullname != self.mutant.module:
            return None
        return importlib.util.spec_from_file_location(
            fullname, self.mutant.path, loader=_PatchedLoader(self.mutant)
        )


def install(mutant: Fault) -> None:
    """From now on this process imports the faulty module."""
    if mutant.module in sys.modules:
        raise RuntimeError(
            f"{mutant.module} is already imported: too late for mutant {mutant.name}"
        )
    sys.meta_path.insert(0, _Finder(mutant))
