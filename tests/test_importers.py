"""Public Faster R-CNN checkpoints -> canonical names: every tensor arrives, where it should, unchanged."""

from __future__ import annotations

import json

import numpy as np
import pytest

from neutral.config import preset, with_overrides
from neutral.errors import InputError
from neutral.importers import convert, detect
from neutral.parameters import decays, is_frozen_stage, rates, trainable
from neutral.weights import check_state, initial_weights, load_weights
from parity.golden import golden_weights

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")
from torch_impl.session import Session  # noqa: E402


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("trzy_resnet50", "trzy/FasterRCNN"),
        ("trzy_vgg16", "trzy/FasterRCNN"),
        ("simple_vgg16", "chenyuntc/simple-faster-rcnn-pytorch"),
    ],
)
def test_detectors_are_known_by_their_keys_and_complete(name, source, shared):
    content = json.loads((shared / "golden" / f"{name}.json").read_text())
    keys = {k: tuple(s) for k, s in content["keys"].items()}
    theirs = golden_weights({k: s for k, s in keys.items() if "fc1" not in k})
    theirs |= {k: np.zeros(s, np.float32) for k, s in keys.items() if "fc1" in k}
    found, config = detect(theirs), preset(name)
    assert found.name == source
    converted = convert(theirs, config, found)
    session = Session(config)
    check_state(session.shapes(), converted)
    kept = [k for k in theirs if not k.endswith("num_batches_tracked")]
    assert len(converted) == len(kept)
    for key, values in zip(kept, converted.values(), strict=True):
        assert values is theirs[key], "values are not touched"
    # the reference trains exactly as many; its names go through the same table
    trained = convert({k: theirs[k] for k in content["trainable"]}, config, found)
    assert set(session.trained_names()) == set(trained)


def test_fc6_and_fc7_really_arrive(tmp_path):
    """trzy's caffe loader copied the convolutions, failed at fc6 and swallowed the exception."""
    state = torchvision.models.vgg16(weights=None).state_dict()
    path = tmp_path / "vgg16.pth"
    torch.save(state, path)
    config = preset("trzy_vgg16")
    shapes = Session(config).shapes()
    weights = load_weights(path, shapes, config)
    for ours, theirs in (
        ("roi_heads.box_head.fc6.weight", "classifier.0.weight"),
        ("roi_heads.box_head.fc7.bias", "classifier.3.bias"),
        ("backbone.body.features.28.weight", "features.28.weight"),
    ):
        assert np.array_equal(weights[ours], state[theirs].numpy()), ours
    # what ImageNet knows nothing of starts from its own distribution
    assert np.isclose(weights["rpn.head.conv.0.0.weight"].std(), 0.01, rtol=0.01)
    assert np.isclose(weights["roi_heads.box_predictor.bbox_pred.weight"].std(), 0.001, rtol=0.01)


def test_a_resnets_last_stage_goes_to_the_regions(tmp_path):
    state = torchvision.models.resnet50(weights=None).state_dict()
    path = tmp_path / "resnet50.pth"
    torch.save(state, path)
    for name, place in (
        ("trzy_resnet50", "roi_heads.box_head"),
        ("torchvision_r50_fpn", "backbone.body"),
    ):
        config = preset(name)
        weights = load_weights(path, Session(config).shapes(), config)
        key = "layer4.2.conv3.weight"
        assert np.array_equal(weights[f"{place}.{key}"], state[key].numpy()), name


def test_a_key_without_a_place_is_an_error():
    weights = {
        "extractor.0.weight": np.zeros(1),
        "head.cls_loc.weight": np.zeros(1),
        "head.mask.weight": np.zeros(1),
    }
    with pytest.raises(InputError, match=r"head\.mask\.weight"):
        convert(weights, preset("simple_vgg16"), detect(weights))


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
