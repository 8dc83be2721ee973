"""What a reader is shown of two arrays, and of how much they differ."""

from __future__ import annotations

import numpy as np

from parity.engine.tell.shown import look, number, picture, summary
from parity.engine.values.stopwatch import Stopwatch


def test_the_worst_elements_with_their_places():
    a = np.zeros((2, 3, 4))
    b = a.copy()
    b[1, 2, 3], b[0, 1, 0] = 5.0, -2.0
    found = look(a, b)
    assert found["worst"] == [[[1, 2, 3], 0.0, 5.0], [[0, 1, 0], 0.0, -2.0]]
    assert found["sides"][1]["min"] == -2 and found["sides"][0]["shape"] == [2, 3, 4]
    assert found["picture"] == ["0000", "8000", "0009"], "log10(2 / 5) is within half a decade"
    assert found["decades"] == [number(np.log10(5)), [2, *[0] * 11, 22]]


def test_what_cannot_be_subtracted_is_summarised():
    assert (
        "worst" not in look(np.zeros(3), np.zeros(4)) and look(None, np.ones(2))["sides"][0] is None
    )
    assert set(look(np.zeros(0), np.zeros(0))) == {"sides"}
    same = look(np.array([1.0, np.nan]), np.array([1.0, np.nan]))
    assert "worst" not in same and same["sides"][0]["not finite"] == 1
    other = look(np.array([1.0, np.nan]), np.array([1.0, 2.0]))
    assert other["worst"] == [[[1], "nan", 2.0]]
    assert look(np.array([True]), np.array([False]))["worst"] == [[[0], 1.0, 0.0]]
    assert summary(np.array([1, 3]))["mean"] == 2.0


def test_pictures_are_small_whatever_is_compared():
    apart = np.zeros((3, 500, 700))
    apart[2, 499, 699] = 1.0
    rows = picture(apart, 1.0)
    assert len(rows) == 24 and {len(row) for row in rows} == {24}
    assert rows[-1][-1] == "9" and sum(row.count("0") for row in rows) == 24 * 24 - 1
    assert picture(np.array(1.0), 1.0) == ["9"] and picture(np.ones(3), 1.0) == ["999"]


def test_a_stopwatch_counts_nested_blocks_once():
    watch = Stopwatch()
    with watch, watch:
        pass
    assert 0 <= watch.seconds < 1 and watch.depth == 0
