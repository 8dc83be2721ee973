"""Weights as training tools save them: wrappers of any name, several models in a file, and what files do not tell."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from door.files import sha256_of
from neutral.config import preset, with_overrides
from neutral.errors import InputError
from neutral.notes import Note
from neutral.weights import open_weights
from neutral.weights import recognising as module
from neutral.weights.conversion import convert
from neutral.weights.layout import canonical_shapes
from neutral.weights.proof import prove
from neutral.weights.readers import read_checkpoint
from neutral.weights.recognising import OWN, named_source
from neutral.weights.sources import SOURCES
from neutral.weights.writers import write_weights
from parity.engine.judge.weights import drawn_weights
from parity.suite.requests import find_names

DETR = with_overrides(
    preset("scenes_detr"), ["model.backbone.width=8", "model.transformer.hidden_dim=16"]
)
FRCNN = ("model.backbone.width=8", "model.fpn.channels=8", "model.roi.hidden=8")


def drawn(config, salt: str = "") -> dict[str, torch.Tensor]:
    shapes = canonical_shapes(config)
    return {k: torch.from_numpy(v) for k, v in drawn_weights(shapes, salt).items()}


def prefixed(prefix: str, tensors: dict) -> dict:
    return {prefix + k: v for k, v in tensors.items()}


@pytest.fixture
def saved(tmp_path):
    def save(content):
        path = tmp_path / "their.pth"
        torch.save(content, path)
        return path

    return save


OURS = drawn(DETR)
OTHERS = drawn(DETR, "other")
OPTIMISER = {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 1e-4}]}
WRAPPED = {
    "DataParallel": (prefixed("module.", OURS), "module."),
    "compiled": (prefixed("_orig_mod.", OURS), "_orig_mod."),
    "both, in both orders": (prefixed("module._orig_mod.", OURS), "module._orig_mod."),
    "four": (prefixed("a._orig_mod.module.net.", OURS), "a._orig_mod.module.net."),
    "Lightning": (
        {"state_dict": prefixed("model.", OURS), "optimizer_states": [OPTIMISER], "epoch": 3},
        "model.",
    ),
    "of a name that nobody foresaw": (prefixed("my_detector.", OURS), "my_detector."),
    "in dictionaries": ({"a": {"b": {"c": OURS}}, "optimizer": OPTIMISER}, ""),
    "in dictionaries and a word": ({"net": prefixed("module.", OURS), "step": 7}, "module."),
    "with other things that are trained": (
        {"model": OURS, "criterion": {"empty_weight": torch.ones(5)}, "best": torch.tensor(0.5)},
        "model.",
    ),
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_wrappers_are_looked_through(kind, saved):
    content, prefix = WRAPPED[kind]
    path = saved(content)
    conversion = convert(read_checkpoint(path), DETR)
    assert conversion.source.name == "facebookresearch/detr" and conversion.prefix == prefix
    assert all(np.array_equal(conversion.array(k), v.numpy()) for k, v in OURS.items())
    proof = prove(conversion)
    if prefix:
        assert f"names without {prefix!r}" in proof["notes"]
        with pytest.warns(Note, match=f"read without '{prefix}' before the names"):
            open_weights(path, DETR)
    # a framework's own loader, of which `verify` takes the tensors, finds the same
    plan = conversion.plan()
    first = next(iter(plan.values()))[0]
    found = find_names(torch.load(path, weights_only=True), first)
    assert all(torch.equal(found[names[0]], OURS[key]) for key, names in plan.items())


def test_a_backbone_in_a_wrapper(saved):
    from torchvision.models import resnet18

    state = resnet18(weights=None).state_dict()
    path = saved({"state_dict": prefixed("encoder.module.", state)})
    config = with_overrides(preset("scenes_detr"), ["model.backbone.name=resnet18"])
    config = with_overrides(config, ["model.backbone.width=64", "model.backbone.norm=frozen_batch"])
    found = open_weights(path, config, "torchvision ResNet")
    assert np.array_equal(found.array("backbone.0.body.conv1.weight"), state["conv1.weight"])


def test_which_of_two_is_asked(saved):
    """A model and its running average: two readings, an option for each, and no guess."""
    for content, names in (
        ({"model": OURS, "ema": OTHERS}, ("model", "ema")),
        ({"ema": {"module": OTHERS, "updates": 3}, "model": OURS}, ("model", "ema.module")),
        (prefixed("student.", OURS) | prefixed("teacher.", OTHERS), ("student", "teacher")),
    ):
        path = saved(content)
        told = "|".join(names)
        with pytest.raises(InputError, match=rf"weights more than once.*--inside ({told}) or --i"):
            open_weights(path, DETR)
        for name, wanted in zip(names, (OURS, OTHERS), strict=True):
            found = open_weights(path, DETR, inside=name)
            assert all(np.array_equal(found.array(k), v.numpy()) for k, v in wanted.items())
        with pytest.raises(InputError, match="--inside nothing: no tensor's name begins so"):
            open_weights(path, DETR, inside="nothing")


def test_what_lies_outside_a_wrapper_is_told(saved):
    content = prefixed("model.", OURS) | {"criterion.empty_weight": torch.ones(5)}
    with pytest.raises(InputError, match=r"1 tensors outside: criterion\.empty_weight.*--inside m"):
        open_weights(saved(content), DETR)
    found = open_weights(saved(content), DETR, inside="model")
    assert "1 tensors outside" in found.notes[-1]
    # inside, everything has to match
    lost = dict(list(prefixed("module.", OURS).items())[:-1])
    with pytest.raises(InputError, match="nothing fills"):
        open_weights(saved(lost), DETR)
    with pytest.raises(InputError, match=r"strange\.weight \(strange\.weight\) has no"):
        open_weights(saved(lost | {"module.strange.weight": torch.ones(1)}), DETR)


def test_a_detector_that_is_not_known_is_not_a_backbone(saved):
    from torchvision.models import resnet18

    state = prefixed("backbone.", resnet18(weights=None).state_dict())
    with pytest.raises(InputError, match=r"of no known source.*--inside PREFIX"):
        open_weights(saved(state | {"neck.weight": torch.ones(1)}), DETR)


# what files do not tell


@pytest.fixture
def torchvisions(saved):
    """A file with the names of torchvision's Faster R-CNN, and the preset for such a small one."""
    config = with_overrides(preset("torchvision_r50_fpn"), list(FRCNN))
    return saved(drawn(config)), config


def test_eps_is_asked(torchvisions):
    path, config = torchvisions
    readings = r"--set model\.backbone\.norm_eps=0 .*--set model\.backbone\.norm_eps=1e-05"
    with pytest.raises(InputError, match=rf"their\.pth: torchvision Faster R-CNN.*{readings}"):
        open_weights(path, config)
    for eps in ("0", "1e-5"):
        told = with_overrides(config, [f"model.backbone.norm_eps={eps}"])
        assert open_weights(path, told).source.name == "torchvision Faster R-CNN"
    # with other normalisation there is nothing to ask, nor of our own files
    group = with_overrides(config, ["model.backbone.norm=group"])
    state = drawn(group)
    torch.save(state, path)
    assert open_weights(path, group).source.name == "torchvision Faster R-CNN"
    ours = convert(read_checkpoint(path), group, OWN)
    for suffix in (".safetensors", ".pth"):
        own = write_weights(path.with_suffix(suffix), ours.items(), ours.metadata())
        assert open_weights(own, group).source is OWN


def test_eps_of_the_published_file_is_known(torchvisions, monkeypatch):
    path, config = torchvisions
    known = [
        type(s)(**(vars(s) | {"digests": (sha256_of(path)[:8],)})) if s.norm_eps else s
        for s in SOURCES
    ]
    monkeypatch.setattr(module, "SOURCES", known)
    assert open_weights(path, config).source.name == "torchvision Faster R-CNN"
    other = with_overrides(config, ["model.backbone.norm_eps=1e-5"])
    with pytest.raises(InputError, match=r"the published file .* goes with --set .*norm_eps=0"):
        open_weights(path, other)


def test_what_the_user_sets_is_no_part_of_the_configuration():
    told = with_overrides(preset("torchvision_r50_fpn"), ["model.backbone.norm_eps=0"])
    assert told == preset("torchvision_r50_fpn") and told.stated == {"model.backbone.norm_eps"}
    again = with_overrides(told, ["seed=1"])
    assert again.stated == {"model.backbone.norm_eps", "seed"}


def test_another_systems_names_are_read_back(tmp_path, saved):
    """A file that was exported is not taken for one under our own names."""
    conversion = convert(read_checkpoint(saved(OURS)), DETR)
    naming = named_source("Hugging Face DETR")
    for suffix in (".safetensors", ".pth"):
        path = tmp_path / f"hf{suffix}"
        write_weights(path, conversion.items(naming), conversion.metadata(naming))
        found = open_weights(path, DETR)
        assert found.source is naming
        assert all(np.array_equal(found.array(k), v.numpy()) for k, v in OURS.items())
