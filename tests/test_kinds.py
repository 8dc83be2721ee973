"""How two arrays differ, told by their numbers."""

from __future__ import annotations

import numpy as np
import pytest

from parity.engine.judge import kinds

A = np.random.default_rng(0).standard_normal((4, 5, 6))
CUBE = np.random.default_rng(1).standard_normal((4, 4, 4))


@pytest.mark.parametrize(
    ("other", "kind", "text"),
    [
        (2 * A, kinds.CONSTANT, "2 times"),
        (A / np.sqrt(3), kinds.CONSTANT, "sqrt(1/3)"),
        (-A, kinds.SIGN, "other sign"),
        (A + 0.25, kinds.TERM, "plus 0.25"),
        (A + np.arange(5)[:, None], kinds.TERM, "axis 1"),
        (A * (1 + np.arange(6)), kinds.CONSTANT, "factor by axis 2"),
        (A[:, ::-1], kinds.ORDER, "axis 1 runs the other way"),
        (A[[2, 0, 1, 3]], kinds.ORDER, "along axis 0"),
        (A.transpose(0, 2, 1), kinds.AXIS, "the same with its axes as (0, 2, 1)"),
        (A.transpose(0, 2, 1) + 1, kinds.AXIS, "axes in another order"),
        (A.transpose(0, 2, 1).reshape(A.shape), kinds.AXIS, "reshaped"),
        (np.minimum(A, 0.7), kinds.BRANCH, "held at 0.7"),
        (np.where(A > 1, A + 1, A), kinds.BRANCH, "all others agree"),
        (A * (1 + 3e-8), kinds.PRECISION, "rounded to float32"),
        (np.tanh(A), kinds.FORMULA, ""),
        (A[:3], kinds.SHAPE, "(3, 5, 6)"),
        (A > 0, kinds.DTYPE, "bool"),
        (0 * A, kinds.TERM, "0 everywhere"),
        (None, kinds.MISSING, ""),
    ],
)
def test_kinds_are_told_by_numbers(other, kind, text):
    found = kinds.tell(A, other)
    assert found[0] == kind and text in found[1]


def test_a_turned_cube_is_a_wrong_axis():
    assert kinds.tell(CUBE, CUBE.transpose(2, 1, 0))[0] == kinds.AXIS


def test_rows_that_both_have_are_counted():
    boxes = np.random.default_rng(0).uniform(0, 9, (8, 4))
    fewer = boxes[[0, 2, 3, 5, 7]]
    kind, text = kinds.tell(boxes, fewer)
    assert (
        kind == kinds.SHAPE and "5 of 5 rows are among the reference's 8, in the same order" in text
    )
    other = np.concatenate([boxes[[5, 0, 6, 2]], boxes[:4] + 20])
    kind, text = kinds.tell(boxes, other)
    assert (kind, text) == (
        kinds.ORDER,
        "4 of 8 rows are among the reference's 8, in another order",
    )
    later = np.concatenate([boxes[1:6], boxes[:3] + 20])
    assert kinds.tell(boxes, later)[0] == kinds.BRANCH
    changed = boxes.copy()
    changed[6, 1] += 3
    assert "1 of 32 elements" in kinds.tell(boxes, changed)[1]


def test_rows_are_the_same_in_all_their_numbers_and_not_looked_for_among_thousands():
    boxes = np.random.default_rng(0).uniform(0, 9, (8, 4))
    shared = boxes[[1, 2, 3, 4]] + 20
    shared[:, 2] = boxes[[5, 6, 7, 0], 2]
    assert kinds.tell(boxes, shared) == (kinds.SHAPE, "(8, 4) and (4, 4)")
    many = np.random.default_rng(0).uniform(0, 9, (kinds.MOST_ROWS, 2))
    few = many[[3, 5, 7, 9]]
    assert "4 of 4 rows" in kinds.tell(many, few)[1] and "4 of 2000" not in kinds.tell(few, many)[1]
    more = np.concatenate([many, [[1.0, 2.0]]])
    for pair in ((more, few), (few, more)):
        assert kinds.tell(*pair)[1] == f"{pair[0].shape} and {pair[1].shape}"
    assert kinds.tell(boxes, boxes[:2]) == (kinds.SHAPE, "(8, 4) and (2, 4)"), "two are too few"
    assert "rows" not in kinds.tell(boxes, boxes[[1, 1, 2, 3]])[1], "one row twice"


@pytest.mark.parametrize("axis", range(3))
def test_a_term_and_a_factor_by_any_axis(axis):
    shape = [1, 1, 1]
    shape[axis] = A.shape[axis]
    by = np.linspace(0.5, 2, A.shape[axis]).reshape(shape)
    kind, text = kinds.tell(A, A + by)
    assert (kind, text) == (kinds.TERM, f"a term by axis {axis}, as of a bias, is on one side only")
    assert kinds.tell(A, A * by) == (kinds.CONSTANT, f"a factor by axis {axis}")
    column = A[:, :1, 0]
    assert kinds.tell(column, column + np.arange(4)[:, None])[0] != kinds.TERM, "any has one"
