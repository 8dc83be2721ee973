"""Both halves of a port side by side: functions and classes aligned by name, and what differs in what they do.

Told are, for each pair: defaults of parameters, numbers, bounds that only the port has, operations of the reference
that the port never does, and the order of the calls that both make. Names of the frameworks' operations are put into
one vocabulary first (vocabulary.py), so that a translation is no difference. Calls of own functions, functions that the
port's file has not, branches, loops and checks may as well be somewhere else: these are hints.
"""

from __future__ import annotations

import difflib
from collections import Counter
from pathlib import Path

from parity.atlas.lint.finding import HINT, Finding
from parity.atlas.lint.parts import Part, parts_of, whole
from parity.atlas.lint.unlike import absent, differences
from parity.errors import InputError

LEAST_ALIKE = 0.6  # of two names that differ, for a pair


def compare(reference: Path, port: Path, hints: bool = False) -> tuple[list[Finding], int]:
    """Differences, by place in the port, and how many functions were compared. InputError without functions."""
    broken: list[Finding] = []
    sides = [list(parts_of(path, broken)) for path in (reference, port)]
    for path, parts in zip((reference, port), sides, strict=True):
        if not parts and not broken:
            raise InputError(f"{path}: no functions in Python files there")
    found, count = compare_parts(*sides, hints)
    return sorted({*broken, *found}), count


def compare_parts(
    reference: list[Part], port: list[Part], hints: bool = False
) -> tuple[list[Finding], int]:
    """The same of two lists of functions."""
    sides = reference, port
    pairs = aligned(*sides)
    wholes = [whole(parts) for parts in sides]
    found = [finding for a, b in pairs for finding in differences(a, b, *wholes)]
    found += absent(sides[0], pairs)
    return sorted({f for f in found if hints or f.level != HINT}), len(pairs)


def aligned(reference: list[Part], port: list[Part]) -> list[tuple[Part, Part]]:
    """By name; then what is left by alike names, of classes and files alike as well."""
    pairs, left = [], list(port)
    for part in reference:
        same = [p for p in left if p.name == part.name]
        if same:
            best = max(same, key=lambda p: (p.path.stem == part.path.stem, similar(p, part)))
            pairs.append((part, best))
            left.remove(best)
    paired = {id(a) for a, _ in pairs}
    for part in (p for p in reference if id(p) not in paired):
        near = max(left, key=lambda p: similar(p, part), default=None)
        if near is not None and similar(near, part) >= LEAST_ALIKE and alike(near, part):
            pairs.append((part, near))
            left.remove(near)
    paired = {id(a) for a, _ in pairs}
    for part in (p for p in reference if id(p) not in paired):  # a class of another name
        method = part.name.rpartition(".")[2]
        same = [p for p in left if p.name.rpartition(".")[2] == method and alike(p, part)]
        if same:
            pairs.append((part, same[0]))
            left.remove(same[0])
    return pairs


def similar(a: Part, b: Part) -> float:
    """0 to 1: how much of the calls is the same."""
    left, right = Counter(n for n, _ in a.calls), Counter(n for n, _ in b.calls)
    total = max(left.total(), right.total())
    return (left & right).total() / total if total else 0.0


def alike(a: Part, b: Part) -> bool:
    """By their names; of methods of one name by their classes'."""
    names = [x.name.lower() for x in (a, b)]
    (one, first), (other, second) = ((n.rpartition(".")[0], n.rpartition(".")[2]) for n in names)
    if first == second and one and other:
        names = [one, other]
    return difflib.SequenceMatcher(None, *names).ratio() >= LEAST_ALIKE
