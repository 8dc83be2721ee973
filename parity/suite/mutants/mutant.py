"""A fault that somebody wrote down: a change of one of this project's files, and where it must be caught."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from parity.mutants import ROOT, replaced_once


@dataclass(frozen=True)
class Mutant:
    """In `file` (below {side}_impl, or "neutral/..."), `old` becomes `new`, on `side` only.

    `experiment` must then fail first at `check` and `node`. `source` says which known defect this is.
    """

    name: str
    side: str
    file: str
    old: str
    new: str
    experiment: str
    check: str
    node: str
    source: str = ""
    fast: bool = False  # in the default tests

    @property
    def path(self) -> Path:
        shared = self.file.startswith("neutral/")
        return ROOT / (self.file if shared else f"{self.side}_impl/{self.file}")

    @property
    def module(self) -> str:
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def patched(self) -> str:
        """The source with the fault; ValueError unless `old` occurs exactly once."""
        return replaced_once(self.path, self.old, self.new, f"mutant {self.name}")
