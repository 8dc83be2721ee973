from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from neutral.config import preset
from neutral.errors import InputError
from neutral.parameters import rates, trainable
from neutral.weights import (
    check_state,
    initial_weights,
    load_file,
    load_weights,
    open_weights,
    save_weights,
)
from torch_impl.session import Session


@pytest.fixture(scope="module")
def detr():
    return Session(preset("detr_r50"))


def test_safetensors_round_trip_and_damage(tmp_path):
    path = tmp_path / "w.safetensors"
    weights = {"a": np.arange(6, dtype=np.float32).reshape(2, 3).T, "b": np.float64([1.0])}
    save_weights(path, weights, {"epoch": "3"})
    loaded, metadata = load_file(path)
    assert metadata["epoch"] == "3"
    assert all(
        np.array_equal(loaded[k], weights[k]) and loaded[k].dtype == weights[k].dtype
        for k in weights
    )
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match=r"w\.safetensors: truncated"):
        load_file(path)
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"], "no temporary file is left"


def test_wrong_keys_and_shapes_are_named():
    shapes = {"a.weight": (2, 3), "b": (1,)}
    good = {"a.weight": np.zeros((2, 3)), "b": np.zeros(1)}
    check_state(shapes, good)
    with pytest.raises(InputError, match=r"missing \(b\)"):
        check_state(shapes, {"a.weight": good["a.weight"]})
    with pytest.raises(InputError, match=r"unexpected \(c\)"):
        check_state(shapes, good | {"c": np.zeros(1)})
    with pytest.raises(InputError, match=r"a\.weight \(3, 2\), wanted \(2, 3\)"):
        check_state(shapes, good | {"a.weight": np.zeros((3, 2))})


def test_keys_and_counts_are_the_references(detr, shared):
    import json

    record = json.loads((shared / "golden" / "detr_r50.json").read_text())
    shapes = detr.shapes()
    assert {k: list(v) for k, v in shapes.items()} == record["keys"]
    names = trainable(shapes, preset("detr_r50"))
    assert names == record["trainable"]
    assert sum(math.prod(shapes[n]) for n in names) == 41_302_368  # logged by the reference


def test_initial_values_have_the_references_statistics(detr):
    """Against torch.nn and torchvision: bounds of uniforms, deviations of normals, constants."""
    config, shapes = preset("detr_r50"), detr.shapes()
    weights = initial_weights(shapes, config)
    check_state(shapes, weights)
    attention = weights["transformer.encoder.layers.3.self_attn.in_proj_weight"]
    bound = math.sqrt(6 / (4 * 256))  # Xavier on (3E, E), .0765
    assert 0.999 * bound < np.abs(attention).max() <= bound
    assert not weights["transformer.decoder.layers.0.multihead_attn.in_proj_bias"].any()
    assert not weights["transformer.decoder.layers.0.self_attn.out_proj.bias"].any()
    head = weights["class_embed.weight"]
    assert 0.99 / 16 < np.abs(head).max() <= 1 / 16  # torch.nn.Linear: 1 / sqrt(256)
    assert weights["class_embed.bias"].any()
    convolution = weights["backbone.0.body.layer3.2.conv2.weight"]
    assert np.isclose(convolution.std(), math.sqrt(2 / (256 * 9)), rtol=0.01)
    assert np.isclose(weights["query_embed.weight"].std(), 1, rtol=0.02)
    assert (weights["backbone.0.body.bn1.running_var"] == 1).all()
    assert (weights["transformer.encoder.layers.0.norm1.weight"] == 1).all()
    assert not weights["transformer.encoder.layers.0.norm1.bias"].any()
    again = initial_weights(shapes, config)
    assert all((weights[k] == again[k]).all() for k in weights)


@pytest.mark.parametrize("dilation", [False, True])
def test_backbone_is_torchvisions(tmp_path, dilation):
    """torchvision's ResNet-50 with random statistics, through a checkpoint file, gives the same features."""
    import torchvision

    from neutral.config import with_overrides

    torch.set_default_dtype(torch.float32)
    reference = torchvision.models.resnet50(
        weights=None, replace_stride_with_dilation=[False, False, dilation]
    ).eval()
    with torch.no_grad():
        for name, tensor in reference.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2)
            elif name.endswith(("running_mean", "bias")):
                tensor.normal_(0, 0.1)
    path = tmp_path / "resnet50.pth"
    torch.save(reference.state_dict(), path)
    config = with_overrides(preset("detr_r50"), [f"model.backbone.dilation={dilation}"])
    session = Session(config)
    session.load(open_weights(path, config, "torchvision ResNet").weights())
    images = torch.randn(1, 3, 64, 96)
    body = torch.nn.Sequential(*list(reference.children())[:-2])
    with torch.no_grad():
        (ours,), theirs = session.model.backbone[0].body(images), body(images)
    assert ours.shape == theirs.shape
    assert torch.linalg.vector_norm(ours - theirs) / torch.linalg.vector_norm(theirs) < 1e-5


def test_official_layout_loads(detr, tmp_path):
    """A checkpoint laid out as the reference publishes its own: the old file layout, under "model"."""
    config, shapes = preset("detr_r50"), detr.shapes()
    state = {k: torch.randn(s) for k, s in shapes.items()}
    path = tmp_path / "detr-r50.pth"
    torch.save({"model": state}, path, _use_new_zipfile_serialization=False)
    weights = load_weights(path, config)
    detr.load(weights)
    assert all(np.array_equal(v, state[k].numpy()) for k, v in detr.state().items())
    with pytest.raises(InputError, match=r"detr-r50\.pth.*preset"):
        load_weights(path, preset("scenes_detr"))


def test_rates_and_groups():
    config = preset("detr_r50")
    keys = ["backbone.0.body.layer2.0.conv1.weight", "class_embed.weight"]
    assert list(rates(keys, config, 0).values()) == [1e-5, 1e-4]
    assert list(rates(keys, config, 199).values()) == [1e-5, 1e-4]
    assert np.allclose(list(rates(keys, config, 200).values()), [1e-6, 1e-5])
