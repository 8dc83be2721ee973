"""What is trained, at which rate, and from which values, by canonical name."""

from __future__ import annotations

import numpy as np
import pytest

from neutral.config import preset, with_overrides
from neutral.errors import InputError
from neutral.parameters import decays, is_frozen_stage, rates, trainable
from neutral.weights import initial_weights

torch = pytest.importorskip("torch")
from torch_impl.session import Session  # noqa: E402


def test_what_is_frozen():
    vgg, resnet = preset("simple_vgg16"), preset("torchvision_r50_fpn")
    # the first 10 modules of VGG16's features (faster_rcnn_vgg16.py:33-35)
    frozen = [k for k in range(29) if is_frozen_stage(f"backbone.body.features.{k}.weight", vgg)]
    assert frozen == list(range(10))
    assert is_frozen_stage("backbone.body.layer1.0.conv1.weight", resnet)
    assert not is_frozen_stage("backbone.body.layer2.0.conv1.weight", resnet)
    assert not is_frozen_stage("roi_heads.box_head.layer4.0.conv1.weight", preset("trzy_resnet50"))
    everything = with_overrides(vgg, ["model.backbone.frozen_stages=5"])
    assert is_frozen_stage("backbone.body.features.28.weight", everything)


def test_biases():
    """simple: twice the rate and no decay; trzy's defect, no training at all, on request only."""
    keys = ["rpn.head.conv.0.0.weight", "rpn.head.conv.0.0.bias"]
    simple = preset("simple_vgg16")
    assert list(rates(keys, simple, 0).values()) == [1e-3, 2e-3]
    assert np.allclose(list(rates(keys, simple, 9).values()), [1e-4, 2e-4])
    assert list(decays(keys, simple).values()) == [5e-4, 0]
    trzy = preset("trzy_vgg16")
    assert trainable(keys, trzy) == keys
    assert trainable(keys, with_overrides(trzy, ["optimiser.bias_lr_factor=0"])) == keys[:1]


def test_initial_values_are_the_systems():
    config = preset("torchvision_r50_fpn")
    weights = initial_weights(Session(config).shapes(), config)
    assert np.isclose(weights["rpn.head.cls_logits.weight"].std(), 0.01, rtol=0.05)
    assert not weights["rpn.head.conv.0.0.bias"].any()
    inner = weights["backbone.fpn.inner_blocks.0.0.weight"]  # Kaiming uniform, a = 1: sqrt(3 / 256)
    assert 0.99 * (3 / 256) ** 0.5 < np.abs(inner).max() <= (3 / 256) ** 0.5
    linear = weights["roi_heads.box_predictor.cls_score.weight"]  # torch.nn.Linear: 1 / sqrt(1024)
    assert 0.99 / 32 < np.abs(linear).max() <= 1 / 32


def test_category_zero_is_refused(coco_folder):
    from neutral.data import open_dataset

    def edit(content):
        content["categories"].append({"id": 0, "name": "zero"})

    config = with_overrides(preset("torchvision_r50_fpn"), [f"data.root={coco_folder(edit)}"])
    with pytest.raises(InputError, match="0 is the background"):
        open_dataset(config, "val")
