from __future__ import annotations

import json

import pytest

from neutral.config import PRESETS, from_dict, preset, to_dict, validate, with_overrides
from neutral.errors import InputError
from neutral.run.identity import differences


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


def test_faster_rcnn_presets_hold_the_references_numbers():
    """The table of REFERENCE_SYSTEMS 1.6, row by row: trzy, chenyuntc, ruotianluo, torchvision, A5-2."""
    names = ("trzy_resnet50", "simple_vgg16", "tf_vgg16", "torchvision_r50_fpn", "a5_fpn")
    models = [preset(name).model for name in names]
    configs = [preset(name) for name in names]
    rows = {
        "box order": ([m.box_order for m in models], ["yx", "yx", "xy", "xy", "xy"]),
        "+1": ([m.pixel_offset for m in models], [0, 0, 1, 0, 0]),
        "background": ([m.background for m in models], ["first"] * 4 + ["last"]),
        "resize": (
            [(c.transform.val_size, c.transform.max_size) for c in configs],
            [(600, 0), (600, 1000), (600, 1000), (800, 1333), (224, 0)],
        ),
        "RPN": (
            [m.rpn.scores for m in models],
            ["sigmoid", "softmax", "softmax", "sigmoid", "sigmoid"],
        ),
        "RPN box loss": (
            [(m.rpn.box_loss.kind, round(m.rpn.box_loss.beta * 9, 6)) for m in models[:4]],
            [("smooth_l1", 1)] * 4,
        ),
        "head box loss": (
            [round(m.roi.box_loss.beta * 9, 6) for m in models[:4]],
            [9, 9, 9, 1],
        ),
        "RoI op": (
            [m.roi.pool for m in models],
            ["roi_pool", "roi_pool", "roi_align", "roi_align", "roi_align"],
        ),
        "RoIs": ([m.roi.sampler.count for m in models], [128, 128, 256, 512, 32]),
        "GT appended": ([m.roi.append_gt for m in models], [True, True, False, True, True]),
        "proposals": (
            [(m.rpn.proposals.post_nms_train, m.rpn.proposals.post_nms_test) for m in models],
            [(2000, 300), (2000, 300), (2000, 300), (2000, 1000), (200, 200)],
        ),
        "test": (
            [
                (d.nms_threshold, d.score_threshold, d.max_count)
                for d in (m.roi.detections for m in models)
            ],
            [(0.3, 0.05, 0), (0.3, 0.05, 0), (0.3, 0.0, 100), (0.5, 0.05, 100), (0.5, 0.2, 0)],
        ),
        "min size": ([m.rpn.proposals.min_size for m in models], [16, 16, 0, 1e-3, 0]),
        "bias rate": ([c.optimiser.bias_lr_factor for c in configs], [1, 2, 2, 1, 1]),
    }
    for row, (found, wanted) in rows.items():
        assert found == wanted, row


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("model.rpn.anchors.sizes=32,64", "5"),
        ("model.rpn.anchors.sizes=32;64;128;256;256,512", "as many sizes"),
        ("model.roi.head=layer4", "fpn.channels=0"),
        ("model.backbone.name=vgg16", "pyramid"),
        ("model.rpn.labels.negative=0.9", "negative <= positive"),
        ("model.rpn.sampler.refill=true", "refill"),
        ("model.num_classes=1", "background"),
        ("transform.boxes=relative_cxcywh", "absolute_xyxy"),
        ("model.detector=detr", "preset"),
        ("model.fpn.first_level=6", "first"),
    ],
)
def test_bad_faster_rcnn_overrides_are_named(override, named):
    with pytest.raises(InputError, match=named):
        with_overrides(preset("torchvision_r50_fpn"), [override])


def test_a_checkpoint_from_before_a_field_existed_can_be_resumed():
    config = preset("scenes_detr")
    then = to_dict(config)
    del then["model"]["masks"], then["optimiser"]["ema_decay"]
    assert differences({"config": json.dumps(then)}, config, {"framework": "torch"}) == {}
    then["optimiser"]["lr"] = 0.5
    changed = differences({"config": json.dumps(then)}, config, {"framework": "torch"})
    assert changed == {"optimiser.lr": (0.5, 0.001)}
