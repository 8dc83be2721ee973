from __future__ import annotations

import json

import pytest

from neutral.config import PRESETS, from_dict, preset, to_dict, validate, with_overrides
from neutral.errors import InputError


def test_detr_presets_hold_the_reference_numbers():
    config = preset("detr_r50")  # REFERENCE: facebookresearch/detr main.py:20-102
    transformer, optimiser = config.model.transformer, config.optimiser
    assert (optimiser.lr, optimiser.lr_backbone, optimiser.weight_decay) == (1e-4, 1e-5, 1e-4)
    assert (optimiser.epochs, optimiser.lr_drop, optimiser.clip_max_norm) == (300, 200, 0.1)
    assert (transformer.encoder_layers, transformer.decoder_layers, transformer.heads) == (6, 6, 8)
    assert (transformer.feedforward_dim, transformer.hidden_dim, transformer.dropout) == (
        2048,
        256,
        0.1,
    )
    assert (
        config.model.num_queries,
        config.model.num_classes,
        config.model.criterion.eos_coef,
    ) == (
        100,
        91,
        0.1,
    )
    assert config.transform.train_sizes == tuple(range(480, 801, 32))
    assert preset("detr_r101_dc5").model.backbone.dilation
    assert preset("detr_r101_dc5").model.backbone.name == "resnet101"


@pytest.mark.parametrize("name", PRESETS)
def test_round_trip_through_json(name):
    config = validate(preset(name))
    assert from_dict(json.loads(json.dumps(to_dict(config)))) == config


def test_overrides():
    config = with_overrides(
        preset("detr_r50"),
        ["optimiser.lr=1e-3", "transform.train_sizes=64,96", "model.aux_loss=false"],
    )
    assert config.optimiser.lr == 1e-3
    assert config.transform.train_sizes == (64, 96)
    assert config.model.aux_loss is False


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("optimiser.learning_rate=1", "optimiser.learning_rate"),
        ("optimiser.lr=fast", "optimiser.lr"),
        ("optimiser=1", "optimiser"),
        ("optimiser.lr", "optimiser.lr"),
        ("model.position.kind=cosine", "sine, learned"),
        ("model.aux_loss=maybe", "aux_loss"),
        ("model.backbone.name=resnet34", "resnet34"),
        ("model.transformer.heads=7", "heads"),
        ("optimiser.batch_size=0", "batch_size"),
        ("model.transformer.dropout=1.0", "dropout"),
    ],
)
def test_bad_overrides_are_named(override, named):
    with pytest.raises(InputError, match=named):
        with_overrides(preset("detr_r50"), [override])


def test_unknown_preset_lists_the_known():
    with pytest.raises(InputError, match="scenes_detr"):
        preset("detr_r34")
