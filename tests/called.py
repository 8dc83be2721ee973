"""Functions one by one, of a half whose module `ported` has changes on one side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from parity import Case, Side, Workers, examine
from parity.engine.ask.called import check_called
from parity.engine.judge.verdicts import Verdict
from parity.engine.tell.causes import Cause, causes_of
from parity.engine.tell.known import with_known


def pair_of(
    folder: Path, texts: tuple[str, str], inputs: tuple, gradients: bool = False
) -> tuple[Case, list[Side]]:
    """texts: `ported` of both sides; folder: where pair.py lies."""
    sides = []
    for text in texts:
        home = folder / f"side{len(list(folder.iterdir()))}"
        home.mkdir()
        (home / "ported.py").write_text(text)
        sides.append(Side(f"{folder}/pair.py:half", "torch", path=(str(home),)))
    return Case("pair", *sides, lambda: inputs, gradients=gradients, float32=False), sides


def compared(*of_pair) -> tuple[list[Verdict], list[Cause]]:
    """What is said of the functions, and all causes; the arguments are pair_of's."""
    case, sides = pair_of(*of_pair)
    with Workers(*sides) as workers:
        called = check_called(case, workers).verdicts
        return called, causes_of(with_known([*examine(case, workers).verdicts, *called]))


def changed(text: str, changes: Iterable[tuple[str, str]] | Mapping[str, str]) -> str:
    for old, new in dict(changes).items():
        assert old in text
        text = text.replace(old, new)
    return text
