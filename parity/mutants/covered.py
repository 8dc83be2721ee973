"""Which lines a process runs, and for whom: what a check can see of the code that is changed.

Planted as a preload of a copy (warm.py). coverage.py tells lines, but not in which module of a network they ran.
"""

from __future__ import annotations

import sys
from pathlib import Path

from parity.engine.values.nodes import OUTSIDE, ROOT
from parity.mutants import ROOT as FOLDER

CONSTRUCTOR = "__init__"


class Coverage:
    """By file below `root`: the lines that ran; by "FILE:FUNCTION" for whom it ran, see `contexts`."""

    def __init__(self, prefixes: tuple[str, ...], root: Path = FOLDER):
        self.prefixes, self.root = tuple(f"{root}/{p}" for p in prefixes), f"{root}/"
        self.lines: dict[str, set[int]] = {}
        self.owners: dict[str, set[str]] = {}
        self.made: dict[str, set[int]] = {}  # by function: identities of what it constructed for
        self.callers: dict[str, set[str]] = {}

    def __call__(self, frame, event, _):
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(self.prefixes):
            return None
        file = code.co_filename.removeprefix(self.root)
        lines = self.lines.setdefault(file, set())
        lines.add(frame.f_lineno)
        if code.co_name != "<module>":
            self.placed(frame, f"{file}:{code.co_qualname}")

        def line(frame, event, _):
            lines.add(frame.f_lineno)
            return line

        return line

    def placed(self, frame, function: str) -> None:
        """Notes the network's module in whose call a frame is, the innermost object that is being constructed, and who
        called."""
        owner, above, made = "", frame, None
        while above is not None:
            code = above.f_code
            if code.co_filename.startswith(self.prefixes):
                caller = f"{code.co_filename.removeprefix(self.root)}:{code.co_qualname}"
                self.callers.setdefault(function, set()).add(caller)
                if code.co_name == CONSTRUCTOR and made is None and "self" in above.f_locals:
                    made = id(above.f_locals["self"])
                    self.made.setdefault(function, set()).add(made)
            if code.co_name == "traced" and code.co_filename.endswith("engine/sides/tracer.py"):
                owner = owner or above.f_locals["name"]
            above = above.f_back
        self.owners.setdefault(function, set()).add(owner or OUTSIDE)

    def told(self, modules: dict) -> dict:
        """As JSON has it: {"lines": {file: [...]}, "owners", "made", "callers": {function: [...]}}."""
        names = {id(module): name or ROOT for name, module in modules.items()}
        made = {f: {names[i] for i in ids if i in names} for f, ids in self.made.items()}
        parts = {"lines": self.lines, "owners": self.owners, "made": made, "callers": self.callers}
        return {k: {name: sorted(x) for name, x in part.items()} for k, part in parts.items()}


STARTED: list[Coverage] = []


def begin(prefixes: str) -> None:
    """From now on this process notes what it runs of the files below "A,B"."""
    STARTED.append(Coverage(tuple(prefixes.split(","))))
    sys.settrace(STARTED[-1])


def seen(server) -> dict:
    """What was noted since."""
    sys.settrace(None)
    modules = server.runner.modules() if server.runner is not None else {}
    return STARTED[-1].told(modules)
