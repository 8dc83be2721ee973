"""Initial values of every canonical tensor, and what a state dict has to be.

Initial values follow the references: torchvision's ResNet and VGG16 for the backbone (which they
then replace by pretrained weights), Xavier uniform for every transformer matrix, the systems' own
deviations for Faster R-CNN's heads, torch.nn's defaults for the rest. They are drawn here, by name,
so that both frameworks start bitwise equal.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from door.randomness import stream
from neutral.config import Config, FasterRcnnConfig
from neutral.errors import InputError
from neutral.parameters import MASK_HEAD, body, is_bias, is_norm

MOBILENET_STD = 0.09
Weights = dict[str, np.ndarray]


def check_state(
    shapes: dict[str, tuple[int, ...]], weights: Weights, source: str = "the weights"
) -> None:
    """InputError unless `weights` has exactly these keys and shapes, and floats; the message lists what differs."""
    missing = [k for k in shapes if k not in weights]
    unexpected = [k for k in weights if k not in shapes]
    wrong = [
        f"{k} {weights[k].shape}, wanted {shapes[k]}"
        for k in shapes
        if k in weights and weights[k].shape != shapes[k]
    ]
    kinds = [
        f"{k} {weights[k].dtype}"
        for k in shapes
        if k in weights and np.asarray(weights[k]).dtype.kind != "f"
    ]
    problems = [
        f"{len(found)} {what} ({', '.join(found[:3])}{', ...' if len(found) > 3 else ''})"
        for what, found in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", wrong),
            ("not floating point", kinds),
        )
        if found
    ]
    if problems:
        raise InputError(
            f"{source} do not fit the model: {'; '.join(problems)}. Is it the right preset?"
        )


def initial_weights(
    shapes: dict[str, tuple[int, ...]], config: Config, keys: Iterable[str] | None = None
) -> Weights:
    """float32 initial values for every canonical name (or only `keys`), from the streams (seed, "init", name)."""
    wanted = shapes if keys is None else keys
    return {key: _initial(key, shapes[key], shapes, config) for key in wanted}


def _initial(key: str, shape: tuple[int, ...], shapes: dict, config: Config) -> np.ndarray:
    generator = stream(config.seed, "init", key)

    def normal(std: float) -> np.ndarray:
        return (generator.standard_normal(shape) * std).astype(np.float32)

    def uniform(bound: float) -> np.ndarray:
        return generator.uniform(-bound, bound, shape).astype(np.float32)

    owner, _, leaf = key.rpartition(".")
    layer = owner.rpartition(".")[2]
    if is_norm(key) or "norm" in layer or layer.startswith("gn"):
        return np.full(shape, leaf in ("weight", "running_var"), dtype=np.float32)
    if ".Conv2d_" in key:  # mobilenet_v1.py:168-178
        return (np.fmod(generator.standard_normal(shape), 2) * MOBILENET_STD).astype(np.float32)
    if key.startswith(body(config)) or ".layer4." in key:
        if is_bias(key):
            return np.zeros(shape, dtype=np.float32)
        # Kaiming normal, fan out: std = sqrt(2 / (k k out))
        return normal(math.sqrt(2 / (shape[0] * shape[2] * shape[3])))
    if isinstance(config.model, FasterRcnnConfig):
        std = _head_std(key, config.model)
        if std or ".fpn." in key:
            if is_bias(key):
                return np.zeros(shape, dtype=np.float32)
            # the pyramid: Kaiming uniform with a = 1, bound sqrt(3 / fan in)
            return normal(std) if std else uniform(math.sqrt(3 / math.prod(shape[1:])))
    if owner == "query_embed":
        return normal(1.0)
    if owner.startswith("backbone.1."):
        return generator.random(shape, dtype=np.float32)
    if leaf == "in_proj_bias" or key.endswith("out_proj.bias"):
        return np.zeros(shape, dtype=np.float32)
    if key.startswith(MASK_HEAD):  # Xavier uniform, and Kaiming uniform with a = 1
        if is_bias(key):
            return np.zeros(shape, dtype=np.float32)
        return uniform(math.sqrt(6 / sum(shape) if len(shape) == 2 else 3 / math.prod(shape[1:])))
    if key.startswith("transformer.") and len(shape) == 2:
        return uniform(math.sqrt(6 / (shape[0] + shape[1])))
    fan_in = math.prod(shapes[f"{owner}.weight"][1:])
    return uniform(1 / math.sqrt(fan_in))


def _head_std(key: str, model: FasterRcnnConfig) -> float:
    """Standard deviation of a head's initial weights; 0: not one that the configuration sets."""
    if key.startswith("rpn."):
        return model.rpn.init_std
    stds = {"cls_score": model.roi.class_init_std, "bbox_pred": model.roi.box_init_std}
    return stds.get(key.split(".")[-2], 0.0)
