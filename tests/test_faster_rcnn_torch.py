"""PyTorch's Faster R-CNN against torchvision's own model, and against hand-worked cases."""

from __future__ import annotations

import math

import numpy as np
import pytest

from door.randomness import stream
from neutral.config import preset, with_overrides
from neutral.data.batching import collate, pad_targets
from neutral.data.coco import Target
from parity.engine.judge.weights import drawn_weights

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")
from parity.backends import torch as backend  # noqa: E402
from parity.engine.sides.choices import Choices  # noqa: E402
from parity.suite.subjects import runner_of  # noqa: E402
from torch_impl.faster_rcnn.post_process import post_process  # noqa: E402
from torch_impl.session import Session  # noqa: E402

SIZES = ((120, 160), (96, 128))  # (height, width) of two images
SCALE = 0.5  # their network sizes are those; the originals are twice as large


@pytest.fixture(autouse=True)
def float32():
    torch.set_default_dtype(torch.float32)


def example_batch():
    generator = stream(0, "tests", "torchvision")
    samples = []
    for i, (h, w) in enumerate(SIZES):
        image = generator.standard_normal((3, h, w)).astype(np.float32)
        corners = generator.uniform(0, 60, (4 - i, 2))
        boxes = np.concatenate([corners, corners + generator.uniform(12, 50, (4 - i, 2))], axis=1)
        original = (int(h / SCALE), int(w / SCALE))
        labels = generator.integers(1, 91, 4 - i)
        samples.append(
            (
                image,
                Target(
                    boxes.astype(np.float32),
                    labels,
                    np.ones(4 - i, np.float32),
                    i,
                    original,
                    (h, w),
                ),
            )
        )
    return collate(samples, 32)


@pytest.fixture(scope="module")
def ours_and_theirs():
    """Our torchvision_r50_fpn and torchvision's with the same weights, which are the recipe's, in float64."""
    config = preset("torchvision_r50_fpn")
    session = Session(config, dtype="float64")
    weights = drawn_weights(session.shapes())
    session.load(weights)
    theirs = torchvision.models.detection.fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=91
    )
    # with pretrained weights it has frozen batch normalisation with eps 0 (overwrite_eps)
    for name, module in list(theirs.named_modules()):
        if isinstance(module, torch.nn.BatchNorm2d):
            frozen = torchvision.ops.FrozenBatchNorm2d(module.num_features, eps=0.0)
            parent, _, leaf = name.rpartition(".")
            setattr(theirs.get_submodule(parent), leaf, frozen)
    missing, unexpected = theirs.load_state_dict(
        {k: torch.as_tensor(v) for k, v in weights.items()}, strict=False
    )
    assert not missing and not unexpected, "the canonical names are torchvision's"
    return session, theirs.double()


def torchvision_inputs(batch):
    images = torchvision.models.detection.image_list.ImageList(
        torch.as_tensor(batch.images).double(), [t.size for t in batch.targets]
    )
    targets = [
        {"boxes": torch.as_tensor(t.boxes).double(), "labels": torch.as_tensor(t.labels)}
        for t in batch.targets
    ]
    return images, targets


class FixedSampler:
    """Gives torchvision the anchors or regions that our sampler chose."""

    def __init__(self, chosen):
        self.chosen = chosen

    def __call__(self, labels):
        positive = [c & (x >= 1) for c, x in zip(self.chosen, labels, strict=True)]
        negative = [c & (x == 0) for c, x in zip(self.chosen, labels, strict=True)]
        return positive, negative


def test_torchvisions_detections(ours_and_theirs):
    torch.set_default_dtype(torch.float64)
    session, theirs = ours_and_theirs
    batch = example_batch()
    found = session.detect(batch)
    images, _ = torchvision_inputs(batch)
    theirs.eval()
    with torch.no_grad():
        features = theirs.backbone(images.tensors)
        proposals, _ = theirs.rpn(images, features)
        wanted, _ = theirs.roi_heads(features, proposals, images.image_sizes)
        wanted = theirs.transform.postprocess(
            wanted, images.image_sizes, [t.original_size for t in batch.targets]
        )
    for a, b in zip(found, wanted, strict=True):
        assert len(a["scores"]) == len(b["scores"]) > 0
        assert (a["labels"] == b["labels"].numpy()).all()
        assert np.allclose(a["scores"], b["scores"].numpy(), rtol=1e-10)
        # torchvision scales boxes by a ratio that it computes in float32
        assert np.allclose(a["boxes"], b["boxes"].numpy(), rtol=1e-6, atol=1e-6)


def test_torchvisions_losses(ours_and_theirs, monkeypatch):
    """In train mode, with the anchors and regions that our samplers chose from the shared keys.

    torchvision separates levels in NMS by shifting boxes apart, which rounds their corners and may
    turn a decision at the threshold; its other way, level by level, is the exact one, and ours. Its
    labels, and so its losses, are float32 whatever the model is.
    """
    boxes = torchvision.ops.boxes
    monkeypatch.setattr(boxes, "batched_nms", boxes._batched_nms_vanilla)
    torch.set_default_dtype(torch.float64)
    session, theirs = ours_and_theirs
    batch = example_batch()
    settled = Choices(backend)
    outcome = session.run(batch, dropout=False, step=5, choices=settled)
    choices = settled.record()["choices"]
    images, targets = torchvision_inputs(batch)
    theirs.train()
    chosen = torch.as_tensor(choices["anchor_sample"]).bool()
    theirs.rpn.fg_bg_sampler = FixedSampler(chosen)
    features = theirs.backbone(images.tensors)
    proposals, losses = theirs.rpn(images, features, targets)
    filled = choices["proposals"] >= 0
    np.testing.assert_array_equal(choices["proposals_filled"], filled)
    assert [len(p) for p in proposals] == filled.sum(axis=1).tolist()
    # regions sampled, per image, as positions in (its proposals, its objects), which is torchvision's order
    slots = choices["roi_sample"].reshape(2, -1)
    width = filled.shape[1] + pad_targets(batch.targets).boxes.shape[1]
    masks = []
    for i, target in enumerate(batch.targets):
        mask = np.zeros(width, dtype=bool)
        mask[slots[i][slots[i] >= 0] - i * width] = True
        present = np.concatenate(
            [filled[i], np.arange(width - filled.shape[1]) < len(target.labels)]
        )
        masks.append(torch.as_tensor(mask[present]))
    theirs.roi_heads.fg_bg_sampler = FixedSampler(masks)
    _, more = theirs.roi_heads(features, proposals, images.image_sizes, targets)
    for name, loss in (losses | more).items():
        assert math.isclose(outcome.losses[name].item(), loss.item(), rel_tol=1e-6), name


def test_proposals_without_area_do_no_harm():
    """Clipping leaves boxes of no width; as negatives they must not put NaN into the box loss."""
    config = with_overrides(preset("scenes_frcnn"), ["model.rpn.proposals.min_size=0"])
    session = Session(config)
    weights = drawn_weights(session.shapes())
    weights["rpn.head.bbox_pred.bias"][0::4] += 20  # far to the right: clipped to the edge
    session.load(weights)
    image = stream(0, "tests", "flat").standard_normal((3, 64, 80)).astype(np.float32)
    size, none = (64, 80), np.zeros((0, 4), np.float32)
    target = Target(none, np.zeros(0, np.int64), np.zeros(0, np.float32), 1, size, size)
    trace = runner_of("torch", session).trace(collate([(image, target)], 16))
    boxes = trace["nodes"]["proposals"][0]
    assert (boxes[:, 0] == boxes[:, 2]).any(), "the example has no such box"
    assert all(np.isfinite(loss) for loss in trace["losses"].values())
    assert all(g is None or np.isfinite(g).all() for g in trace["gradients"].values())


@pytest.mark.parametrize("name", ["scenes_frcnn", "trzy_resnet50", "tf_res50", "a5_fpn"])
def test_images_without_objects_train(name):
    config = with_overrides(
        preset(name),
        ["model.rpn.proposals.post_nms_train=8", "model.roi.sampler.count=4"],
    )
    session = Session(config)
    session.load(drawn_weights(session.shapes()))
    target = Target(
        np.zeros((0, 4), np.float32),
        np.zeros(0, np.int64),
        np.zeros(0, np.float32),
        1,
        (64, 80),
        (64, 80),
    )
    image = stream(0, "tests", "empty").standard_normal((3, 64, 80)).astype(np.float32)
    trace = runner_of("torch", session).trace(
        collate([(image, target)], config.transform.size_divisor)
    )
    assert all(np.isfinite(loss) for loss in trace["losses"].values())
    assert trace["losses"]["loss_rpn_box_reg"] == 0
    assert all(g is None or np.isfinite(g).all() for g in trace["gradients"].values())


def test_choices_of_detections_are_in_the_ledger():
    """Two boxes of class 1 with IoU 0.5, one of class 2 on the first, a score at the threshold, an empty place."""
    rules = ["model.num_classes=3", "model.roi.detections.score_threshold=0.1"]
    config = with_overrides(preset("scenes_frcnn"), rules).model
    one, half, far = [0.0, 0, 20, 20], [0.0, 0, 20, 10], [40.0, 40, 60, 60]
    boxes = torch.tensor([one, half, far, far])[None, :, None].expand(1, 4, 3, 4)
    chances = torch.tensor([[0.0, 0.9, 0.5], [0, 0.7, 0], [0, 0.1, 0.2], [0, 1, 1]])[None]
    filled = torch.tensor([[True, True, True, False]])
    target = Target(
        np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0), 7, (100, 100), (100, 100)
    )

    def detect(choices):
        return post_process(chances, boxes, filled, (target,), config, choices)[0]

    assert config.roi.detections.nms_threshold == 0.5
    free = Choices(backend)
    assert np.allclose(detect(free)["scores"], [0.9, 0.7, 0.5, 0.2]), "IoU 0.5 is not above 0.5"
    made = free.record()["choices"]
    assert made["detection_candidates"].sum() == 4
    assert made["detection_order/0"].tolist() == [[0, 2, 1, 3]]
    assert made["detection_kept/0"].all()

    made["detection_kept/0"][0, 1] = False  # by no more than rounding
    replayed = Choices(backend, made)
    assert np.allclose(detect(replayed)["scores"], [0.9, 0.5, 0.2])
    assert replayed.ledger["detection_kept/0"]["regret"] == 0

    for place, regret in (((0, 2, 0), 0.0), ((0, 1, 1), 0.1), ((0, 3, 0), np.inf)):
        other = {"detection_candidates": free.record()["choices"]["detection_candidates"]}
        other["detection_candidates"][place] = True
        replayed = Choices(backend, other)
        detect(replayed)
        assert replayed.ledger["detection_candidates"]["regret"] == pytest.approx(regret, abs=1e-7)
