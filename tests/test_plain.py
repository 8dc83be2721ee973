"""Trees of arrays and plain values: which are the same, which another process understands."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import pytest

from parity.engine.ask.arguments import alike, places
from parity.engine.ask.called import numbers
from parity.engine.values.plain import is_simple, same

LEAVES = (
    *(None, True, 3, 2.5, "name", float("nan")),
    *(np.arange(4), np.array(1.5), np.array([[1.0, np.nan], [np.inf, 0.0]]), np.zeros((0, 4))),
)


def drawn(random: np.random.Generator, depth: int = 3):
    """A tree: lists, tuples and dictionaries with up to three parts, and leaves."""
    kind = random.integers(4) if depth else 3
    if kind == 3:
        leaf = LEAVES[int(random.integers(len(LEAVES)))]
        return copy.deepcopy(leaf)
    parts = [drawn(random, depth - 1) for _ in range(int(random.integers(1, 4)))]
    if kind == 2:
        return {f"k{n}": part for n, part in enumerate(parts)}
    return parts if kind == 0 else tuple(parts)


def paths(tree, path=()):
    """Of all leaves."""
    if not isinstance(tree, (dict, list, tuple)):
        return [path]
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    return [p for key, part in items for p in paths(part, (*path, key))]


def put(tree, path, change):
    """A copy with change(leaf) at one path."""
    if not path:
        return change(tree)
    if isinstance(tree, dict):
        return {k: put(v, path[1:], change) if k == path[0] else v for k, v in tree.items()}
    parts = [put(v, path[1:], change) if k == path[0] else v for k, v in enumerate(tree)]
    return type(tree)(parts)


def another(leaf):
    if isinstance(leaf, np.ndarray):
        return np.ones((1, *leaf.shape)) if leaf.dtype.kind != "f" or not leaf.size else leaf + 1e-3
    return "another"


@pytest.mark.parametrize("seed", range(40))
def test_one_other_leaf_makes_another_tree(seed):
    random = np.random.default_rng(seed)
    tree = drawn(random)
    assert same(tree, copy.deepcopy(tree)) and is_simple(tree)
    for path in paths(tree):
        other = put(tree, path, another)
        whole = put(tree, path, lambda leaf: [leaf])
        assert not same(tree, other) and not same(other, tree)
        assert not same(tree, whole) and not same(whole, tree)
        for odd in (object(), SimpleNamespace(a=np.ones(2)), {2.5: 1}, {1, 2}, np.float32):
            assert not is_simple(put(tree, path, lambda leaf, odd=odd: odd))


def test_trees_are_the_same_but_for_rounding_and_for_lists_and_tuples():
    x = np.array([1.0, 1e-13, np.nan])
    assert same([x], (x * (1 + 1e-9),)) and not same(x, x * (1 + 1e-5))
    assert same(x, x + 1e-13) and not same(x, x + 1e-11)
    assert same(np.array(2.0), np.array([2.0])) and not same(np.array(2.0), np.array([[2.0]]))
    assert not same({"a": 1}, {"a": 1, "b": 2}) and not same([1], [1, 2]) and not same(x, 1)
    assert not same({"a": 1}, [1]) and not same(x, [1.0, 2.0, 3.0]) and not same(x, None)
    assert same(2.5, 2.5 * (1 + 1e-9)) and same(np.array(2.5), 2.5) and not same(2.5, 2.6)
    names = np.array(["a", "b"])
    assert same(names, names.copy()) and not same(names, names[::-1])
    assert is_simple({1: [np.ones(2)], "a": None}) and not is_simple({(1, 2): 3})

    class Pair(tuple):
        """Another process need not have this class."""

    assert not is_simple([Pair((1, 2))])


def test_trees_are_alike_in_form():
    x, whole = np.ones((2, 3)), np.arange(3)
    assert alike({"a": [x, whole]}, {"a": (2 * x[:1], whole[:0])})
    assert alike(np.ones(1), np.array(2.0)) and alike(np.ones(1), np.ones(7))
    assert not alike(np.ones(7), np.array(2.0)) and not alike(x, x[0]) and not alike(x[0], whole)
    assert alike(True, 2.5) and alike("a", "b") and alike(None, None) and alike((1,), [2])
    for a, b in ((1, "1"), (None, 1), ([1], [1, 2]), ({"a": 1}, {"b": 1}), (x, [x]), (x, 1)):
        assert not alike(a, b) and not alike(b, a)


def of_another_form(leaf):
    if isinstance(leaf, np.ndarray):
        whole = leaf.astype(int if leaf.dtype.kind == "f" else float)
        return [leaf[None, None], whole, 1.5, "text"]
    return [np.ones(2), None if isinstance(leaf, str) else "text", [leaf], {"k0": leaf}]


@pytest.mark.filterwarnings("ignore:invalid value")  # NaN as a whole number
@pytest.mark.parametrize("seed", range(40))
def test_one_leaf_of_another_form_makes_a_tree_of_another_form(seed):
    random = np.random.default_rng(seed)
    tree = drawn(random)
    assert alike(tree, copy.deepcopy(tree))
    for path in paths(tree):
        leaf = at(tree, path)
        if isinstance(leaf, np.ndarray):
            assert alike(tree, put(tree, path, np.zeros_like))
        for other in of_another_form(leaf):
            changed = put(tree, path, lambda _, other=other: other)
            assert not alike(tree, changed) and not alike(changed, tree)


def at(tree, path):
    return at(tree[path[0]], path[1:]) if path else tree


def call(*arguments, names="", usual=(), results=1.0) -> dict:
    return {
        **{"arguments": list(arguments), "results": np.asarray(results)},
        **{"names": list(names), "usual": list(usual)},
    }


def test_arguments_are_paired_by_place_or_by_name():
    x, scores = np.ones((2, 3)), np.ones(3)
    ours = call(x, scores, 0.5, names="xst")
    assert places(ours, call(x, scores, 0.7, None, names="abcd")) == [(True, k) for k in range(3)]
    assert places(ours, call(0.5, scores, x, names="tsx")) == [(True, 2), (True, 1), (True, 0)]
    assert places(ours, call(0.5, x, scores, names="tas")) == [(True, 2), (True, 0), (True, 1)]
    assert places(ours, call(x, 9, "sum", scores, names="xtms")) == [
        *((True, 0), (True, 2), (False, "sum"), (True, 1))
    ]
    assert places(ours, call(x, scores, names="xs")) == [(True, 0), (True, 1)], "a number less"
    most = call(x, None, scores, names="xis", usual="i")
    assert places(most, call(x, scores, names="xy")) == [(True, 0), (True, 2)]
    for other in (
        *(call(x, names="x"), call(x, scores, x, names="xsy")),  # arrays that nobody takes or gives
        call("sum", x, np.ones(5), names="mxs"),  # what is its own may belong to these sizes
        call(x, scores, 0.5, names="xst", results=np.ones((2, 2))),
    ):
        assert places(ours, other) is None


def test_numbers_are_told_by_path_and_whole_ones_are_of_one_kind():
    narrow = np.array([1, 2], np.int32)
    found = numbers({"a": [narrow, 2.5], "b": (True, "text", None)})
    assert {k: (v.dtype.name, v.tolist()) for k, v in found.items()} == {
        "[a][0]": ("int64", [1, 2]),
        "[a][1]": ("float64", 2.5),
        "[b][0]": ("int64", 1),
    }
    assert numbers(np.ones(2, np.float32))[""].dtype == np.float32
