"""What each canonical parameter is: buffer or not, trained or not, at which rate, how decayed.

Decided once, from names and configuration, so that the two frameworks cannot disagree
(facebookresearch/detr main.py:131-140 and models/backbone.py:62-64 for DETR).
"""

from __future__ import annotations

from collections.abc import Iterable

from neutral.config import (
    MOBILENET_LAYERS,
    VGG16_BLOCKS,
    BackboneConfig,
    Config,
    OptimiserConfig,
)

BODIES = {"detr": "backbone.0.body.", "faster_rcnn": "backbone.body."}
MASK_HEAD = ("bbox_attention.", "mask_head.")
STAGES = (("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))


def body(config: Config) -> str:
    """What the names of the backbone's own parameters start with."""
    return BODIES[config.model.detector]


def vgg16_positions() -> list[tuple[int, ...]]:
    """Position of every convolution in torchvision's vgg16.features, by block."""
    positions, start = [], 0
    for block in VGG16_BLOCKS:
        positions.append(tuple(start + 2 * k for k in range(len(block))))
        start += 2 * len(block) + 1  # each convolution has a ReLU behind it, each block a pool
    return positions


def mobilenet_channels(backbone: BackboneConfig, layer: int) -> int:
    """Of the output of Conv2d_{layer}; 8 at least, as where the width is a small fraction."""
    return max(backbone.width * MOBILENET_LAYERS[layer][0], 8)


def is_norm(key: str) -> bool:
    """True for tensors of a normalisation layer of a ResNet or MobileNet."""
    parts = key.split(".")
    owner = parts[-2] if len(parts) > 1 else ""
    in_mobilenet = owner == "1" and any(part.startswith("Conv2d_") for part in parts)
    return owner.startswith("bn") or parts[-3:-1] == ["downsample", "1"] or in_mobilenet


def is_buffer(key: str, config: Config) -> bool:
    """All four tensors of a frozen batch normalisation are buffers."""
    return config.model.backbone.norm == "frozen_batch" and is_norm(key)


def is_frozen_stage(name: str, config: Config) -> bool:
    """Whether a parameter or node lies in a stage of the backbone, or a part of DETR, that is not trained."""
    if config.model.detector == "detr" and config.model.masks.freeze_detr:
        return name != "(model)" and not name.startswith(MASK_HEAD)
    if not name.startswith(body(config)):
        return False
    if config.model.detector == "detr" and config.optimiser.lr_backbone <= 0:
        return True
    inner, backbone = name.removeprefix(body(config)).split("."), config.model.backbone
    if backbone.name == "vgg16":
        trained = vgg16_positions()[backbone.frozen_stages :]
        return len(inner) > 1 and int(inner[1]) < (trained[0][0] if trained else 1000)
    if backbone.name == "mobilenet_v1":
        return inner[0] in [f"Conv2d_{k}" for k in range(backbone.frozen_stages)]
    frozen = [module for stage in STAGES[: backbone.frozen_stages] for module in stage]
    return inner[0] in frozen


def is_bias(key: str) -> bool:
    return key.endswith("bias")


def is_trainable(key: str, config: Config) -> bool:
    untrained_bias = is_bias(key) and config.optimiser.bias_lr_factor == 0
    return not (is_buffer(key, config) or is_frozen_stage(key, config) or untrained_bias)


def trainable(keys: Iterable[str], config: Config) -> list[str]:
    """The trained parameters, in the order given."""
    return [key for key in keys if is_trainable(key, config)]


def base_rate(key: str, config: Config) -> float:
    """DETR has two groups, whatever has "backbone" in its name (learned positions too), and the rest."""
    optimiser = config.optimiser
    backbone = config.model.detector == "detr" and "backbone" in key
    rate = optimiser.lr_backbone if backbone else optimiser.lr
    return rate * (optimiser.bias_lr_factor if is_bias(key) else 1.0)


def decay_factor(epoch: int, optimiser: OptimiserConfig) -> float:
    """Times `lr_gamma` at every milestone passed, or every `lr_drop` epochs, counted from 0."""
    if optimiser.lr_milestones:
        return optimiser.lr_gamma ** sum(epoch >= m for m in optimiser.lr_milestones)
    return optimiser.lr_gamma ** (epoch // optimiser.lr_drop)


def warmup(step: int, optimiser: OptimiserConfig) -> float:
    """Factor of the rates in a step, counted from 0: a line from `warmup_factor` to 1, as torchvision's references."""
    if step >= optimiser.warmup_steps:
        return 1.0
    share = step / optimiser.warmup_steps
    return optimiser.warmup_factor * (1 - share) + share


def rates(
    keys: Iterable[str], config: Config, epoch: int, step: int | None = None
) -> dict[str, float]:
    """Learning rate of every parameter in an epoch and step of the optimiser, counted over the whole run.

    Without a step, the rates after the warm-up.
    """
    factor = decay_factor(epoch, config.optimiser)
    factor *= 1.0 if step is None else warmup(step, config.optimiser)
    return {key: base_rate(key, config) * factor for key in keys}


def decays(keys: Iterable[str], config: Config) -> dict[str, float]:
    """Weight decay of every parameter."""
    return {key: decay(key, config) for key in keys}


def decay(key: str, config: Config) -> float:
    backbone = config.model.backbone
    if ".Conv2d_" in key:  # MobileNet's have their own
        is_decayed = backbone.mobilenet_decay_depthwise or ".depthwise." not in key
        return backbone.mobilenet_weight_decay if is_decayed else 0.0
    undecayed = is_bias(key) and not config.optimiser.bias_decay
    return 0.0 if undecayed else config.optimiser.weight_decay
