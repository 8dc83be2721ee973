"""What is told of two pipelines, against brute force: what is done to images and boxes is drawn, and must be told."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from parity.engine.judge.pipelines import CORNERS, FORMATS, explain

RANDOM = np.random.default_rng(5)
LARGE = np.cumsum(np.cumsum(RANDOM.standard_normal((3, 60, 80)), 1), 2)
LARGE += 5 * RANDOM.standard_normal(LARGE.shape)
ROWS, COLUMNS = 24, 37
BOXES = np.sort(RANDOM.random((6, 2, 2)), 1).reshape(6, 4) * 100 + [0, 3, 5, 9]
TURNS = {
    "": lambda x: x,
    "flipped left to right": lambda x: x[..., ::-1],
    "flipped upside down": lambda x: x[..., ::-1, :],
    "turned by 180 degrees": lambda x: x[..., ::-1, ::-1],
}


def crop(row: int, column: int) -> np.ndarray:
    return LARGE[:, row : row + ROWS, column : column + COLUMNS]


@pytest.mark.parametrize("down", [-7, -1, 0, 2, 6])
@pytest.mark.parametrize("across", [-9, -2, 0, 1, 8])
def test_a_crop_at_another_place_is_told_by_how_far(down, across):
    found = explain(crop(20, 25), crop(20 - down, 25 - across))
    told = f"shifted by {down} rows and {across} columns: another crop or padding"
    assert found == (told if down or across else "")


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("scale", [1.0, 255.0, 1.0005])
@pytest.mark.parametrize("offset", [0.0, 0.45])
def test_what_was_done_to_an_image_is_told(turn, reverse, scale, offset):
    image = crop(3, 4)
    other = TURNS[turn](image[::-1] if reverse else image) * scale + offset
    told = ["channel order reversed"] * reverse + [turn] * bool(turn)
    if scale == 255:
        more = [f"normalised otherwise: times {', '.join(['255'] * 3)}, plus 0.45, 0.45, 0.45"]
        told += more if offset else ["255 times the range"]
    elif offset:
        told.append("mean not subtracted, or another one: plus 0.45, 0.45, 0.45 by channel")
    found = explain(image, other)
    assert found.startswith("; ".join(told)) and found.count(";") == max(len(told) - 1, 0)
    assert bool(found) == bool(told)


@pytest.mark.parametrize(("ours", "theirs"), itertools.product(FORMATS, FORMATS))
@pytest.mark.parametrize("sizes", [(1.0, 1.0), (0.5, 2.0)])
def test_the_form_and_the_scale_of_boxes_are_told(ours, theirs, sizes):
    reference = FORMATS[ours](BOXES)
    assert np.allclose(CORNERS[ours](reference), BOXES)
    swapped = "yxyx" in (ours, theirs) and ours != theirs
    factors = np.array(sizes[::-1] * 2 if theirs == "yxyx" else sizes * 2)
    found = explain(reference, FORMATS[theirs](BOXES) * factors)
    if ours == theirs and sizes == (1.0, 1.0):
        assert found == "the same boxes in another order"
        return
    if ours != theirs and not swapped:
        assert f"{theirs} instead of {ours}" in found
    if sizes != (1.0, 1.0) and not swapped and ours != "yxyx":
        assert found.endswith("times 0.5 in x and 2 in y")
    assert found


def test_boxes_flipped_in_a_width_are_told_by_it():
    flipped = np.stack([128 - BOXES[:, 2], BOXES[:, 1], 128 - BOXES[:, 0], BOXES[:, 3]], 1)
    assert explain(BOXES, flipped) == "flipped left to right in a width of 128"
    centres, other = FORMATS["cxcywh"](BOXES), FORMATS["cxcywh"](flipped)
    assert explain(centres, other) == "flipped left to right in a width of 128"
    wave = 0.003 * np.array([1, 0, -1, 0]) * (-1.0) ** np.arange(6)[:, None]  # of a pixel
    for one, two in ((BOXES, flipped + wave), (centres, other + wave * [1, 0, 0, 0])):
        assert explain(one, two).startswith("flipped left to right in a width of 12")
    flipped[2, 0] += 40
    assert explain(BOXES, flipped) == ""


def test_a_border_is_told_by_the_values_of_each_channel():
    image, border = crop(0, 0), ((0, 0), (0, 5), (0, 3))
    one = np.pad(image, border)
    other = one.copy()
    for k, value in enumerate((1.0, 2.0, 3.0)):
        other[k, ROWS:] = other[k, :, COLUMNS:] = value
    assert explain(one, other) == "padded with 1, 2, 3 instead of 0, 0, 0"
    other[0, -1, -1] = 9.0
    assert not explain(one, other).startswith("padded")


def test_labels_are_told_apart_by_what_became_of_each():
    labels = np.array([4, 2, 9, 4, 2])
    assert explain(labels, labels + 1) == "labels off by one: 5 for 4"
    assert explain(labels, labels - 3) == "labels off by -3: 1 for 4"
    assert explain(labels, labels[::-1]) == "the same in another order"
    assert explain(labels, labels[:3]) == "3 instead of 5"
    other = np.array([1, 7, 3, 1, 7])
    assert explain(labels, other) == "numbered otherwise: 2 is 7, 4 is 1, 9 is 3"
    assert explain(labels, np.array([1, 7, 3, 2, 7])) == "", "one label became two"
    assert explain(labels, np.array([1, 1, 3, 1, 1])) == "", "two labels became one"
    assert explain(np.zeros(0, int), np.zeros(0, int)) != "labels off by one"
