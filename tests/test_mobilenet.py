"""MobileNet: against plain layers of torch.nn, ruotianluo's snapshot names, what is frozen and how it decays."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neutral.config import preset, with_overrides
from neutral.errors import InputError
from neutral.parameters import decays, trainable
from neutral.weights import initial_weights
from neutral.weights.conversion import convert
from neutral.weights.layout import canonical_shapes
from neutral.weights.stored import in_memory
from parity.engine.judge.weights import drawn_weights
from tests.conversions import there_and_back
from torch_impl.session import Session

# channels and strides of the fourteen layers
LAYERS = [(32, 2), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
LAYERS += [(512, 1)] * 5 + [(1024, 1)] * 2


def plain(config) -> torch.nn.ModuleDict:
    """The layers as torch.nn has them, under the names of ruotianluo's snapshots."""

    def block(inputs: int, outputs: int, kernel: int, stride: int, groups: int):
        return torch.nn.Sequential(
            torch.nn.Conv2d(
                inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False
            ),
            torch.nn.BatchNorm2d(outputs),
            torch.nn.ReLU6(),
        )

    layers, inputs = torch.nn.ModuleDict(), 3
    for k, (outputs, stride) in enumerate(LAYERS):
        if k == 0:
            layers["Conv2d_0"] = block(3, outputs, 3, stride, 1)
        else:
            pair = {"depthwise": block(inputs, inputs, 3, stride, inputs)}
            pair["pointwise"] = block(inputs, outputs, 1, 1, 1)
            layers[f"Conv2d_{k}"] = torch.nn.ModuleDict(pair)
        inputs = outputs
    return layers.eval().double()


def run_plain(layers, x, numbers: range):
    for k in numbers:
        layer = layers[f"Conv2d_{k}"]
        x = layer(x) if k == 0 else layer["pointwise"](layer["depthwise"](x))
    return x


def test_it_computes_what_plain_layers_do_and_takes_their_names():
    config = preset("tf_mobile")
    layers = plain(config)
    shapes = {f"mobilenet.{k}": tuple(v.shape) for k, v in layers.state_dict().items()}
    heads = {"rpn_net": (512, 512, 3, 3), "rpn_cls_score_net": (18, 512, 1, 1)}
    heads |= {"rpn_bbox_pred_net": (36, 512, 1, 1), "cls_score_net": (21, 1024)}
    heads |= {"bbox_pred_net": (84, 1024)}
    for name, shape in heads.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    state = drawn_weights(shapes)
    state |= {k: v * 3 for k, v in state.items() if k.endswith("1.weight")}  # some reach 6
    layers.load_state_dict(
        {
            k.removeprefix("mobilenet."): torch.from_numpy(np.asarray(v))
            for k, v in state.items()
            if "Conv2d" in k
        }
    )
    conversion = convert(in_memory("snapshot", state), config)
    assert conversion.source.name == "ruotianluo/pytorch-faster-rcnn"
    session = Session(config, dtype="float64")
    session.load(conversion.weights())
    images = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 64, 96)))
    with torch.no_grad():
        (ours,) = session.model.backbone(images)
        theirs = run_plain(layers, images, range(12))
        assert ours.shape == (2, 512, 4, 6)
        assert (theirs == 6).any()
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-9)
        regions = torch.from_numpy(np.random.default_rng(1).random((3, 512, 7, 7)))
        ours = session.model.roi_heads.box_head(regions)
        theirs = run_plain(layers, regions, range(12, 14)).mean((2, 3))
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-9)
    there_and_back(config, conversion.source.name, conversion.weights())
    Session(config, dtype="float32")  # as it was for whoever comes next


def test_what_is_trained_and_how_it_decays():
    """cfg.MOBILENET: five layers fixed, statistics and scales too, 4e-5, the depthwise not at all."""
    config = preset("tf_mobile")
    shapes = canonical_shapes(config)
    trained = trainable(shapes, config)
    body = [k for k in trained if k.startswith("backbone.body.")]
    expected = [
        f"backbone.body.Conv2d_{k}.{part}wise.0.weight"
        for k in range(5, 12)
        for part in ("depth", "point")
    ]
    assert body == expected
    found = decays(trained, config)
    assert found["backbone.body.Conv2d_7.depthwise.0.weight"] == 0
    assert found["roi_heads.box_head.Conv2d_12.pointwise.0.weight"] == 4e-5
    assert found["rpn.head.conv.0.0.weight"] == 1e-4
    assert found["rpn.head.conv.0.0.bias"] == 0
    both = with_overrides(config, ["model.backbone.mobilenet_decay_depthwise=true"])
    assert decays(trained, both)["backbone.body.Conv2d_7.depthwise.0.weight"] == 4e-5


def test_initial_values():
    config = preset("tf_mobile")
    drawn = initial_weights(canonical_shapes(config), config)
    weights = drawn["backbone.body.Conv2d_9.pointwise.0.weight"]
    assert weights.std() == pytest.approx(0.09 * 0.866, rel=0.05)  # of a normal folded at 2
    assert np.abs(weights).max() < 0.18
    assert (drawn["backbone.body.Conv2d_9.pointwise.1.weight"] == 1).all()
    assert not drawn["backbone.body.Conv2d_0.1.running_mean"].any()


def test_a_head_of_another_backbone_is_refused():
    with pytest.raises(InputError, match="goes with"):
        with_overrides(preset("tf_mobile"), ["model.roi.head=two_fc"])
    with pytest.raises(InputError, match="no pyramid"):
        with_overrides(
            preset("tf_mobile"), ["model.fpn.channels=64", "model.rpn.anchors.sizes=8;16;32;64;128"]
        )
