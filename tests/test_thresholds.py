"""Numbers of the configuration in float64: neither framework's implementation rounds one to float32."""

from __future__ import annotations

import numpy as np
import pytest

from neutral.choices import Choices
from neutral.config.detr import CriterionConfig, MatcherConfig
from neutral.config.faster_rcnn import LabelConfig
from neutral.data.coco import Target
from parity import Workers
from parity.suite.requests import fresh

pytestmark = pytest.mark.usefixtures("warm_workers")

# a box of 10 by 80 that holds an object of so many elevenths ... exactly so much of it
AREA = 800
BOUNDS = {"positive": 0.7, "negative": 0.3, "negative_from": 0.1}
STEP = 2**-40  # of a height: less than float32 has at these numbers


def overlapping(share: float) -> list[float]:
    """The corner of an object inside of the box from 0 to (80, 10) that has this part of it."""
    return [0.0, 0.0, 80.0, 10 * share]


def labelled(server, objects: np.ndarray, inclusive: bool) -> np.ndarray:
    """In a worker: the label of one box for each object, in a batch of its own."""
    labels, ops = fresh(server, "faster_rcnn.labels", "ops", dtype="float64")
    box = np.tile([0.0, 0.0, 80.0, 10.0], (len(objects), 1, 1))
    boxes, goals = (ops.array(x) for x in (box, objects[:, None]))
    allowed, present = (ops.array(np.ones((len(objects), 1), bool)) for _ in range(2))
    rules = LabelConfig(**BOUNDS, negative_inclusive=inclusive, low_quality=False)
    found, _ = labels.match(boxes, allowed, goals, present, rules, 0.0, Choices(), "anchor")
    return ops.to_numpy(found)[:, 0]


def lossy(server, logits: np.ndarray, boxes: np.ndarray, masks: np.ndarray) -> dict[str, float]:
    """In a worker: DETR's losses of one image, divided by seven thirds."""
    criterion, ops = fresh(server, "detr.criterion", "ops", dtype="float64")
    outputs = [(ops.array(logits), ops.array(boxes))]
    goal = np.array([[0.5, 0.5, 0.25, 0.25]], np.float32)
    shape = masks.shape[-2:]
    target = Target(
        boxes=goal,
        labels=np.array([1]),
        area=np.ones(1, np.float32),
        image_id=0,
        original_size=shape,
        size=shape,
        masks=np.eye(*shape, dtype=bool)[None],
    )
    config = CriterionConfig(dice_smooth=0.1, focal_alpha=0.3)
    given = outputs, (target,), MatcherConfig(), config, Choices(), 7 / 3
    losses = criterion.criterion(*given, masks=ops.array(masks))[1]
    return {name: float(ops.to_numpy(x).reshape(())) for name, x in losses.items()}


@pytest.fixture(scope="module")
def workers(warm_workers):
    with Workers() as both:
        yield both


@pytest.mark.parametrize("inclusive", [False, True])
def test_a_box_at_a_threshold_is_labelled_as_the_threshold_says(workers, inclusive):
    shares = [s + k * STEP for s in BOUNDS.values() for k in (-1, 0, 1)]
    objects = np.array([overlapping(share) for share in shares])
    overlaps = objects[:, 3] * 80 / AREA
    assert overlaps[4] == 0.3 and overlaps[3] < 0.3 < overlaps[5]
    negative = overlaps <= 0.3 if inclusive else overlaps < 0.3
    wanted = np.where(overlaps >= 0.7, 1, np.where(negative & (overlaps >= 0.1), 0, -1))
    found = workers.run("tests.test_thresholds:labelled", objects, inclusive)
    assert {side: labels.tolist() for side, labels in found.items()} == dict.fromkeys(
        ("torch", "jittor"), wanted.tolist()
    )


def test_losses_are_divided_and_smoothed_by_the_numbers_themselves(workers):
    random = np.random.default_rng(0)
    logits, boxes = random.standard_normal((1, 3, 4)), random.uniform(0.2, 0.5, (1, 3, 4))
    masks = random.standard_normal((1, 3, 6, 6))
    found = workers.run("tests.test_thresholds:lossy", logits, boxes, masks)
    assert {"loss_bbox", "loss_giou", "loss_mask", "loss_dice"} <= set(found["torch"])
    for name, loss in found["torch"].items():
        assert found["jittor"][name] == pytest.approx(loss, rel=1e-13), name
