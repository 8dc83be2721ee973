"""Weights of every public source: every tensor arrives where it should, unchanged, and comes back.

The names of each source are written out here a second time, or come from the library or record that has them,
so that the tables of neutral/weights are not their own judges.
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
from neutral.weights import initial_weights, load_file, load_weights, save_weights
from neutral.weights.conversion import convert
from neutral.weights.layout import canonical_shapes
from neutral.weights.proof import prove
from neutral.weights.readers import read_checkpoint
from neutral.weights.recognising import OWN, candidates, detect, named_source
from neutral.weights.rules import their_names
from neutral.weights.sources import SOURCES
from neutral.weights.stored import in_memory
from neutral.weights.writers import write_weights
from parity.engine.weights import drawn_weights
from torch_impl.session import Session

SMALL_DETR = (
    "model.backbone.name=resnet18",
    "model.transformer.encoder_layers=2",
    "model.transformer.decoder_layers=2",
    "model.transformer.hidden_dim=64",
    "model.transformer.feedforward_dim=96",
)
NARROW = ("model.roi.hidden=64",)


def small_detr(*more: str):
    return with_overrides(preset("detr_r50"), [*SMALL_DETR, *more])


def drawn(config, seed: int = 0) -> dict[str, np.ndarray]:
    """Canonical weights, no two tensors alike."""
    shapes = canonical_shapes(config)
    return drawn_weights(shapes, f"{seed}/")


def arrive(theirs: dict, ours: dict, config, name: str, layout: str | None = None, **options):
    """Converts `theirs` and checks that `ours` come out, the proof included; returns the conversion."""
    checkpoint = in_memory("file.pth", theirs)
    checkpoint.layout = layout or checkpoint.layout
    conversion = convert(checkpoint, config, **options)
    assert conversion.source.name == name
    for key, wanted in ours.items():
        assert np.array_equal(conversion.array(key), wanted), key
    proof = prove(conversion)
    assert set(proof["used"]) | set(proof["left_out"]) == set(theirs)
    assert proof["elements"]["used"] == proof["elements"]["filled"]
    return conversion


def there_and_back(config, name: str, ours: dict) -> None:
    """Exported under another system's names and imported again, through a file."""
    source = named_source(name)
    made = convert(in_memory("own", ours), config, OWN).items(source)
    theirs = {item.name: item.fetch() for item in made}
    assert len(theirs) == len(made), "two tensors of one name"
    again = convert(in_memory("theirs", theirs), config, source)
    assert all(np.array_equal(again.array(k), v) for k, v in ours.items())


# DETR


def split_names(key: str) -> list[str]:
    """Names of the three projections that a fused one becomes; otherwise the name itself."""
    found = re.match(r"(.*)\.in_proj_(weight|bias)$", key)
    return [f"{found[1]}.{p}_proj.{found[2]}" for p in "qkv"] if found else [key]


def split(weights: dict, rename) -> dict:
    return {
        rename(name): part
        for key, values in weights.items()
        for names in [split_names(key)]
        for name, part in zip(names, np.split(values, len(names)), strict=True)
    }


def old_hugging_face(name: str) -> str:
    """transformers 4 with timm's backbone."""
    layer = r"transformer\.(\w+)\.layers\.(\d+)\."
    for pattern, replacement in (
        (r"backbone\.0\.body\.", "model.backbone.conv_encoder.model."),
        (layer + r"multihead_attn", r"model.\1.layers.\2.encoder_attn"),
        (layer + r"linear(\d)", r"model.\1.layers.\2.fc\3"),
        (layer + r"norm1", r"model.\1.layers.\2.self_attn_layer_norm"),
        (
            r"transformer\.encoder\.layers\.(\d+)\.norm2",
            r"model.encoder.layers.\1.final_layer_norm",
        ),
        (
            r"transformer\.decoder\.layers\.(\d+)\.norm2",
            r"model.decoder.layers.\1.encoder_attn_layer_norm",
        ),
        (
            r"transformer\.decoder\.layers\.(\d+)\.norm3",
            r"model.decoder.layers.\1.final_layer_norm",
        ),
        (r"transformer\.decoder\.norm", "model.decoder.layernorm"),
        (r"transformer\.", "model."),
        (r"class_embed", "class_labels_classifier"),
        (r"bbox_embed", "bbox_predictor"),
        (r"query_embed", "model.query_position_embeddings"),
        (r"input_proj\.", "model.input_projection."),
    ):
        name = re.sub("^" + pattern, replacement, name)
    return name


def test_older_hugging_face_names():
    config = small_detr()
    ours = drawn(config)
    theirs = split(ours, old_hugging_face)
    assert "model.encoder.layers.1.self_attn.k_proj.bias" in theirs
    assert "model.backbone.conv_encoder.model.layer4.1.bn2.running_var" in theirs
    theirs["model.backbone.conv_encoder.model.bn1.num_batches_tracked"] = np.array(3)
    arrive(theirs, ours, config, "Hugging Face DETR")


@pytest.fixture(scope="module")
def hugging_face():
    transformers = pytest.importorskip("transformers")
    backbone = transformers.ResNetConfig(
        embedding_size=64,
        hidden_sizes=[64, 128, 256, 512],
        depths=[2, 2, 2, 2],
        layer_type="basic",
        out_features=["stage4"],
    )
    config = transformers.DetrConfig(
        backbone_config=backbone,
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        encoder_layers=2,
        decoder_layers=2,
        d_model=64,
        encoder_ffn_dim=96,
        decoder_ffn_dim=96,
        encoder_attention_heads=8,
        decoder_attention_heads=8,
        num_labels=91,
        dropout=0.0,
        attn_implementation="eager",
    )
    torch.manual_seed(0)
    model = transformers.DetrForObjectDetection(config).eval()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2)
            elif "num_batches" not in name:
                tensor.normal_(0, 1 / max(tensor[0].numel(), 64) ** 0.5)
    return model


def test_hugging_faces_own_model_computes_the_same(hugging_face, tmp_path):
    """Its state dict through a file: our logits and boxes are its own, with padding; and back again."""
    from tests.test_faster_rcnn_torch import example_batch

    config = small_detr("model.position.dtype=model")
    path = tmp_path / "pytorch_model.bin"
    torch.save(hugging_face.state_dict(), path)
    checkpoint = read_checkpoint(path)
    conversion = convert(checkpoint, config)
    assert conversion.source.name == "Hugging Face DETR"
    prove(conversion)
    torch.set_default_dtype(torch.float64)
    try:
        session = Session(config, dtype="float64")
        session.load(conversion.weights())
        batch = example_batch()
        mask = torch.from_numpy(~batch.mask).long()
        images = torch.from_numpy(batch.images).double()
        with torch.no_grad():
            ours = session.model(images, torch.from_numpy(batch.mask))[-1]
            theirs = hugging_face.double()(images, pixel_mask=mask)
    finally:
        torch.set_default_dtype(torch.float32)
        hugging_face.float()
    # its position encoding divides in another order
    assert torch.allclose(ours[0], theirs.logits, rtol=0, atol=1e-6)
    assert torch.allclose(ours[1], theirs.pred_boxes, rtol=0, atol=1e-6)
    exported = {item.name: item.fetch() for item in conversion.items(named_source("Hugging Face"))}
    assert set(exported) == {k for k in hugging_face.state_dict() if "num_batches" not in k}
    for name, tensor in hugging_face.state_dict().items():
        if name in exported:
            assert np.array_equal(exported[name], tensor.numpy()), name


def test_hugging_faces_saved_files(hugging_face, tmp_path):
    """save_pretrained has names of its own time again; they arrive too."""
    hugging_face.save_pretrained(tmp_path)
    config = small_detr()
    saved = load_weights(tmp_path / "model.safetensors", config)
    direct = convert(
        in_memory("m", {k: v.numpy() for k, v in hugging_face.state_dict().items()}), config
    )
    assert all(np.array_equal(saved[k], direct.array(k)) for k in saved)


def test_the_published_ports_checkpoint(tmp_path):
    """Ber0ton's checkpoint.pkl: split projections, a body in a body, an optimiser and a Namespace beside it."""
    import argparse

    from tests.weight_files import JITTOR_MARK

    config = small_detr()
    ours = drawn(config)
    theirs = split(ours, lambda k: k.replace("backbone.0.body.", "backbone.0.body.body."))
    content = {"model": theirs, "optimizer": {"defaults": {"lr": 1e-4}}, "epoch": 5}
    import hashlib
    import pickle

    data = pickle.dumps(content | {"args": argparse.Namespace(lr=1)}, 4)
    path = tmp_path / "checkpoint.pkl"
    path.write_bytes(data + hashlib.sha1(data).digest() + JITTOR_MARK)
    conversion = convert(read_checkpoint(path), config)
    assert conversion.source.name == "Ber0ton's Jittor DETR"
    assert all(np.array_equal(conversion.array(k), v) for k, v in ours.items())
    assert "args (Inert)" in conversion.notes[-1]


@pytest.mark.parametrize(
    "name", ["detr_r50", "detr_r101", "detr_r50_dc5", "detr_r101_dc5", "scenes_detr"]
)
def test_official_detr_of_every_size(name):
    """facebookresearch/detr's own names are the canonical ones; detr_r50's are those of its golden record."""
    config = preset(name)
    ours = {k: np.zeros(s, np.float32) for k, s in canonical_shapes(config).items()}
    arrive(ours, {}, config, "facebookresearch/detr")


@pytest.mark.parametrize(
    "source", ["Hugging Face DETR", "Ber0ton's Jittor DETR", "facebookresearch/detr"]
)
def test_detr_goes_both_ways(source):
    config = small_detr("model.transformer.pre_norm=true", "model.position.kind=learned")
    there_and_back(config, source, drawn(config))


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


# backbones


@pytest.mark.parametrize(
    ("depth", "name"),
    [("resnet50", "detr_r50"), ("resnet101", "detr_r101_dc5"), ("resnet152", "trzy_resnet152")],
)
def test_torchvisions_resnets(depth, name):
    config = preset(name)
    model = getattr(torchvision.models, depth)(weights=None)
    state = {k: v.numpy() for k, v in model.state_dict().items()}
    stage = "roi_heads.box_head." if name.startswith("trzy") else "backbone.0.body."
    body = "backbone.body." if name.startswith("trzy") else "backbone.0.body."
    ours = {
        (stage if k.startswith("layer4") else body) + k: v
        for k, v in state.items()
        if not k.startswith("fc.") and "num_batches" not in k
    }
    conversion = arrive(state, ours, config, "torchvision ResNet")
    assert {"fc.weight", "fc.bias"} < set(conversion.left_out)


def resnet_state(depth: str = "resnet18") -> dict[str, np.ndarray]:
    model = getattr(torchvision.models, depth)(weights=None)
    return {k: v.numpy() for k, v in model.state_dict().items() if "num_batches" not in k}


def test_jittors_model_zoo():
    """Its ResNets have torchvision's names (jittor.models.resnet); parity/suite/test_weights.py has the real ones."""
    config = small_detr()
    state = resnet_state()
    ours = {f"backbone.0.body.{k}": v for k, v in state.items() if not k.startswith("fc.")}
    arrive(state, ours, config, "Jittor model zoo ResNet", "Jittor pickle")
    vgg = {k: v.numpy() for k, v in torchvision.models.vgg16(weights=None).state_dict().items()}
    vgg |= {
        "classifier.0.weight": np.ones((64, 25088), np.float32),
        "classifier.0.bias": np.ones(64, np.float32),
    }
    vgg |= {
        "classifier.3.weight": np.ones((64, 64), np.float32),
        "classifier.3.bias": np.ones(64, np.float32),
    }
    rgb = ("transform.channels=rgb", "transform.pixel_range=1", *NARROW)
    arrive(
        vgg,
        {"roi_heads.box_head.fc6.weight": vgg["classifier.0.weight"]},
        with_overrides(preset("simple_vgg16"), rgb),
        "Jittor model zoo VGG16",
        "Jittor pickle",
    )


def test_a_backbone_that_is_too_short_or_too_long():
    """A ResNet-50 is no ResNet-101: nothing is begun anew in a body that a file should fill."""
    with pytest.raises(InputError, match=r"nothing fills backbone\.0\.body\.layer3\.6\.conv1"):
        convert(in_memory("r50.pth", resnet_state("resnet50")), preset("detr_r101"))
    with pytest.raises(InputError, match=r"\(64, 64, 3, 3\), wanted \(64, 64, 1, 1\)"):
        convert(in_memory("r18.pth", resnet_state()), preset("detr_r50"))
    with pytest.raises(InputError, match=r"no place"):
        convert(in_memory("r34.pth", resnet_state("resnet34")), small_detr())
    # a stage behind the last that the model has is no mistake
    shorter = with_overrides(
        preset("scenes_frcnn"),
        [
            "model.backbone.name=resnet18",
            "model.backbone.width=64",
            "model.backbone.norm=frozen_batch",
        ],
    )
    conversion = convert(in_memory("r18.pth", resnet_state()), shorter)
    assert all("ends before" in r for k, r in conversion.left_out.items() if k.startswith("layer4"))


def test_colours_have_to_fit():
    state = resnet_state("resnet50")
    assert detect(in_memory("x", state), preset("detr_r50")).name == "torchvision ResNet"
    assert detect(in_memory("x", state), preset("tf_res50")).name == "caffe ResNet"
    with pytest.raises(InputError, match="wants RGB images, the preset tf_res50 feeds BGR"):
        convert(in_memory("x", state), preset("tf_res50"), named_source("torchvision ResNet"))


def test_ambiguity_is_an_error_and_a_digest_settles_it(tmp_path, monkeypatch):
    path = tmp_path / "resnet.pth"
    torch.save({k: torch.from_numpy(v) for k, v in resnet_state().items()}, path)
    checkpoint = read_checkpoint(path)
    assert [s.name for s in candidates(checkpoint)] == ["torchvision ResNet", "caffe ResNet"]
    with pytest.raises(InputError, match="have the same names; say which it is with --source"):
        detect(checkpoint)
    from neutral.files import sha256_of
    from neutral.weights import recognising as module

    known = [
        type(s)(**(vars(s) | {"digests": (sha256_of(path)[:8],)}))
        if s.name == "torchvision ResNet"
        else s
        for s in SOURCES
    ]
    monkeypatch.setattr(module, "SOURCES", known)
    assert detect(checkpoint).name == "torchvision ResNet"
    with pytest.raises(InputError, match="wants RGB images"):
        convert(checkpoint, preset("tf_res50"))


# what does not fit


def test_nothing_is_guessed():
    config = small_detr()
    ours = drawn(config)
    key = "transformer.encoder.layers.0.linear1.weight"

    def refused(pattern: str, changes: dict | None = None, without: str = "", **options) -> None:
        theirs = {k: v for k, v in (ours | (changes or {})).items() if k != without}
        with pytest.raises(InputError, match=pattern):
            convert(in_memory("file.pth", theirs), config, **options)

    refused(rf"file\.pth: .*nothing fills {re.escape(key)}", without=key)
    refused(
        r"mask_head\.weight \(mask_head\.weight\) has no place", {"mask_head.weight": ours[key]}
    )
    refused(r"\(64, 96\), wanted \(96, 64\)", {key: ours[key].T})
    refused(r"is int64, not floating point", {key: ours[key].astype(np.int64)})
    refused(r"digits that float32 does not have: --round", {key: ours[key].astype(np.float64) / 3})
    refused("of no known source", without="query_embed.weight")
    exact = ours | {key: ours[key].astype(np.float64)}
    conversion = convert(in_memory("f", exact), config)
    assert np.array_equal(conversion.array(key), ours[key])
    prove(conversion)
    rounded = {**ours, key: ours[key].astype(np.float64) / 3}
    conversion = convert(in_memory("f", rounded), config, round_values=True)
    prove(conversion)
    with pytest.raises(InputError, match="--source 'resnest' is not one of"):
        named_source("resnest")


def test_two_tensors_for_one_place_and_a_missing_part():
    config = small_detr()
    theirs = split(drawn(config), old_hugging_face)
    name = "model.encoder.layers.0.fc1.weight"
    both = theirs | {name.replace("fc1", "mlp.fc1"): theirs[name]}
    with pytest.raises(
        InputError, match=r"several tensors for transformer\.encoder\.layers\.0\.linear1"
    ):
        convert(in_memory("f", both), config)
    lost = {k: v for k, v in theirs.items() if not k.endswith("0.self_attn.v_proj.bias")}
    with pytest.raises(InputError, match="not all parts of"):
        convert(in_memory("f", lost), config)


def test_half_precision_widens_exactly(tmp_path):
    config = small_detr()
    ours = drawn(config)
    for dtype in (torch.float16, torch.bfloat16):
        state = {f"module.{k}": torch.from_numpy(v).to(dtype) for k, v in ours.items()}
        path = tmp_path / "half.pth"
        torch.save(state, path)
        conversion = convert(read_checkpoint(path), config)
        for key, tensor in state.items():
            found = conversion.array(key.removeprefix("module."))
            assert np.array_equal(found, tensor.float().numpy())
        proof = prove(conversion)
        assert proof["dtypes"] == {str(dtype).removeprefix("torch."): len(ours)}
        assert "names without 'module.'" in proof["notes"]


@pytest.mark.parametrize(
    ("name", "heads"),
    [
        ("scenes_detr", ["class_embed.weight", "class_embed.bias"]),
        (
            "scenes_frcnn",
            [
                f"roi_heads.box_predictor.{a}.{b}"
                for a in ("cls_score", "bbox_pred")
                for b in ("weight", "bias")
            ],
        ),
    ],
)
def test_fine_tuning_begins_the_class_heads_anew_and_nothing_else(name, heads):
    theirs, config = drawn(preset(name)), with_overrides(preset(name), ["model.num_classes=5"])
    with pytest.raises(InputError, match="another number of classes; --reset-heads begins"):
        convert(in_memory("f", theirs), config)
    conversion = convert(in_memory("f", theirs), config, reset_heads=True)
    assert list(conversion.begun) == heads
    assert set(conversion.left_out) == set(heads)
    weights, fresh = conversion.weights(), initial_weights(canonical_shapes(config), config)
    for key, values in weights.items():
        assert np.array_equal(values, fresh[key] if key in heads else theirs[key]), key
    prove(conversion)
    # with the same classes nothing is begun anew, asked for or not
    same = convert(in_memory("f", theirs), preset(name), reset_heads=True)
    assert same.begun == {}
    wrong = theirs | {heads[0]: theirs[heads[0]][:, :-1]}
    with pytest.raises(InputError, match="wanted"):
        convert(in_memory("f", wrong), config, reset_heads=True)


# proofs


def test_the_proof_notices_what_changed(tmp_path, monkeypatch):
    config = small_detr()
    ours = drawn(config)
    conversion = convert(in_memory("f.pth", ours), config)
    key = "transformer.encoder.layers.0.self_attn.out_proj.weight"  # square
    path = write_weights(tmp_path / "w.safetensors", conversion.items(), {})
    assert prove(conversion, path)["round_trip"].endswith("read back")
    save_weights(path, ours | {key: ours[key].T})
    with pytest.raises(InputError, match=rf"{re.escape(key)} is not what was written"):
        prove(conversion, path)
    save_weights(path, {k: v for k, v in ours.items() if k != key})
    with pytest.raises(InputError, match="does not hold what was written"):
        prove(conversion, path)
    whole = type(conversion).array
    monkeypatch.setattr(
        type(conversion),
        "array",
        lambda self, k: whole(self, k).T if k == key else whole(self, k),
    )
    with pytest.raises(InputError, match=rf"{re.escape(key)}: values changed on the way"):
        prove(conversion)


def test_our_own_files_say_where_they_come_from(tmp_path):
    config = small_detr()
    source = tmp_path / "theirs.pth"
    ours = drawn(config)
    torch.save({k: torch.from_numpy(v) for k, v in ours.items()}, source)
    conversion = convert(read_checkpoint(source), config)
    path = write_weights(tmp_path / "w.safetensors", conversion.items(), conversion.metadata())
    metadata = load_file(path)[1]
    from neutral.files import sha256_of

    assert metadata["system"] == "facebookresearch/detr"
    assert metadata["source_sha256"] == sha256_of(source)
    assert json.loads(metadata["config"])["name"] == "detr_r50"
    assert {"format", "converter", "source_file"} <= set(metadata)
    assert detect(read_checkpoint(path)).name == "detector-parity"


@pytest.mark.parametrize("source", [s for s in SOURCES if not s.fills], ids=lambda s: s.name)
def test_every_detectors_table_names_every_tensor(source):
    """Each canonical tensor has a name there, no two have the same, and each name leads back."""
    name = {
        "trzy/FasterRCNN": "trzy_vgg16",
        "chenyuntc/simple-faster-rcnn-pytorch": "simple_vgg16",
        "ruotianluo/pytorch-faster-rcnn": "tf_res101",
        "detectron2 R-CNN with FPN": "d2_r50_fpn",
        "detectron2 R-CNN C4": "d2_r50_c4",
        "torchvision Faster R-CNN": "torchvision_r50_fpn",
    }.get(source.name, "detr_r50")
    masks = ["model.masks.enabled=true"] if "masks" in source.name else []
    config = with_overrides(preset(name), masks)
    shapes = canonical_shapes(config)
    names = [n for key in shapes for n, _ in their_names(source, key, config)]
    assert len(set(names)) == len(names) >= len(shapes)
    tensors = {n: np.zeros(0) for n in names}
    checkpoint = in_memory("x", tensors)
    assert source in candidates(checkpoint)
