"""Faster R-CNN's arithmetic in PyTorch: overlaps, deltas, labels, samples, crops, against numbers from elsewhere."""

from __future__ import annotations

import math

import numpy as np
import pytest

from door.randomness import stream
from neutral.anchors import grid_anchors
from neutral.config import preset
from neutral.config.faster_rcnn import BoxLossConfig, CoderConfig, LabelConfig, SamplerConfig
from neutral.geometry import pairwise_iou

torch = pytest.importorskip("torch")
from parity.backends import torch as backend  # noqa: E402
from parity.engine.sides.choices import Choices  # noqa: E402
from torch_impl import ops  # noqa: E402
from torch_impl.faster_rcnn.boxes import BoxCoder, box_loss, iou  # noqa: E402
from torch_impl.faster_rcnn.labels import match, sample, sample_slots  # noqa: E402


@pytest.fixture(autouse=True)
def float32():
    torch.set_default_dtype(torch.float32)


# A5-2's golden vectors (REFERENCE_SYSTEMS 1.5)


def test_a5s_iou_vectors():
    first = torch.tensor([[10.0, 10, 90, 90], [20, 20, 40, 40], [60, 60, 80, 80]])
    second = torch.tensor([[10.0, 10, 90, 90], [60, 60, 80, 80], [30, 30, 70, 70]])
    wanted = [[1, 0.0625, 0.25], [0.0625, 0, 0.052631579], [0.0625, 1, 0.052631579]]
    found = iou(first.double()[None], second.double()[None], 0.0)[0]
    assert torch.allclose(found, torch.tensor(wanted, dtype=torch.float64), rtol=1e-7, atol=0)


def test_legacy_iou_counts_pixels():
    """Boxes 0..9 and 5..14 hold 10 pixels a side, 5 of them common: 50 / 150; the ordinary IoU is 36 / 126."""
    pair = torch.tensor([[0.0, 0, 9, 9]])[None], torch.tensor([[5.0, 0, 14, 9]])[None]
    assert math.isclose(iou(*pair, 1.0).item(), 50 / 150, rel_tol=1e-6)
    assert math.isclose(iou(*pair, 0.0).item(), 36 / 126, rel_tol=1e-6)


@pytest.mark.parametrize("kind", ["weights", "stds"])
@pytest.mark.parametrize("order", ["xy", "yx"])
@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_deltas_round_trip(kind, order, offset):
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(50, 4, generator=generator, dtype=torch.float64) * 50
    boxes = torch.cat([corners[:, :2], corners[:, :2] + corners[:, 2:] + 1], 1)
    reference = boxes.flip(0)
    coder = BoxCoder(CoderConfig(scale=(0.1, 0.2, 0.3, 0.4), scale_is=kind), order, offset)
    back = coder.decode(coder.encode(boxes, reference), reference)
    # the legacy decoder does not take its pixel off again (bbox_transform_inv): x2, y2 are 1 further
    assert torch.allclose(back[:, :2], boxes[:, :2])
    assert torch.allclose(back[:, 2:], boxes[:, 2:] + offset)
    assert torch.allclose(coder.encode(reference, reference), torch.zeros(()).double())


def test_deltas_by_hand():
    """A box twice as wide, one width to the right: tx = 1.5 w / w, tw = log 2; weights 10 and 5."""
    coder = BoxCoder(CoderConfig(scale=(10, 10, 5, 5)), "yx", 0.0)
    deltas = coder.encode(torch.tensor([[20.0, 0, 40, 10]]), torch.tensor([[10.0, 0, 20, 10]]))
    wanted = torch.tensor([[0.0, 15.0, 0.0, 5 * math.log(2)]])
    assert torch.allclose(deltas, wanted)


def test_the_growth_clamp():
    coder = BoxCoder(CoderConfig(clamp=math.log(224 / 8)), "xy", 0.0)
    box = coder.decode(torch.tensor([[0.0, 0, 50, 0]]), torch.tensor([[0.0, 0, 8, 8]]))
    assert torch.allclose(box, torch.tensor([[4 - 112.0, 0, 4 + 112, 8]]), atol=1e-4)


def test_box_losses_by_hand():
    """Distances 0.5 and 2: smooth L1 with beta 1 gives 0.125 and 1.5, sigma 3 (beta 1/9) d - 1/18, L1 d."""
    deltas, goal = torch.tensor([[0.5, -2.0, 0, 0]]), torch.zeros(1, 4)
    values = [
        (BoxLossConfig(beta=1.0), 1.625),
        (BoxLossConfig(beta=1 / 9), 2.5 - 2 / 18),
        (BoxLossConfig(kind="l1"), 2.5),
    ]
    for config, wanted in values:
        assert math.isclose(box_loss(deltas, goal, config).item(), wanted, rel_tol=1e-6)


def square(*corner, side=10.0):
    return [*corner, corner[0] + side, corner[1] + side]


def labels_of(boxes, objects, config, allowed=None, present=None):
    boxes, objects = torch.tensor([boxes]), torch.tensor([objects])
    allowed = torch.ones(boxes.shape[:2], dtype=torch.bool) if allowed is None else allowed
    present = torch.ones(objects.shape[:2], dtype=torch.bool) if present is None else present
    labels, index = match(boxes, allowed, objects, present, config, 0.0, Choices(backend), "anchor")
    return labels[0].tolist(), index[0].tolist()


def test_thresholds_and_ties():
    objects = [square(0.0, 0.0)]
    boxes = [
        square(0.0, 0.0),
        square(2.0, 0.0),
        square(0.0, 2.0),
        square(5.0, 0.0),
        square(50.0, 0.0),
    ]
    # IoU: 1, 80 / 120, 80 / 120, 50 / 150, 0
    assert labels_of(boxes, objects, LabelConfig())[0] == [1, -1, -1, -1, 0]
    low = LabelConfig(positive=0.7, negative=1 / 3, low_quality=True)
    # without the perfect box, both second best are the object's best; 1/3 is not below 1/3
    assert labels_of(boxes[1:], objects, low)[0] == [1, 1, -1, 0]
    inclusive = LabelConfig(negative=50 / 150, negative_inclusive=True, low_quality=False)
    assert labels_of(boxes[3:], objects, inclusive)[0] == [0, 0]
    hard = LabelConfig(positive=0.5, negative=0.5, negative_from=0.1, low_quality=False)
    assert labels_of(boxes, objects, hard)[0] == [1, 1, 1, 0, -1]


def test_a_box_that_may_not_take_part_is_nobodys_best():
    objects = [square(0.0, 0.0)]
    boxes = [square(0.0, 0.0), square(5.0, 0.0)]
    allowed = torch.tensor([[False, True]])
    assert labels_of(boxes, objects, LabelConfig(), allowed)[0] == [-1, 1]


def test_an_image_without_objects_has_negatives_only():
    absent = torch.zeros(1, 1, dtype=torch.bool)
    labels, index = labels_of([square(0.0, 0.0)] * 3, [[0.0] * 4], LabelConfig(), present=absent)
    assert (labels, index) == ([0, 0, 0], [0, 0, 0])


def test_labels_are_those_of_float32_anchors():
    """Precision decides labels: the trap that trzy's anchors.py warns of (VOC2012 image 2008_000028).

    Every anchor inside a large object overlaps it by its own area, so which of them are "the best" is
    settled by the last bits. The labels must be those of float32 arithmetic on float32 anchors, as the
    references train with; the same anchors in float64 give another set.
    """
    config = preset("trzy_resnet50").model.rpn
    (anchors,) = grid_anchors(config.anchors, [(40, 40)], (16,))
    goal = np.array([[3.0, 5.0, 620.0, 611.0]])

    def best(dtype) -> np.ndarray:
        """The oracle: which anchors within the object have its greatest IoU, all in one dtype."""
        half = np.array([np.sqrt(128**2 / 0.5), np.sqrt(128**2 * 0.5)]) / 2  # ratio 0.5
        step = (np.arange(40) + 0.5) * 16
        x, y = (a.ravel() for a in np.meshgrid(step, step))
        boxes = np.stack([x - half[0], y - half[1], x + half[0], y + half[1]], axis=1).astype(dtype)
        within = (boxes[:, :2] >= goal[0, :2]).all(axis=1) & (boxes[:, 2:] <= goal[0, 2:]).all(
            axis=1
        )
        overlap = pairwise_iou(boxes, goal.astype(dtype))[0][:, 0] * within
        return np.flatnonzero(overlap == overlap.max())

    small = anchors.reshape(-1, 9, 4)[:, 0]  # area 128^2, ratio 0.5
    allowed = torch.as_tensor(
        (small[:, :2] >= goal[0, :2]).all(axis=1) & (small[:, 2:] <= goal[0, 2:]).all(axis=1)
    )[None]
    labels, _ = labels_of(small.tolist(), goal.tolist(), config.labels, allowed)
    assert np.flatnonzero(np.array(labels) == 1).tolist() == best(np.float32).tolist()
    assert best(np.float32).tolist() != best(np.float64).tolist(), "the example shows nothing"


def labelled(positives, negatives, neither=0):
    labels = [1.0] * positives + [0.0] * negatives + [-1.0] * neither
    keys = stream(0, "tests", "keys", len(labels)).random(len(labels), dtype=np.float32)
    return torch.tensor([labels]), torch.tensor(keys)[None]


@pytest.mark.parametrize(
    ("positives", "negatives", "config", "wanted"),
    [
        # counts as the reference's sampler gives them: (positives, negatives)
        (200, 500, SamplerConfig(256, 0.5), (128, 128)),
        (3, 500, SamplerConfig(256, 0.5), (3, 253)),
        (3, 50, SamplerConfig(256, 0.5), (3, 50)),
        (9, 10, SamplerConfig(10, 0.25), (2, 8)),  # torchvision: int(2.5)
        (9, 10, SamplerConfig(10, 0.25, rounding="round"), (2, 8)),  # Python's round(2.5)
        (9, 10, SamplerConfig(14, 0.25, rounding="round"), (4, 10)),  # round(3.5)
        (9, 3, SamplerConfig(128, 0.25, "round", "available"), (3, 3)),  # trzy: of the 12 there are
        (
            9,
            0,
            SamplerConfig(128, 0.25, "round", "available"),
            (0, 0),
        ),  # trzy: no negatives, no sample
        (0, 9, SamplerConfig(128, 0.25, "round", "available"), (0, 0)),
        (0, 9, SamplerConfig(128, 0.25, "round"), (0, 9)),
    ],
)
def test_samplers_keep_their_references_counts(positives, negatives, config, wanted):
    labels, keys = labelled(positives, negatives, neither=5)
    chosen = sample(labels, keys, config)[0]
    assert (int(chosen[:positives].sum()), int(chosen[positives:].sum())) == wanted
    assert not chosen[positives + negatives :].any()
    slots = sample_slots(labels, keys, config)
    filled = slots[slots >= 0]
    assert sorted(filled.tolist()) == torch.nonzero(chosen)[:, 0].tolist()
    assert (filled[: wanted[0]] < positives).all()


def test_the_smallest_keys_are_taken():
    labels = torch.tensor([[1.0, 1, 1, 0, 0, 0]])
    keys = torch.tensor([[0.9, 0.1, 0.5, 0.3, 0.3, 0.2]])
    config = SamplerConfig(4, 0.5)
    assert sample(labels, keys, config)[0].tolist() == [False, True, True, True, False, True]
    assert sample_slots(labels, keys, config).tolist() == [1, 2, 5, 3]  # of equal keys the first


@pytest.mark.parametrize(
    ("positives", "negatives", "wanted"),
    [(9, 50, (4, 12)), (2, 5, (2, 14)), (0, 5, (0, 16)), (5, 0, (16, 0)), (0, 0, (0, 0))],
)
def test_refilling_draws_again_until_the_sample_is_full(positives, negatives, wanted):
    """ruotianluo's proposal_target_layer: np.random.choice with replacement where there are too few."""
    labels, keys = labelled(positives, negatives, neither=3)
    slots = sample_slots(labels, keys, SamplerConfig(16, 0.25, "round", refill=True))
    assert len(slots) == 16
    filled = slots[slots >= 0]
    is_positive = filled < positives
    assert (int(is_positive.sum()), int((~is_positive).sum())) == wanted
    assert (filled < positives + negatives).all()
    if negatives >= 12:
        assert len(set(filled.tolist())) == 16, "enough of them: none twice"


def test_sampling_over_the_batch():
    """a5: the counts hold for the images together, so one image may give more than its share."""
    labels = torch.tensor([[1.0] * 8 + [0.0] * 2, [0.0] * 10])
    keys = torch.tensor(stream(0, "tests", "batch").random((2, 10), dtype=np.float32))
    chosen = sample(labels, keys, SamplerConfig(6, 0.5, scope="batch"))
    assert (chosen & (labels > 0)).sum() == 6 and (chosen & (labels == 0)).sum() == 6


def test_crop_and_resize_is_tensorflows():
    """A box from corner to corner of 4x4 cells, to 4x4 points: the map itself; outside the map 0."""
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    whole = torch.tensor([[0.0, 0, 3, 3], [1.0, 1, 4, 4]])
    crops = ops.crop_and_resize(x, whole, torch.zeros(2, dtype=torch.int64), 4, 1.0)
    assert torch.equal(crops[0, 0], x[0, 0])
    assert crops[1, 0, 0].tolist() == [5, 6, 7, 0] and not crops[1, 0, 3].any()
