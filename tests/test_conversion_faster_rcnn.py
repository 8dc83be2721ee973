"""Conversion of Faster R-CNN's weights: trzy's, chenyuntc's, ruotianluo's, detectron2's, torchvision's, and back.

The names of other systems are written down a second time here, so that the tables of neutral/weights are not their
own judges.
"""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
import torchvision

from neutral.config import preset, with_overrides
from neutral.errors import InputError
from neutral.weights.conversion import convert
from neutral.weights.proof import prove
from neutral.weights.readers import read_checkpoint
from neutral.weights.recognising import named_source
from parity.engine.judge.weights import drawn_weights
from tests.conversions import NARROW, arrive, drawn
from torch_impl.session import Session

# Faster R-CNN


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("trzy_resnet50", "trzy/FasterRCNN"),
        ("trzy_vgg16", "trzy/FasterRCNN"),
        ("simple_vgg16", "chenyuntc/simple-faster-rcnn-pytorch"),
    ],
)
def test_the_records_keys(name, source, shared):
    """Keys and shapes as the systems' own models gave them (golden records)."""
    content = json.loads((shared / "golden" / f"{name}.json").read_text())
    keys = {k: tuple(s) for k, s in content["keys"].items()}
    theirs = drawn_weights({k: s for k, s in keys.items() if "fc1" not in k})
    theirs |= {k: np.zeros(s, np.float32) for k, s in keys.items() if "fc1" in k}
    config = preset(name)
    conversion = arrive(theirs, {}, config, source)
    trained = {conversion_name(conversion, k) for k in content["trainable"]}
    assert set(Session(config).trained_names()) == trained
    assert all("num_batches_tracked" in k for k in conversion.left_out)


def conversion_name(conversion, theirs: str) -> str:
    return next(k for k, parts in conversion.pieces.items() if parts[0].name == theirs)


def test_fc6_and_fc7_really_arrive(tmp_path):
    """trzy's caffe loader copied the convolutions, failed at fc6 and swallowed the exception."""
    state = torchvision.models.vgg16(weights=None).state_dict()
    path = tmp_path / "vgg16_caffe.pth"
    torch.save(state, path)
    config = preset("trzy_vgg16")
    with pytest.raises(InputError, match=r"torchvision VGG16 \(RGB.* and caffe VGG16 \(BGR"):
        convert(read_checkpoint(path), config)
    told = with_overrides(config, ["transform.channels=bgr"])
    assert convert(read_checkpoint(path), told).source.name == "caffe VGG16"
    conversion = convert(read_checkpoint(path), config, named_source("caffe VGG16"))
    for ours, theirs in (
        ("roi_heads.box_head.fc6.weight", "classifier.0.weight"),
        ("roi_heads.box_head.fc7.bias", "classifier.3.bias"),
        ("backbone.body.features.28.weight", "features.28.weight"),
    ):
        assert np.array_equal(conversion.array(ours), state[theirs].numpy()), ours
    assert set(conversion.left_out) == {"classifier.6.weight", "classifier.6.bias"}
    # what ImageNet knows nothing of starts from its own distribution
    assert np.isclose(conversion.array("rpn.head.conv.0.0.weight").std(), 0.01, rtol=0.01)
    box = conversion.array("roi_heads.box_predictor.bbox_pred.weight")
    assert np.isclose(box.std(), 0.001, rtol=0.01)
    assert all(k.startswith(("rpn.", "roi_heads.box_predictor.")) for k in conversion.begun)


class Ruotianluo(torch.nn.Module):
    """The modules of ruotianluo's networks by their names (lib/nets/network.py, resnet_v1.py, vgg16.py)."""

    def __init__(self, config, depth: str):
        super().__init__()
        classes, nn = config.model.num_classes, torch.nn
        if depth == "vgg16":
            self.vgg = nn.Module()
            self.vgg.features = torchvision.models.vgg16(weights=None).features
            width = config.model.roi.hidden
            layers = [nn.Linear(25088, width), nn.ReLU(), nn.Dropout(), nn.Linear(width, width)]
            self.vgg.classifier = nn.Sequential(*layers)
            inputs, outputs = 512, width
        else:
            self.resnet = getattr(torchvision.models, depth)(weights=None)
            inputs, outputs = 1024, 2048
        self.rpn_net = nn.Conv2d(inputs, 512, 3)
        self.rpn_cls_score_net = nn.Conv2d(512, 9 * 2, 1)
        self.rpn_bbox_pred_net = nn.Conv2d(512, 9 * 4, 1)
        self.cls_score_net = nn.Linear(outputs, classes)
        self.bbox_pred_net = nn.Linear(outputs, classes * 4)


@pytest.mark.parametrize(("name", "depth"), [("tf_res50", "resnet50"), ("tf_vgg16", "vgg16")])
def test_ruotianluos_snapshots(name, depth):
    config = with_overrides(preset(name), list(NARROW) if depth == "vgg16" else [])
    state = {k: v.numpy() for k, v in Ruotianluo(config, depth).state_dict().items()}
    head = {
        "rpn.head.conv.0.0": "rpn_net",
        "rpn.head.cls_logits": "rpn_cls_score_net",
        "rpn.head.bbox_pred": "rpn_bbox_pred_net",
        "roi_heads.box_predictor.cls_score": "cls_score_net",
        "roi_heads.box_predictor.bbox_pred": "bbox_pred_net",
    }
    if depth == "vgg16":
        head |= {f"backbone.body.features.{k}": f"vgg.features.{k}" for k in (0, 28)}
        head |= {
            f"roi_heads.box_head.{a}": f"vgg.classifier.{b}" for a, b in (("fc6", 0), ("fc7", 3))
        }
        ours = {
            f"{a}.{leaf}": state[f"{b}.{leaf}"]
            for a, b in head.items()
            for leaf in ("weight", "bias")
        }
    else:
        ours = {f"{a}.weight": state[f"{b}.weight"] for a, b in head.items()}
        ours |= {"backbone.body.layer3.5.conv2.weight": state["resnet.layer3.5.conv2.weight"]}
        ours |= {
            "roi_heads.box_head.layer4.2.bn1.running_var": state["resnet.layer4.2.bn1.running_var"]
        }
    arrive(state, ours, config, "ruotianluo/pytorch-faster-rcnn")


def d2_name(name: str, is_fpn: bool) -> str:
    """detectron2's name of a canonical tensor (modeling/backbone/{resnet,fpn}.py, roi_heads.py)."""
    bottom = "backbone.bottom_up." if is_fpn else "backbone."
    top = "backbone.bottom_up.res5." if is_fpn else "roi_heads.res5."
    stage = r"(?:backbone\.body|roi_heads\.box_head)\.layer(\d)\."

    def place(found) -> str:
        return top if found[1] == "4" else f"{bottom}res{int(found[1]) + 1}."

    name = re.sub("^" + stage, place, name)
    name = re.sub(r"^backbone\.body\.conv1", f"{bottom}stem.conv1", name)
    name = re.sub(r"^backbone\.body\.bn1", f"{bottom}stem.conv1.norm", name)
    name = re.sub(r"\.bn(\d)\.", r".conv\1.norm.", name)
    name = name.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut.norm")
    name = re.sub(r"fpn\.inner_blocks\.(\d)\.0", lambda m: f"fpn_lateral{int(m[1]) + 2}", name)
    name = re.sub(r"fpn\.layer_blocks\.(\d)\.0", lambda m: f"fpn_output{int(m[1]) + 2}", name)
    for ours, theirs in (
        ("rpn.head.conv.0.0", "proposal_generator.rpn_head.conv"),
        ("rpn.head.cls_logits", "proposal_generator.rpn_head.objectness_logits"),
        ("rpn.head.bbox_pred", "proposal_generator.rpn_head.anchor_deltas"),
        ("box_head.fc6", "box_head.fc1"),
        ("box_head.fc7", "box_head.fc2"),
    ):
        name = name.replace(ours, theirs)
    return name


@pytest.mark.parametrize("name", ["d2_r50_fpn", "d2_r50_c4"])
def test_detectron2s_model_zoo(name, tmp_path):
    import pickle

    is_fpn = name.endswith("fpn")
    config = preset(name)
    ours = drawn(config)
    theirs = {d2_name(k, is_fpn): v for k, v in ours.items()}
    assert len(theirs) == len(ours)
    if is_fpn:  # shapes as detectron2's log prints them for its R50-FPN checkpoint
        for key, shape in {
            "backbone.fpn_lateral2.weight": (256, 256, 1, 1),
            "backbone.bottom_up.res2.0.shortcut.norm.running_mean": (256,),
            "roi_heads.box_head.fc1.weight": (1024, 12544),
            "roi_heads.box_predictor.cls_score.weight": (81, 1024),
            "roi_heads.box_predictor.bbox_pred.weight": (320, 1024),
            "proposal_generator.rpn_head.objectness_logits.weight": (3, 256, 1, 1),
        }.items():
            assert theirs[key].shape == shape
    else:
        assert theirs["proposal_generator.rpn_head.anchor_deltas.weight"].shape == (60, 1024, 1, 1)
        assert theirs["roi_heads.res5.0.conv1.weight"].shape == (512, 1024, 1, 1)
    extra = {
        "pixel_mean": np.zeros((3, 1, 1), np.float32),
        "proposal_generator.anchor_generator.cell_anchors.0": np.zeros((3, 4), np.float32),
    }
    path = tmp_path / "model_final_280758.pkl"
    path.write_bytes(
        pickle.dumps({"model": theirs | extra, "__author__": "Detectron2 Model Zoo"}, 2)
    )
    checkpoint = read_checkpoint(path)
    conversion = convert(checkpoint, config)
    assert conversion.source.name.startswith("detectron2")
    assert all(np.array_equal(conversion.array(k), v) for k, v in ours.items())
    assert set(conversion.left_out) == set(extra)
    assert prove(conversion)["layout"] == "pickle"


def test_torchvisions_detector_and_its_published_names():
    """The published file has the names of before torchvision wrapped its convolutions."""
    config = preset("torchvision_r50_fpn")
    model = torchvision.models.detection.fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None
    )
    state = {k: v.numpy() for k, v in model.state_dict().items() if "num_batches" not in k}
    arrive(state, state, config, "torchvision Faster R-CNN")
    old = {
        re.sub(r"(_blocks\.\d)\.0|(rpn\.head\.conv)\.0\.0", lambda m: m[1] or m[2], k): v
        for k, v in state.items()
    }
    assert "backbone.fpn.inner_blocks.0.weight" in old
    assert "rpn.head.conv.bias" in old
    arrive(old, state, config, "torchvision Faster R-CNN")


def test_version_2_gives_its_backbone():
    config = preset("torchvision_r50_fpn")
    model = torchvision.models.detection.fasterrcnn_resnet50_fpn_v2(
        weights=None, weights_backbone=None
    )
    state = {k: v.numpy() for k, v in model.state_dict().items()}
    body = {k: v for k, v in state.items() if ".body." in k and "num_batches" not in k}
    conversion = arrive(state, body, config, "torchvision fasterrcnn_resnet50_fpn_v2")
    assert {k.split(".")[1] for k in conversion.begun if k.startswith("backbone")} == {"fpn"}
    reasons = set(conversion.left_out.values())
    assert len(reasons) == 4, "counters, pyramid, RPN, head"
