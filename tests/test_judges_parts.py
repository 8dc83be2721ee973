"""Small parts of what judges, each by itself."""

from __future__ import annotations

import pytest

from parity.engine.judge.weights import LISTED, listed
from parity.engine.values.aligned import unlike_modules


@pytest.mark.parametrize("count", [1, LISTED - 1, LISTED, LISTED + 1, LISTED + 30])
def test_names_are_listed_as_far_as_they_can_be_read(count):
    names = [f"n{k}" for k in range(count)]
    found = listed(names)
    shown, _, more = found.partition(" and ")
    assert shown.split(", ") == names[:LISTED]
    assert more == (f"{count - LISTED} more" if count > LISTED else "")


def layer(kind: str, leaf: bool, holds: bool) -> dict:
    return {"type": kind, "leaf": leaf, "holds": holds}


@pytest.mark.parametrize("swapped", [False, True])
def test_modules_are_unlike_where_a_bare_leaf_has_the_name_of_one_with_tensors(swapped):
    bare, full = layer("Identity", True, False), layer("Linear", True, True)

    def unlike(a, b):
        pair = ({"a": a}, {"a": b})
        return unlike_modules(*(pair[::-1] if swapped else pair))

    assert unlike(bare, full) == unlike(bare, layer("Block", False, True)) == {"a"}
    assert not unlike(bare, layer("Identity", True, True)), "one class"
    assert not unlike(bare, layer("ReLU", True, False)) and not unlike(
        full, layer("Conv", True, True)
    )
    assert not unlike(layer("Sequential", False, False), full), "what is in it may hold them"
    assert not unlike({"type": "Identity"}, full), "of which it is not known"
    assert unlike_modules({}, {"a": full}) == unlike_modules({"a": full}, {}) == set()
