"""Configuration: every number of every system is a named field here, none is a literal in a model.

`preset(name)` gives a configuration, `with_overrides(config, ["optimiser.lr=1e-3"])` changes it,
`to_dict` / `from_dict` carry it through logs and checkpoints. shared.py, detr.py and
faster_rcnn.py hold the fields, detr_presets.py, presets.py and pyramid_presets.py the systems' values.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import partial

from door.ranges import Seed
from neutral.config import detr_presets, presets, pyramid_presets
from neutral.config.detr import (
    CriterionConfig,
    DetrConfig,
    MaskConfig,
    MatcherConfig,
    PositionConfig,
    TransformerConfig,
)
from neutral.config.faster_rcnn import FasterRcnnConfig
from neutral.config.fields import build, described
from neutral.config.shared import (
    BLOCK_EXPANSION,
    CROWD_SIZE,
    MOBILENET_LAYERS,
    RESNET_LAYOUTS,
    VGG16_BLOCKS,
    BackboneConfig,
    DataConfig,
    OptimiserConfig,
    ScenesConfig,
    TransformConfig,
)
from neutral.errors import InputError

__all__ = [
    "BLOCK_EXPANSION",
    "MOBILENET_LAYERS",
    "PRESETS",
    "RESNET_LAYOUTS",
    "VGG16_BLOCKS",
    "BackboneConfig",
    "Config",
    "CriterionConfig",
    "DataConfig",
    "DetrConfig",
    "FasterRcnnConfig",
    "MaskConfig",
    "MatcherConfig",
    "OptimiserConfig",
    "PositionConfig",
    "ScenesConfig",
    "TransformConfig",
    "TransformerConfig",
    "from_dict",
    "preset",
    "ranges",
    "to_dict",
    "validate",
    "with_overrides",
]


@dataclass(frozen=True)
class Config:
    name: str
    model: DetrConfig | FasterRcnnConfig = field(default_factory=DetrConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    transform: TransformConfig = field(default_factory=TransformConfig)
    data: DataConfig = field(default_factory=DataConfig)
    seed: Seed = 42
    deterministic: bool = False  # only algorithms that give the same bits in every run
    # fields that the user set (as "model.backbone.norm_eps"): what a file of weights does not tell, a default must not
    # decide. No part of the configuration itself: to_dict leaves it out
    stated: frozenset[str] = field(default=frozenset(), compare=False)


PRESETS = {
    "detr_r50": partial(detr_presets.detr, "resnet50", False),
    "detr_r101": partial(detr_presets.detr, "resnet101", False),
    "detr_r50_dc5": partial(detr_presets.detr, "resnet50", True),
    "detr_r101_dc5": partial(detr_presets.detr, "resnet101", True),
    "detr_r50_panoptic": partial(detr_presets.detr_panoptic, "resnet50", False),
    "detr_r101_panoptic": partial(detr_presets.detr_panoptic, "resnet101", False),
    "detr_r50_dc5_panoptic": partial(detr_presets.detr_panoptic, "resnet50", True),
    "scenes_detr": detr_presets.scenes_detr,
    "trzy_vgg16": partial(presets.trzy, "vgg16"),
    "trzy_resnet50": partial(presets.trzy, "resnet50"),
    "trzy_resnet101": partial(presets.trzy, "resnet101"),
    "trzy_resnet152": partial(presets.trzy, "resnet152"),
    "simple_vgg16": presets.simple_vgg16,
    "tf_vgg16": partial(presets.tf, "vgg16"),
    "tf_mobile": partial(presets.tf, "mobilenet_v1"),
    "tf_res50": partial(presets.tf, "resnet50"),
    "tf_res101": partial(presets.tf, "resnet101"),
    "tf_res152": partial(presets.tf, "resnet152"),
    "torchvision_r50_fpn": pyramid_presets.torchvision_r50_fpn,
    "d2_r50_fpn": pyramid_presets.d2_r50_fpn,
    "d2_r50_c4": pyramid_presets.d2_r50_c4,
    "a5_fpn": pyramid_presets.a5_fpn,
    "scenes_frcnn": pyramid_presets.scenes_frcnn,
}


def preset(name: str) -> Config:
    """The configuration called `name`; InputError lists the known ones."""
    if name not in PRESETS:
        raise InputError(f"unknown preset {name!r}: choose one of {', '.join(sorted(PRESETS))}")
    return Config(name=name, **PRESETS[name]())


def validate(config: Config) -> Config:
    """Returns `config`; InputError names the field whose value cannot work, or the fields that do not go together."""
    from_dict(to_dict(config))  # every number in its range
    backbone = config.model.backbone
    known = [*RESNET_LAYOUTS, "vgg16", "mobilenet_v1"]
    if backbone.name not in known:
        raise InputError(f"model.backbone.name={backbone.name!r}: choose one of {', '.join(known)}")
    if backbone.norm == "group" and backbone.width % backbone.norm_groups:
        raise InputError(
            f"model.backbone.norm_groups={backbone.norm_groups} must divide width={backbone.width}"
        )
    if backbone.dilation and RESNET_LAYOUTS.get(backbone.name, ("basic",))[0] == "basic":
        raise InputError(
            f"model.backbone.dilation needs a bottleneck backbone, not {backbone.name} (as torchvision)"
        )
    _validate_data(config)
    _VALIDATE[config.model.detector](config)
    return config


def _validate_data(config: Config) -> None:
    """Sizes that have to fit into each other."""
    transform, scenes = config.transform, config.data.scenes
    if not (transform.train_sizes and transform.crop_resize_sizes):
        raise InputError("transform.train_sizes and transform.crop_resize_sizes: give one at least")
    if transform.crop_probability > 0:
        least = min(transform.crop_max, *transform.crop_resize_sizes)
        if transform.crop_min > least:
            raise InputError(
                f"transform.crop_min={transform.crop_min} must not be above crop_max and crop_resize_sizes, {least}"
            )
    if scenes.min_side > scenes.max_side or scenes.max_side > min(scenes.width, scenes.height):
        raise InputError(
            f"data.scenes: min_side={scenes.min_side} <= max_side={scenes.max_side} <= width={scenes.width} and "
            f"height={scenes.height} must hold"
        )
    if scenes.empty_fraction + scenes.crowd_fraction > 1:
        raise InputError("data.scenes: empty_fraction + crowd_fraction must not be above 1")
    width, height = CROWD_SIZE
    if scenes.crowd_fraction and (scenes.width < width or scenes.height < height):
        raise InputError(
            f"data.scenes: a crowd needs {width}x{height} pixels; or set crowd_fraction=0"
        )


def _validate_detr(config: Config) -> None:
    model, transformer = config.model, config.model.transformer
    if model.backbone.name not in RESNET_LAYOUTS:
        raise InputError(f"model.backbone.name={model.backbone.name!r}: DETR wants a ResNet here")
    if transformer.hidden_dim % transformer.heads or transformer.hidden_dim % 4:
        raise InputError(
            f"model.transformer.hidden_dim={transformer.hidden_dim} must be a multiple of 4 and of "
            f"heads={transformer.heads}"
        )
    if not any(dataclasses.astuple(model.matcher)):
        raise InputError("model.matcher: one of its costs must be above 0")
    _validate_masks(config)
    if config.transform.boxes != "relative_cxcywh":
        raise InputError("transform.boxes must be relative_cxcywh for DETR")


def _validate_masks(config: Config) -> None:
    """The mask head normalises groups of channels: hidden_dim + heads, and hidden_dim / 2 to / 16."""
    model, groups = config.model, config.model.masks.norm_groups
    if not model.masks.enabled:
        for name in ("freeze_detr", "panoptic"):
            if getattr(model.masks, name):
                raise InputError(f"model.masks.{name}=true needs model.masks.enabled=true")
        return
    dim = model.transformer.hidden_dim
    for channels in (dim + model.transformer.heads, dim // 16):
        if channels % groups or not channels:
            raise InputError(
                f"model.masks.norm_groups={groups} must divide hidden_dim + heads = {dim + model.transformer.heads} "
                f"and hidden_dim / 16 = {dim // 16}"
            )
    if config.data.kind == "voc":
        raise InputError(
            "model.masks.enabled=true needs COCO or scenes: VOC's annotations have no masks"
        )


def _validate_faster_rcnn(config: Config) -> None:
    model, rpn, roi = config.model, config.model.rpn, config.model.roi
    if not 2 <= model.fpn.first_level <= model.fpn.last_level <= 5:
        raise InputError(
            f"model.fpn levels {model.fpn.first_level} to {model.fpn.last_level}: 2 <= first <= last <= 5"
        )
    levels = len(model.strides())
    if len(rpn.anchors.sizes) != levels:
        raise InputError(
            f"model.rpn.anchors.sizes has {len(rpn.anchors.sizes)} levels, the RPN looks at {levels}; "
            'give one group of sizes for each, as "32;64;128" or "8,16,32" for one level'
        )
    if len({len(sizes) for sizes in rpn.anchors.sizes}) != 1:
        raise InputError("model.rpn.anchors.sizes: every level needs as many sizes as the others")
    is_resnet = model.backbone.name in RESNET_LAYOUTS
    if model.fpn.channels and not is_resnet:
        raise InputError(f"model.fpn needs a ResNet; {model.backbone.name} has no pyramid here")
    if (roi.head == "mobilenet") != (model.backbone.name == "mobilenet_v1"):
        raise InputError(
            "model.roi.head=mobilenet goes with model.backbone.name=mobilenet_v1, and no other"
        )
    if roi.head == "layer4" and (model.fpn.channels or not is_resnet):
        raise InputError("model.roi.head=layer4 needs a ResNet without a pyramid (fpn.channels=0)")
    if model.num_classes < 2:
        raise InputError("model.num_classes=1: the background and one class at least")
    if not all(rpn.anchors.sizes) or not rpn.anchors.ratios:
        raise InputError("model.rpn.anchors: sizes and ratios of every level: give one at least")
    if config.transform.boxes != "absolute_xyxy":
        raise InputError("transform.boxes must be absolute_xyxy for Faster R-CNN")
    for path, labels in (("model.rpn.labels", rpn.labels), ("model.roi.labels", roi.labels)):
        if not 0 <= labels.negative_from <= labels.negative <= labels.positive <= 1:
            raise InputError(f"{path}: 0 <= negative_from <= negative <= positive <= 1 must hold")
    if rpn.sampler.refill:
        raise InputError("model.rpn.sampler.refill: only the RoI sampler can draw again")


_VALIDATE = {"detr": _validate_detr, "faster_rcnn": _validate_faster_rcnn}


def to_dict(config) -> dict:
    """Nested plain dictionaries, ready for JSON."""
    values = dataclasses.asdict(config)
    values.pop("stated", None)
    return values


def from_dict(values: dict, cls: type = Config, path: str = ""):
    """Inverse of `to_dict`; also what overrides go through. InputError names a bad field."""
    return build(values, cls, path)


def ranges() -> dict[str, tuple[str, str]]:
    """Every field by name, as --set wants it: (its type, its range or choices), in words."""
    return described(Config)


def with_overrides(config: Config, overrides: list[str]) -> Config:
    """Applies "a.b=value" strings and validates the result.

    Tuples are comma lists, tuples of tuples have semicolons between the inner ones.
    """
    values = to_dict(config)
    for text in overrides:
        if text.startswith("model.detector="):
            raise InputError("model.detector is the preset's: choose another --preset instead")
        name, equals, value = text.partition("=")
        *parents, leaf = name.split(".")
        node = values
        for part in parents:
            node = node.get(part) if isinstance(node, dict) else None
        if (
            not equals
            or not isinstance(node, dict)
            or leaf not in node
            or isinstance(node[leaf], dict)
        ):
            raise InputError(
                f"--set {text}: not a configuration field; use section.field=value, as optimiser.lr=1e-3"
            )
        node[leaf] = value
    stated = config.stated | {text.partition("=")[0] for text in overrides}
    return validate(dataclasses.replace(from_dict(values), stated=stated))
