"""A segmentation net with its losses, and the category ids that it gives."""

from pathlib import Path

import numpy as np

from parity import Case, Side, Subject

HERE = Path(__file__).resolve().parent


def tensor(framework):
    """How a half makes a tensor of an array."""
    if framework == "torch":
        import torch

        return torch.as_tensor
    import jittor

    return jittor.array


def build(framework):
    from models import SegmentationLoss, build_model, to_category_ids

    criterion, array = SegmentationLoss(), tensor(framework)
    return Subject(
        build_model(),
        losses=lambda logits, labels, run: criterion(logits, array(labels)),
        loss_weights={"loss_dice": 0.5},
        postprocess=lambda logits, inputs, run: to_category_ids(logits),
    )


def images():
    return (np.random.default_rng(0).standard_normal((2, 3, 30, 26)),)


def labels():
    """Classes of squares of pixels, some of them ignored."""
    drawn = np.random.default_rng(1).choice([0, 1, 2, 3, 4, 255], (2, 5, 5))
    return np.ascontiguousarray(drawn.repeat(6, 1).repeat(6, 2)[:, :, :26])


def side(framework, folder):
    path = (str(HERE / folder),)
    return Side(f"{__file__}:build", framework, path=path, arguments={"framework": framework})


sides = side("torch", "reference"), side("jittor", "port")
CASE = Case("segmentation", *sides, images, targets=labels, training=True)
CASES = {"model": CASE}
