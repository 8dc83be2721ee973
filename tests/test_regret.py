"""Regrets against brute force over perturbed evidence; every mutant of neutral/regret.py falls to a check."""

from __future__ import annotations

import ast
import functools
import itertools
import types
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from neutral import regret
from neutral.config.faster_rcnn import LabelConfig
from neutral.geometry import pairwise_iou

STEP = 0.05  # evidence lies on grids of this step, thresholds between
ROOMY = LabelConfig(positive=0.725, negative=0.325, low_quality=True)
THRESHOLD = 0.4  # of suppression
TIGHT = LabelConfig(positive=0.525, negative=0.525, negative_from=0.125, low_quality=False)


def grid(generator, *shape: int) -> np.ndarray:
    return generator.integers(0, 21, shape) * STEP


def labels_of(overlap: np.ndarray, allowed: np.ndarray, rules: LabelConfig) -> np.ndarray:
    """The rule in plain words: overlap [N, T], -1 for no pair."""
    best = np.maximum(overlap.max(axis=1, initial=-1), 0)
    label = np.full(len(best), -1)
    label[(best >= rules.negative_from - 1e-9) & (best < rules.negative - 1e-9)] = 0
    label[best >= rules.positive - 1e-9] = 1
    for t in range(overlap.shape[1] if rules.low_quality else 0):
        if (overlap[:, t] >= 0).any():
            label[(overlap[:, t] >= 0) & (overlap[:, t] >= overlap[:, t].max() - 1e-9)] = 1
    return np.where(allowed, label, -1)


def nearest_label(overlap, allowed, box: int, wanted: int, rules: LabelConfig) -> float:
    """The smallest greatest change of one box's own overlaps that gives it another label, on the grid."""
    pairs = np.flatnonzero(overlap[box] >= 0)
    found = np.inf
    steps = np.arange(-20, 21) * STEP
    for change in itertools.product(steps, repeat=len(pairs)):
        size = max(map(abs, change), default=0.0)
        moved = overlap.copy()
        moved[box, pairs] += change
        if size < found and moved[box, pairs].min(initial=0) > -1e-9:
            moved[box, pairs] = np.maximum(moved[box, pairs], 0)
            if labels_of(moved, allowed, rules)[box] == wanted:
                found = size
    return found


@functools.cache
def labelled() -> list[tuple]:
    """(overlap, allowed, rules, a label, the labels by the rule, per box what brute force finds)."""
    found = []
    for rules, seed in itertools.product((ROOMY, TIGHT), range(6)):
        generator = np.random.default_rng(seed)
        overlap = generator.permutation(21)[:8].reshape(4, 2) * STEP  # no ties
        allowed = generator.random(4) < 0.8
        overlap[~allowed] = -1
        if seed % 3 == 0:
            overlap[:, 1] = -1  # padding
        mine = labels_of(overlap, allowed, rules)
        for wanted in (1, 0, -1):
            nearest = [nearest_label(overlap, allowed, k, wanted, rules) for k in range(4)]
            found.append((overlap, allowed, rules, wanted, mine, nearest))
    return found


def check_labels(module) -> None:
    for overlap, allowed, rules, wanted, mine, nearest in labelled():
        given = np.full((1, 4), wanted)
        found = module.label_regret(overlap[None], allowed[None], given, rules)
        assert found.shape == (1, 4) and not found[0, (mine == wanted) & ~allowed].any()
        for box in np.flatnonzero(mine != wanted):
            if np.isinf(nearest[box]):
                assert np.isposinf(found[0, box])
            else:  # what must be crossed is crossed at the next place of the grid
                assert 0 <= nearest[box] - found[0, box] + 1e-9 < STEP + 1e-6
    alone = np.array([[[0.4], [-1.0]]])
    found = module.label_regret(alone, np.ones((1, 2), bool), np.zeros((1, 2)), ROOMY)
    assert np.isinf(found[0, 0]) and found[0, 1] == 0
    tie = module.label_regret(
        np.full((1, 2, 1), 0.4), np.ones((1, 2), bool), -np.ones((1, 2)), ROOMY
    )
    assert tie.tolist() == [[0, 0]]
    empty = module.label_regret(
        np.full((1, 3, 0), -1.0), np.ones((1, 3), bool), np.array([[0, 1, -1]]), ROOMY
    )
    assert empty[0, 0] == 0 and empty[0, 1] == np.inf and empty[0, 2] == np.inf


def check_matches(module) -> None:
    overlap = np.array([[[0.69, 0.1, 0.3], [0.2, 0.5, 0.5]]])
    for index in itertools.product(range(3), repeat=2):
        found = module.match_regret(overlap, np.array([index]))
        expected = [max(overlap[0, k]) - overlap[0, k, index[k]] for k in range(2)]
        assert found.tolist() == pytest.approx(np.array([expected]))


def suppressed(overlap: np.ndarray, level, good, threshold: float) -> np.ndarray:
    kept = np.zeros(len(level), bool)
    for k in range(len(level)):
        rivals = [j for j in range(k) if kept[j] and level[j] == level[k]]
        kept[k] = good[k] and all(overlap[j, k] <= threshold for j in rivals)
    return kept


@functools.cache
def suppressible() -> list[tuple]:
    """(boxes, levels, good, what is kept, by how much IoUs must change for that), of every subset of four boxes."""
    generator, found = np.random.default_rng(2), []
    pairs = [(j, k) for k in range(4) for j in range(k)]
    for _ in range(6):
        corners = generator.uniform(0, 6, (4, 2))
        boxes = np.concatenate([corners, corners + generator.uniform(4, 9, (4, 2))], 1)
        level, good = generator.integers(0, 2, 4), np.arange(4) != 2
        overlap = pairwise_iou(boxes, boxes)[0]
        least = dict.fromkeys(itertools.product((False, True), repeat=4), np.inf)
        # each IoU stays, or crosses the threshold
        for turned in itertools.product((False, True), repeat=len(pairs)):
            moved, size = overlap.copy(), 0.0
            for j, k in itertools.compress(pairs, turned):
                size = max(size, abs(overlap[j, k] - THRESHOLD))
                moved[j, k] = 1.0 if overlap[j, k] <= THRESHOLD else 0.0
            kept = tuple(suppressed(moved, level, good, THRESHOLD).tolist())
            least[kept] = min(least[kept], size)
        found += [(boxes, level, good, np.array(kept), size) for kept, size in least.items()]
    return found


def check_suppression(module) -> None:
    for boxes, level, good, kept, size in suppressible():
        found = module.nms_regret(boxes[None], level[None], good[None], THRESHOLD, kept[None])
        assert found.shape == (1, 1) and found.item() == pytest.approx(size)
    flat = np.array([[[0, 0, 0, 5], [0, 0, 0, 5.0]]])  # no area
    both = np.ones((1, 2), bool)
    assert module.nms_regret(flat, np.zeros((1, 2)), both, 0.5, both).item() == 0


def check_orders(module) -> None:
    scores = np.array([[0.9, 0.5, 0.5, 0.1, -1.8]])
    order = np.array([[0, 1, 2]])
    for given in itertools.product(range(5), repeat=3):
        found = module.order_regret(scores, order, np.array([given]))[0]
        if len(set(given)) < 3:
            assert np.isinf(found).all(), "a place twice"
        else:
            assert found == pytest.approx(np.abs(scores[0, :3] - scores[0, list(given)]) / 1.8)


def check_bounds(module) -> None:
    """The other answer: one margin below zero, or all above."""
    generator = np.random.default_rng(3)
    margins = grid(generator, 2, 25, 3) - 0.5 + STEP / 2
    values = module.bounds_regret(margins)
    assert values.shape == (2, 25)
    for row, found in zip(margins.reshape(-1, 3), values.ravel(), strict=True):
        is_taken = (row >= 0).all()
        sizes = np.arange(0, 40) * STEP / 2
        turned = [((row - s < 0).any() if is_taken else (row + s >= 0).all()) for s in sizes]
        assert found == pytest.approx(sizes[turned.index(True)], abs=STEP / 2 + 1e-9)
        assert not is_taken or found == min(row)


def check_assignments(module) -> None:
    generator = np.random.default_rng(4)
    for _ in range(5):
        cost = generator.normal(size=(4, 3)).astype(np.float32)
        totals = {
            given: sum(float(cost[q, t]) for t, q in enumerate(given))
            for given in itertools.permutations(range(4), 3)
        }
        for given, total in totals.items():
            expected = (total - min(totals.values())) / 3 / float(np.abs(cost).max())
            found = module.assignment_regret(cost, np.array(given))
            assert found == pytest.approx(expected, abs=1e-6) and found >= -1e-12
        assert module.assignment_regret(cost, np.array([0, 0, 1])) == np.inf


CHECKS = (
    *(check_bounds, check_orders, check_suppression, check_labels, check_matches),
    check_assignments,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_regrets_are_those_of_brute_force(check):
    check(regret)


class Mutate(ast.NodeTransformer):
    """Changes the operator, comparison, constant, axis or order of two arguments that has one number, and says so."""

    SWAPS: ClassVar = {
        **{"Add": ast.Sub, "Sub": ast.Add, "Mult": ast.Div, "Div": ast.Mult, "USub": ast.UAdd},
        **{"Lt": ast.GtE, "LtE": ast.Gt, "Gt": ast.LtE, "GtE": ast.Lt, "Eq": ast.NotEq},
        **{"BitAnd": ast.BitOr, "BitOr": ast.BitAnd},
    }
    NAMES: ClassVar = {"max": "min", "min": "max", "maximum": "minimum", "minimum": "maximum"}

    def __init__(self, wanted: int):
        self.wanted, self.seen, self.done = wanted, -1, ""

    def due(self, node, text: str) -> bool:
        self.seen += 1
        if self.seen != self.wanted:
            return False
        self.done = f"line {node.lineno}: {text}"
        return True

    def visit_BinOp(self, node):
        self.generic_visit(node)
        kind = type(node.op).__name__
        if kind in self.SWAPS and self.due(node, kind):
            node.op = self.SWAPS[kind]()
        return node

    visit_UnaryOp = visit_BinOp

    def visit_Compare(self, node):
        self.generic_visit(node)
        kind = type(node.ops[0]).__name__
        if kind in self.SWAPS and self.due(node, kind):
            node.ops[0] = self.SWAPS[kind]()
        return node

    def visit_Attribute(self, node):
        self.generic_visit(node)
        if node.attr in self.NAMES and self.due(node, node.attr):
            node.attr = self.NAMES[node.attr]
        return node

    def visit_Constant(self, node):
        if type(node.value) in (int, float) and self.due(node, str(node.value)):
            return ast.copy_location(ast.Constant(node.value + 1), node)
        return node

    def visit_Call(self, node):
        self.generic_visit(node)
        is_where = isinstance(node.func, ast.Attribute) and node.func.attr == "where"
        if is_where and self.due(node, "where"):
            node.args[1:] = node.args[:0:-1]
        return node


# a mutant of a line with these words may live when its change is this, as no evidence can tell
EQUIVALENT = {("nobody = np.full", "2"): "three that are no boxes are as good as two"}


def is_equivalent(name: str) -> bool:
    line, change = name.removeprefix("line ").split(": ")
    source = Path(regret.__file__).read_text().splitlines()[int(line) - 1]
    return any(words in source and change == what for words, what in EQUIVALENT)


def mutants():
    source = Path(regret.__file__).read_text()
    for number in itertools.count():
        change = Mutate(number)
        tree = ast.fix_missing_locations(change.visit(ast.parse(source)))
        if not change.done:
            return
        module = types.ModuleType("mutant")
        exec(compile(tree, change.done, "exec"), module.__dict__)
        yield change.done, module


def survives(module) -> bool:
    for check in CHECKS:
        try:
            with np.errstate(all="ignore"):
                check(module)
        except Exception:
            return False
    return True


def test_every_mutant_falls():
    found = list(mutants())
    left = [name for name, module in found if survives(module) and not is_equivalent(name)]
    assert len(found) > 60 and not left, left
