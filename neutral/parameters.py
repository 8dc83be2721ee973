"""What each canonical parameter is: buffer or not, trained or not, in which group, at which rate.

Decided once, from names and configuration, so that the two frameworks cannot disagree
(facebookresearch/detr main.py:131-140 and models/backbone.py:62-64).
"""

from __future__ import annotations

from collections.abc import Iterable

from neutral.config import Config, DetrConfig, OptimiserConfig

BODY = "backbone.0.body."
STAGES = (("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))


def is_norm(key: str) -> bool:
    """True for tensors of a backbone's normalisation layer."""
    parts = key.split(".")
    return key.startswith(BODY) and (
        parts[-2].startswith("bn") or parts[-3:-1] == ["downsample", "1"]
    )


def is_buffer(key: str, model: DetrConfig) -> bool:
    """All four tensors of a frozen batch normalisation are buffers."""
    return model.backbone.norm == "frozen_batch" and is_norm(key)


def is_frozen_stage(name: str, config: Config) -> bool:
    """Whether a parameter or node lies in a stage of the backbone that is not trained."""
    if not name.startswith(BODY):
        return False
    frozen = [module for stage in STAGES[: config.model.backbone.frozen_stages] for module in stage]
    return config.optimiser.lr_backbone <= 0 or name.removeprefix(BODY).split(".")[0] in frozen


def is_trainable(key: str, config: Config) -> bool:
    return not is_buffer(key, config.model) and not is_frozen_stage(key, config)


def trainable(keys: Iterable[str], config: Config) -> list[str]:
    """The trained parameters, in the order given."""
    return [key for key in keys if is_trainable(key, config)]


def base_rate(key: str, optimiser: OptimiserConfig) -> float:
    """Two groups: whatever has "backbone" in its name, and the rest (learned positions are backbone.1)."""
    return optimiser.lr_backbone if "backbone" in key else optimiser.lr


def decay_factor(epoch: int, optimiser: OptimiserConfig) -> float:
    """StepLR: times `lr_gamma` every `lr_drop` epochs, counted from 0."""
    return optimiser.lr_gamma ** (epoch // optimiser.lr_drop)


def rates(keys: Iterable[str], optimiser: OptimiserConfig, epoch: int) -> dict[str, float]:
    """Learning rate of every parameter in an epoch."""
    factor = decay_factor(epoch, optimiser)
    return {key: base_rate(key, optimiser) * factor for key in keys}
