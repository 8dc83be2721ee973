"""Two data pipelines: what differs is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from parity import Case, Side, Workers, check_data
from parity.engine.ask.data import compare_batches, compare_categories
from parity.engine.judge import kinds
from parity.engine.judge.pipelines import explain
from parity.engine.judge.verdicts import Status

pytestmark = pytest.mark.usefixtures("warm_workers")

RANDOM = np.random.default_rng(0)
IMAGE = np.cumsum(np.cumsum(RANDOM.standard_normal((3, 24, 32)), 1), 2)
NEARLY = IMAGE + 0.1 * RANDOM.standard_normal(IMAGE.shape)
BATCH = np.stack([IMAGE, IMAGE[:, ::-1]])
BOXES = np.sort(RANDOM.random((5, 2, 2)), 1).reshape(5, 4) * 100
LABELS = np.array([3, 1, 7, 7])
MEAN = np.array([0.485, 0.456, 0.406])[:, None, None]


def bordered(value: float) -> np.ndarray:
    return np.pad(IMAGE, ((0, 0), (0, 4), (0, 6)), constant_values=value)


def xywh(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x[:, :2], x[:, 2:] - x[:, :2]], 1)


@pytest.mark.parametrize(
    ("reference", "candidate", "text"),
    [
        (IMAGE, IMAGE[::-1], "channel order reversed"),
        (BATCH, BATCH[:, ::-1], "channel order reversed"),
        (IMAGE, IMAGE[::-1] * 255, "channel order reversed; 255 times the range"),
        (IMAGE, IMAGE.transpose(1, 2, 0), "height, width, channels instead of"),
        (IMAGE, IMAGE * 255, "255 times the range"),
        (IMAGE - MEAN, IMAGE, "mean not subtracted"),
        (IMAGE / MEAN, IMAGE, "not divided by the same deviations"),
        ((IMAGE - MEAN) / 0.225, IMAGE, "normalised otherwise"),
        (IMAGE, IMAGE[..., ::-1], "flipped left to right"),
        (IMAGE, IMAGE[..., ::-1, :], "flipped upside down"),
        (IMAGE, IMAGE.swapaxes(1, 2), "height and width exchanged"),
        (IMAGE, IMAGE[:, :20], "sizes 24 x 32 and 20 x 32"),
        (IMAGE, np.roll(IMAGE, 3, 2), "shifted by 0 rows and 3 columns"),
        (bordered(0), bordered(114), "padded with 114, 114, 114 instead of 0, 0, 0"),
        (IMAGE, IMAGE + 0.1 * RANDOM.standard_normal(IMAGE.shape), "another interpolation"),
        (IMAGE, NEARLY, "nearly alike (correlation 1.000): another interpolation"),
        (IMAGE, NEARLY[::-1], "channel order reversed; nearly alike"),
        (
            IMAGE,
            NEARLY[::-1] / 58 - 2,
            "channel order reversed; normalised otherwise: times about 0.017",
        ),
        (
            IMAGE,
            NEARLY[..., ::-1] * 255,
            "flipped left to right; normalised otherwise: times about 25",
        ),
        (IMAGE, RANDOM.standard_normal(IMAGE.shape), "another picture"),
        (BOXES, xywh(BOXES), "xywh instead of xyxy"),
        (xywh(BOXES), BOXES, "xyxy instead of xywh"),
        (BOXES, BOXES[:, [1, 0, 3, 2]], "yxyx instead of xyxy"),
        (BOXES, BOXES / [64, 48, 64, 48], "times 0.015625 in x and 0.0208333 in y"),
        (BOXES, BOXES[[1, 0, 4, 2, 3]], "the same boxes in another order"),
        (BOXES, BOXES + [0, 0, 1, 1], "off by 0, 0, 1, 1 pixels"),
        (BOXES, BOXES[:3], "3 boxes instead of 5"),
        (BOXES, (np.array([128, 0, 128, 0]) - BOXES * [1, -1, 1, -1])[:, [2, 1, 0, 3]], "128"),
        (LABELS, LABELS - 1, "labels off by one: 2 for 3"),
        (LABELS, LABELS[::-1], "the same in another order"),
        (LABELS, np.array([30, 10, 71, 71]), "numbered otherwise: 1 is 10, 3 is 30, 7 is 71"),
        (np.array(["a", "b"]), np.array(["b", "a"]), "the same in another order"),
    ],
)
def test_what_differs_is_named(reference, candidate, text):
    assert text in explain(reference, candidate)


def test_images_flipped_without_their_boxes():
    reference = {"seed0/batch0[0]": IMAGE, "seed0/batch0[1]": BOXES}
    flipped = reference | {"seed0/batch0[0]": IMAGE[..., ::-1]}
    found = compare_batches("data", reference, flipped, ("torch", "jittor"))
    failed = [v for v in found if v.status is Status.FAIL]
    assert failed[-1].message == "flipped left to right: images but not boxes"
    assert len(failed) == 2


def test_scalars_may_have_a_dimension():
    one, other = {"size": np.float64(3)}, {"size": np.array([3.0])}
    (verdict,) = compare_batches("data", one, other, ("torch", "jittor"))
    assert verdict.status is Status.PASS


def test_categories_on_the_way_in_and_out():
    reference = {1: [0, 1], 13: [11, 13], 90: [79, 90]}
    candidate = {1: [0, 1], 13: [12, 13]}
    found = compare_categories("data", reference, candidate, ("torch", "jittor"))
    assert [v.status for v in found] == [Status.PASS, Status.FAIL]
    assert found[1].message.startswith(
        "category 13: torch: label 11, out as 13; jittor: label 12, out as 13; category 90: torch"
    )


PAIR = """
import numpy as np
from parity import Subject


def side(nn, off):
    def batches(seed):
        for k in range(8):
            r = np.random.default_rng((seed, k))
            yield {"image": r.random((2, 3, 8, 8)), "labels": r.integers(1, 5, 4) - off, "name": f"{k}"}

    return Subject(
        nn.Linear(2, 2),
        batches=batches,
        categories=lambda: {1: (0, 1), 7: (1, 7 - off)},
        evaluate=lambda: {"AP": 1.0 - off / 2},
    )


def torch_side():
    from torch import nn

    return side(nn, 0)


def jittor_side():
    from jittor import nn

    return side(nn, 1)


def inputs():
    return (np.ones((1, 2)),)
"""


def test_a_pair_file_may_have_data(tmp_path):
    path = tmp_path / "pair.py"
    path.write_text(PAIR)
    with Workers() as workers:
        result = check_data(Case.from_file(path), workers)
    told = "\n".join(v.message for v in result.failures)
    assert len(result.failures) == 6  # the labels of four batches, a category, a score
    assert "labels off by one" in told and "out as 6" in told
    assert "torch 1, jittor 0.5 for ground truth" in told


@pytest.mark.parametrize(
    ("says", "told"),
    [
        ("return 3", "torch_data(0) gives a int; yield batches"),
        ("pass", "torch_data(0) gives a NoneType"),
        ("return {'x': np.ones(3)}", "torch_data(0) gives a dict"),
        ("return np.ones((2, 3))", "torch_data(0) gives a ndarray"),
        ("return []", "torch_data(0) gives no batch"),
        ("yield np.ones(3)\n    yield object()", "batch 1 is a object without any; yield batches"),
    ],
)
def test_pipelines_that_give_no_batches_are_told(tmp_path, says, told):
    path = tmp_path / "pair.py"
    path.write_text(
        f"import numpy as np\n\n\ndef torch_data(seed):\n    {says}\n\n\njittor_data = torch_data\n"
    )
    case = Case.from_file(path)
    with Workers(Side("", "torch"), Side("", "torch")) as workers:
        half = replace(case.reference, backend="torch")
        (verdict,) = check_data(replace(case, reference=half, candidate=half), workers).verdicts
    assert verdict.status is Status.FAIL and verdict.kind == kinds.DATA
    assert verdict.message.count(told) == 2, verdict.message  # of both sides
