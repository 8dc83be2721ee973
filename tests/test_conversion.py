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
from neutral.weights import initial_weights, load_file, save_weights
from neutral.weights.conversion import convert
from neutral.weights.layout import canonical_shapes
from neutral.weights.proof import prove
from neutral.weights.readers import read_checkpoint
from neutral.weights.recognising import candidates, detect, named_source
from neutral.weights.rules import their_names
from neutral.weights.sources import SOURCES
from neutral.weights.stored import in_memory
from neutral.weights.writers import write_weights
from tests.conversions import (
    NARROW,
    arrive,
    drawn,
    old_hugging_face,
    resnet_state,
    small_detr,
    split,
)

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
    from door.files import sha256_of
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
    from door.files import sha256_of

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
