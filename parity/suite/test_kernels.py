"""Jittor's own kernels beyond what test_ops compares with torchvision: gradients by finite differences,
empty inputs, ties, NaN, and independence of the number of items.
"""

from __future__ import annotations

import numpy as np
import pytest

from door.randomness import stream
from parity.case import Case
from parity.engine.ask.training import check_steps
from parity.engine.judge.judging import judge, judge_equal
from parity.engine.sides.workers import FRAMEWORKS
from parity.suite import gates
from parity.suite.arguments import Constant
from parity.suite.ask import ask
from parity.suite.cases import EXAMPLE
from parity.suite.op_cases import BOXES, OWNERS, REGIONS

POOLS = {  # arguments after the map, boxes and images
    "roi_align": (3, 0.125, 2, False),
    "roi_pool": (3, 0.125),
    "crop_and_resize": (4, 0.125),
}


def feature_map() -> np.ndarray:
    return stream(0, "kernels", "map").standard_normal((2, 3, 9, 12))


@pytest.mark.parametrize("name", POOLS)
def test_gradient_against_finite_differences(name, pair, conclude):
    """Along three random directions, with the weighting of run_op."""
    x, verdicts = feature_map(), []

    def run(values):
        arguments = (values, *REGIONS, *POOLS[name])
        (output, *_), gradients = ask(
            pair["jittor"], "run_op", name, arguments, pair.device, "float64"
        )
        weights = np.cos(np.arange(output.size, dtype=np.float64)).reshape(output.shape)
        return float((output * weights).sum()), gradients[0]

    _, gradient = run(x)
    for k in range(3):
        direction = stream(0, "kernels", "direction", k).standard_normal(x.shape)
        above, below = (run(x + sign * gates.DIFFERENCE_STEP * direction)[0] for sign in (1, -1))
        slope = np.array([(above - below) / (2 * gates.DIFFERENCE_STEP)])
        found = np.array([(gradient * direction).sum()])
        check = "gradient against finite differences"
        verdicts.append(
            judge(name, check, f"direction {k}", found, slope, gates.FINITE_DIFFERENCES)
        )
    conclude(verdicts)


@pytest.mark.parametrize("name", POOLS)
def test_no_regions(name, pair, conclude):
    """No box: an output without rows of the right shape, and a gradient of zeros."""
    empty = (Constant(np.zeros((0, 4))), np.zeros(0, dtype=np.int32))
    answers = ask(
        pair, "run_op", name, (feature_map(), *empty, *POOLS[name]), pair.device, "float32"
    )
    for side in FRAMEWORKS:
        (output, *_), gradients = answers[side]
        assert output.shape == (0, 3, POOLS[name][0], POOLS[name][0]), side
        assert gradients is None or gradients[0] is None or not gradients[0].any(), side
    conclude(
        [
            judge_equal(
                name, "no regions", "shape", *(np.array(answers[s][0][0].shape) for s in FRAMEWORKS)
            )
        ]
    )


def test_one_region_spoils_no_later_gradient(pair, conclude):
    """Jittor's constants of one element, see jittor_setup/computed.py: the next gradient must start from 1."""
    for name in POOLS:
        one = (Constant(BOXES[:1]), OWNERS[:1])
        arguments = (feature_map(), *one, *POOLS[name])
        ask(pair["jittor"], "run_op", name, arguments, pair.device, "float32")
        conclude(check_steps(Case.from_file(EXAMPLE), pair, steps=2).verdicts)


def test_nms_without_boxes(pair, conclude):
    none = (Constant(np.zeros((0, 4))), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=bool))
    answers = ask(pair, "run_op", "nms", (*none, 0.5), pair.device, "float32")
    shapes = [np.array(answers[side][0][0].shape) for side in FRAMEWORKS]
    conclude([judge_equal("nms", "no boxes", "shape", *shapes)])
    assert shapes[0].tolist() == [0]


def test_nms_ties_have_a_defined_order(pair, conclude):
    """Of equal boxes the first stays, in each group; IoU at the threshold is not above it."""
    boxes = np.array([[0.0, 0, 10, 10]] * 3 + [[0.0, 0, 10, 5]] + [[0.0, 0, 0, 0]] * 2)
    groups = np.array([0, 0, 1, 0, 0, 0], dtype=np.int32)
    wanted = np.array([True, False, True, True, True, True])  # boxes without area overlap nothing
    arguments = (Constant(boxes), groups, np.ones(6, dtype=bool), 0.5)
    verdicts = []
    for dtype in ("float32", "float64"):
        answers = ask(pair, "run_op", "nms", arguments, pair.device, dtype)
        verdicts += [
            judge_equal("nms", f"ties, {dtype}", side, answers[side][0][0], wanted)
            for side in FRAMEWORKS
        ]
    conclude(verdicts)


def test_sorting_keeps_ties_and_puts_nan_last(pair, conclude):
    """Jittor's own argsort has another order at ties and crashes on NaN."""
    values = np.round(stream(0, "kernels", "sort").standard_normal((2, 1000)))
    values[:, ::7] = np.nan
    values[:, 3] = -np.inf
    wanted = np.argsort(np.where(np.isnan(values), np.inf, -values), axis=1, kind="stable")
    is_nan = np.isnan(np.take_along_axis(values, wanted, axis=1))
    verdicts = []
    for side, answer in ask(
        pair, "run_op", "sort_descending", (Constant(values),), pair.device, "float32"
    ).items():
        order = answer[0][1].astype(np.int64)
        # -inf and NaN share the end, in the order in which they were
        found = np.take_along_axis(values, order, axis=1)
        tail = ~np.isfinite(found)
        assert (tail == np.sort(tail, axis=1)).all(), side
        finite = ~is_nan & np.isfinite(np.take_along_axis(values, wanted, axis=1))
        verdicts.append(
            judge_equal("sort_descending", "order of ties", side, order[finite], wanted[finite])
        )
    conclude(verdicts)


def test_regions_do_not_depend_on_each_other(pair, conclude):
    """Every region alone gives what it gives among others, bit for bit: nothing is shared between items."""
    name, verdicts = "roi_align", []
    x = feature_map()
    (together,), _ = ask(
        pair["jittor"], "run_op", name, (x, *REGIONS, *POOLS[name]), pair.device, "float32"
    )
    for k in range(len(BOXES)):
        one = (Constant(BOXES[k : k + 1]), OWNERS[k : k + 1])
        (alone,), _ = ask(
            pair["jittor"], "run_op", name, (x, *one, *POOLS[name]), pair.device, "float32"
        )
        verdicts.append(
            judge_equal(name, "alone and among others", f"region {k}", alone[0], together[k])
        )
    conclude(verdicts)
