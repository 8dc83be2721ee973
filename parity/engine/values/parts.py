"""An array of one side that the other holds in several (in_proj and q, k, v); names without a partner by design.

Before: case.py (Subject.split, dropped). sides/model.py cuts and joins with it.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping

import numpy as np


class Joined(Mapping):
    """Lazy arrays by name, some of them put together along axis 0: `wholes` has the names of the parts."""

    def __init__(self, source: Mapping, wholes: Mapping[str, tuple[str, ...]], hidden=()):
        self.source, self.wholes = source, wholes
        self.names = visible(source, wholes, hidden)

    def __getitem__(self, name: str) -> np.ndarray | None:
        if name not in self.wholes:
            return self.source[name]
        parts = [self.source[part] for part in self.wholes[name]]
        if all(x is None for x in parts):
            return None
        shapes = [self.source.describe(part) for part in self.wholes[name]]
        known = next(x for x in parts if x is not None)
        filled = [
            np.zeros(shape[1] if shape else known.shape, known.dtype) if x is None else x
            for x, shape in zip(parts, shapes, strict=True)
        ]
        return np.concatenate(filled)

    def describe(self, name: str) -> tuple[str, tuple[int, ...]] | None:
        """dtype and shape, as Lazy has them."""
        if name not in self.wholes:
            return self.source.describe(name)
        array = self[name]
        return None if array is None else (str(array.dtype), array.shape)

    def __contains__(self, name) -> bool:
        return name in self.names

    def __iter__(self):
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def visible(names, wholes: Mapping[str, tuple[str, ...]], hidden=()) -> list[str]:
    """The names in order, each whole in the place of its first part, without what is hidden."""
    whole_of = {part: whole for whole, parts in wholes.items() for part in parts}
    return list(dict.fromkeys(whole_of.get(n, n) for n in names if n not in hidden))


def joined(arrays: Mapping, wholes: Mapping[str, tuple[str, ...]], hidden=()) -> dict:
    """Arrays with the parts put together."""
    return {
        name: np.concatenate([arrays[part] for part in wholes[name]])
        if name in wholes
        else arrays[name]
        for name in visible(arrays, wholes, hidden)
    }


def cut(arrays: Mapping, wholes: Mapping[str, tuple[str, ...]], shapes: Mapping) -> dict:
    """The other way round: `shapes` are those of the parts. What does not fit is left out."""
    found = {name: x for name, x in arrays.items() if name not in wholes}
    for whole, parts in wholes.items():
        sizes = [shapes[part][0] for part in parts]
        if whole in arrays and len(arrays[whole]) == sum(sizes):
            pieces = np.split(arrays[whole], np.cumsum(sizes)[:-1])
            found |= dict(zip(parts, pieces, strict=True))
    return found


def wholes_of(split: Mapping[str, tuple[str, ...]], names: Mapping[str, str]) -> dict:
    """Canonical names of the parts that this side has, by whole; `names`: own name by canonical name.

    A star in a whole and its parts, "*.in_proj_weight", stands for the same text in all of them.
    """
    canonical = {own: name for name, own in names.items()}
    found = {}
    for whole, parts in split.items():
        for text in starts_of(parts[0], [*names, *canonical]) if parts else ():
            named = (part.replace("*", text) for part in parts)
            here = tuple(part if part in names else canonical.get(part, "") for part in named)
            if all(here) and here not in found.values():
                found.setdefault(whole.replace("*", text), here)
    return found


def starts_of(pattern: str, names: list[str]) -> list[str]:
    """What the star of a pattern stands for among these names, each once; of a pattern without one [""]."""
    if "*" not in pattern:
        return [""]
    head, _, tail = pattern.partition("*")
    return list(
        dict.fromkeys(
            name[len(head) : len(name) - len(tail)]
            for name in names
            if name.startswith(head) and name.endswith(tail) and len(name) >= len(head + tail)
        )
    )


def hidden_by(dropped: Mapping[str, str], names) -> dict[str, str]:
    """The reason by name for names that match a pattern."""
    return {
        name: reason
        for name in names
        for pattern, reason in dropped.items()
        if fnmatch.fnmatchcase(name, pattern)
    }
