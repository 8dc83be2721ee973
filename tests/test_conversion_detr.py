"""Conversion of DETR's weights: Hugging Face's, the published port's, the official ones, and back.

The names of other systems are written down a second time here, so that the tables of neutral/weights are not their
own judges.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neutral.config import preset
from neutral.weights import load_weights
from neutral.weights.conversion import convert
from neutral.weights.layout import canonical_shapes
from neutral.weights.proof import prove
from neutral.weights.readers import read_checkpoint
from neutral.weights.recognising import named_source
from neutral.weights.stored import in_memory
from tests.conversions import arrive, drawn, old_hugging_face, small_detr, split, there_and_back
from torch_impl.session import Session


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
