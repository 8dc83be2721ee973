"""Configuration: every number of every system is a named field here, none is a literal in a model.

Follows facebookresearch/detr main.py:20-102 and datasets/coco.py:115-142 for the `detr_*` presets.
`scenes_detr` is this project's own: the same architecture, small enough to train on two CPU cores
on the procedural scenes, from random weights (hence group normalisation instead of frozen batch
normalisation, which only makes sense with pretrained statistics).

`preset(name)` gives a configuration, `with_overrides(config, ["optimiser.lr=1e-3"])` changes it,
`to_dict` / `from_dict` carry it through logs and checkpoints.
"""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass, field

from neutral.errors import InputError

# block kind and blocks per stage, as torchvision names them; resnet10 has one block per stage
RESNET_LAYOUTS = {
    "resnet10": ("basic", (1, 1, 1, 1)),
    "resnet18": ("basic", (2, 2, 2, 2)),
    "resnet50": ("bottleneck", (3, 4, 6, 3)),
    "resnet101": ("bottleneck", (3, 4, 23, 3)),
}
BLOCK_EXPANSION = {"basic": 1, "bottleneck": 4}


@dataclass(frozen=True)
class BackboneConfig:
    name: str = "resnet50"
    dilation: bool = False  # DC5: the last stage keeps its stride and dilates instead
    norm: typing.Literal["frozen_batch", "group"] = "frozen_batch"
    norm_eps: float = 1e-5
    norm_groups: int = 8  # of group normalisation
    width: int = 64  # channels of the stem; stages have 1, 2, 4, 8 times as many
    frozen_stages: int = 2  # stem and layer1, backbone.py:62-64


@dataclass(frozen=True)
class PositionConfig:
    kind: typing.Literal["sine", "learned"] = "sine"
    temperature: float = 10000.0
    eps: float = 1e-6
    scale: float = 6.283185307179586  # 2 pi
    learned_rows: int = 50
    # the reference computes sines in float32 whatever the model's dtype (position_encoding.py:31);
    # "model" lets a float64 comparison of the frameworks see more than float32 rounding
    dtype: typing.Literal["float32", "model"] = "float32"


@dataclass(frozen=True)
class TransformerConfig:
    hidden_dim: int = 256
    heads: int = 8
    encoder_layers: int = 6
    decoder_layers: int = 6
    feedforward_dim: int = 2048
    dropout: float = 0.1
    dropout_source: typing.Literal["shared", "native"] = "shared"  # see neutral/randomness.py
    pre_norm: bool = False
    norm_eps: float = 1e-5


@dataclass(frozen=True)
class DetrConfig:
    num_classes: int = 91  # greatest category id + 1: labels are COCO ids, no remapping
    num_queries: int = 100
    box_layers: int = 3
    aux_loss: bool = True
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    position: PositionConfig = field(default_factory=PositionConfig)
    transformer: TransformerConfig = field(default_factory=TransformerConfig)


@dataclass(frozen=True)
class MatcherConfig:
    cost_class: float = 1.0
    cost_bbox: float = 5.0
    cost_giou: float = 2.0


@dataclass(frozen=True)
class CriterionConfig:
    loss_ce: float = 1.0
    loss_bbox: float = 5.0
    loss_giou: float = 2.0
    eos_coef: float = 0.1  # class weight of "no object"


@dataclass(frozen=True)
class OptimiserConfig:
    lr: float = 1e-4
    lr_backbone: float = 1e-5  # 0: the backbone is frozen
    weight_decay: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    clip_max_norm: float = 0.1  # 0: no clipping
    clip_eps: float = 1e-6
    epochs: int = 300
    lr_drop: int = 200  # epochs between drops
    lr_gamma: float = 0.1
    batch_size: int = 2


@dataclass(frozen=True)
class TransformConfig:
    train_sizes: tuple[int, ...] = (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800)
    max_size: int = 1333
    crop_resize_sizes: tuple[int, ...] = (400, 500, 600)
    crop_min: int = 384
    crop_max: int = 600
    crop_probability: float = 0.5
    flip_probability: float = 0.5
    val_size: int = 800
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ScenesConfig:
    """The procedural data set; see neutral/data/scenes.py."""

    train_images: int = 800
    val_images: int = 40
    width: int = 160
    height: int = 128
    max_objects: int = 6
    min_side: int = 20  # pixels
    max_side: int = 64
    empty_fraction: float = 0.05
    crowd_fraction: float = 0.05


@dataclass(frozen=True)
class DataConfig:
    kind: typing.Literal["scenes", "coco"] = "coco"
    root: str = ""  # of a COCO directory; scenes need none
    degenerate_boxes: typing.Literal["error", "drop"] = "error"  # the reference drops them
    scenes: ScenesConfig = field(default_factory=ScenesConfig)
    scenes_seed: int = 0


@dataclass(frozen=True)
class Config:
    name: str
    model: DetrConfig = field(default_factory=DetrConfig)
    matcher: MatcherConfig = field(default_factory=MatcherConfig)
    criterion: CriterionConfig = field(default_factory=CriterionConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    transform: TransformConfig = field(default_factory=TransformConfig)
    data: DataConfig = field(default_factory=DataConfig)
    seed: int = 42


def _detr(name: str, backbone: str, dilation: bool) -> Config:
    return Config(
        name=name, model=DetrConfig(backbone=BackboneConfig(name=backbone, dilation=dilation))
    )


def _scenes_detr() -> Config:
    return Config(
        name="scenes_detr",
        model=DetrConfig(
            num_classes=8,
            num_queries=12,
            backbone=BackboneConfig(name="resnet10", norm="group", width=16, frozen_stages=0),
            transformer=TransformerConfig(
                hidden_dim=64,
                heads=4,
                encoder_layers=2,
                decoder_layers=3,
                feedforward_dim=128,
                dropout=0.0,
            ),
        ),
        optimiser=OptimiserConfig(lr=2e-4, lr_backbone=2e-4, epochs=40, lr_drop=32, batch_size=4),
        transform=TransformConfig(
            train_sizes=(112, 128),
            max_size=160,
            crop_resize_sizes=(128, 144),
            crop_min=96,
            crop_max=144,
            crop_probability=0.25,
            val_size=128,
        ),
        data=DataConfig(kind="scenes"),
    )


PRESETS = {
    "detr_r50": lambda: _detr("detr_r50", "resnet50", False),
    "detr_r101": lambda: _detr("detr_r101", "resnet101", False),
    "detr_r50_dc5": lambda: _detr("detr_r50_dc5", "resnet50", True),
    "detr_r101_dc5": lambda: _detr("detr_r101_dc5", "resnet101", True),
    "scenes_detr": _scenes_detr,
}


def preset(name: str) -> Config:
    """The configuration called `name`; InputError lists the known ones."""
    if name not in PRESETS:
        raise InputError(f"unknown preset {name!r}: choose one of {', '.join(sorted(PRESETS))}")
    return PRESETS[name]()


def validate(config: Config) -> Config:
    """Returns `config`; InputError names the field whose value cannot work."""
    model, transformer = config.model, config.model.transformer
    if model.backbone.name not in RESNET_LAYOUTS:
        known = ", ".join(RESNET_LAYOUTS)
        raise InputError(f"model.backbone.name={model.backbone.name!r}: choose one of {known}")
    if transformer.hidden_dim % transformer.heads or transformer.hidden_dim % 4:
        raise InputError(
            f"model.transformer.hidden_dim={transformer.hidden_dim} must be a multiple of 4 and of "
            f"heads={transformer.heads}"
        )
    if model.backbone.norm == "group" and model.backbone.width % model.backbone.norm_groups:
        raise InputError(
            f"model.backbone.norm_groups={model.backbone.norm_groups} must divide width={model.backbone.width}"
        )
    if model.backbone.dilation and RESNET_LAYOUTS[model.backbone.name][0] == "basic":
        raise InputError(
            f"model.backbone.dilation needs a bottleneck backbone, not {model.backbone.name} (as torchvision)"
        )
    for path, value in (
        ("optimiser.batch_size", config.optimiser.batch_size),
        ("optimiser.epochs", config.optimiser.epochs),
        ("optimiser.lr_drop", config.optimiser.lr_drop),
        ("model.num_queries", model.num_queries),
        ("model.num_classes", model.num_classes),
    ):
        if value < 1:
            raise InputError(f"{path}={value} must be at least 1")
    if not 0 <= transformer.dropout < 1:
        raise InputError(f"model.transformer.dropout={transformer.dropout} must be in [0, 1)")
    return config


def to_dict(config) -> dict:
    """Nested plain dictionaries, ready for JSON."""
    return dataclasses.asdict(config)


def from_dict(values: dict, cls: type = Config, path: str = ""):
    """Inverse of `to_dict`; also what overrides go through. InputError names a bad field."""
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise InputError(
            f"unknown configuration field {path}{unknown[0]}: choose one of {', '.join(hints)}"
        )
    built = {k: _coerce(v, hints[k], path + k) for k, v in values.items()}
    return cls(**built)


def _coerce(value, hint, path: str):
    if dataclasses.is_dataclass(hint):
        return from_dict(value, hint, path + ".")
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        choices = typing.get_args(hint)
        if value not in choices:
            raise InputError(f"{path}={value!r}: choose one of {', '.join(map(str, choices))}")
        return value
    try:
        if origin is tuple:
            items = value.split(",") if isinstance(value, str) else value
            return tuple(_coerce(v, typing.get_args(hint)[0], path) for v in items)
        if hint is bool and isinstance(value, str):
            return {"true": True, "1": True, "false": False, "0": False}[value.lower()]
        return hint(value)
    except (ValueError, TypeError, KeyError):
        wanted = getattr(hint, "__name__", str(hint))
        raise InputError(f"{path}={value!r} is not a valid {wanted}") from None


def with_overrides(config: Config, overrides: list[str]) -> Config:
    """Applies "a.b=value" strings (tuples as comma lists) and validates the result."""
    values = to_dict(config)
    for text in overrides:
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
    return validate(from_dict(values))
