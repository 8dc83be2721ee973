"""NumPy's float64 word on single layers, which settles which of two sides is wrong.

A layer is described by its class name and plain attributes (Tracer.describe) and its parameters; both
frameworks' names for it are known. What has no oracle here is judged without one.

Before: sides/layers.py, where a layer is described. blame.py asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

ALIASES = {"Conv": "Conv2d", "Pool": "MaxPool2d", "BatchNorm": "BatchNorm2d", "relu": "ReLU"}
# attributes that change what a layer computes, of those that both frameworks write down
ATTRIBUTES = ("stride", "padding", "dilation", "groups", "eps", "rate", "kernel_size")


def pair(value) -> tuple[int, int]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value, value)


def windows(x: np.ndarray, kernel, stride, padding, dilation, fill: float) -> np.ndarray:
    """x [B, C, H, W] -> [B, C, h, w, kh, kw]."""
    (top, left), (down, right), (dy, dx) = pair(padding), pair(stride), pair(dilation)
    x = np.pad(x, ((0, 0), (0, 0), (top, top), (left, left)), constant_values=fill)
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, (dy, dx)))
    view = np.lib.stride_tricks.sliding_window_view(x, reach, axis=(2, 3))
    return view[:, :, ::down, ::right, ::dy, ::dx]


def convolution(x, layer: Mapping, weights: Mapping) -> np.ndarray:
    weight, groups = weights["weight"], layer.get("groups", 1)
    found = windows(
        x, weight.shape[2:], layer["stride"], layer["padding"], layer.get("dilation", 1), 0.0
    )
    parts = [
        np.einsum("bchwij,ocij->bohw", part, kernels, optimize=True)
        for part, kernels in zip(np.split(found, groups, 1), np.split(weight, groups, 0))
    ]
    out = np.concatenate(parts, 1)
    bias = weights.get("bias")
    return out if bias is None else out + bias[:, None, None]


def linear(x, layer: Mapping, weights: Mapping) -> np.ndarray:
    out = x @ weights["weight"].T
    return out if weights.get("bias") is None else out + weights["bias"]


def layer_norm(x, layer: Mapping, weights: Mapping) -> np.ndarray:
    axes = tuple(range(x.ndim - weights["weight"].ndim, x.ndim))
    centred = x - x.mean(axes, keepdims=True)
    scale = np.sqrt((centred**2).mean(axes, keepdims=True) + layer["eps"])
    return centred / scale * weights["weight"] + weights["bias"]


def group_norm(x, layer: Mapping, weights: Mapping) -> np.ndarray:
    grouped = x.reshape(x.shape[0], layer.get("groups", layer.get("num_groups")), -1)
    centred = grouped - grouped.mean(2, keepdims=True)
    scale = np.sqrt((centred**2).mean(2, keepdims=True) + layer["eps"])
    normed = (centred / scale).reshape(x.shape)
    return normed * weights["weight"][:, None, None] + weights["bias"][:, None, None]


def batch_norm(x, layer: Mapping, weights: Mapping) -> np.ndarray:
    """With its running statistics."""
    column = {k: v[:, None, None] for k, v in weights.items() if v.ndim == 1}
    scale = column["weight"] / np.sqrt(column["running_var"] + layer["eps"])
    return (x - column["running_mean"]) * scale + column["bias"]


def max_pool(x, layer: Mapping, weights: Mapping) -> np.ndarray:
    kernel = pair(layer["kernel_size"])
    return windows(x, kernel, layer["stride"], layer["padding"], 1, -np.inf).max((4, 5))


ORACLES: dict[str, Callable] = {
    "Conv2d": convolution,
    "Linear": linear,
    "LayerNorm": layer_norm,
    "GroupNorm": group_norm,
    "FrozenBatchNorm2d": batch_norm,
    "BatchNorm2d": batch_norm,
    "MaxPool2d": max_pool,
    "ReLU": lambda x, layer, weights: np.maximum(x, 0),
    "Tap": lambda x, layer, weights: x,
}


class Unfit(Exception):
    """A layer that is called as one known here, and has not what that one has."""


def find_oracle(layer: Mapping) -> Callable | None:
    """The oracle of a layer, oracle(x, layer, weights), or None; it raises Unfit for a user's own look-alike."""
    name = ALIASES.get(layer.get("type", ""), layer.get("type", ""))
    if not layer.get("leaf") or (name == "BatchNorm2d" and layer.get("training")):
        return None  # of statistics of the batch there is none
    found = ORACLES.get(name)
    if found is None:
        return None

    def asked(x, layer: Mapping, weights: Mapping) -> np.ndarray:
        try:
            return found(x, layer, weights)
        except (LookupError, TypeError, ValueError) as error:
            raise Unfit(f"{type(error).__name__}: {error}") from error

    return asked


def different_attributes(
    reference: Mapping, candidate: Mapping, sides: tuple[str, str] = ("torch", "jittor")
) -> list[str]:
    """What the two sides' layers say differently of themselves, as text."""
    names = [n for n in ATTRIBUTES if n in reference and n in candidate]
    return [
        f"{n}: {sides[0]} {reference[n]}, {sides[1]} {candidate[n]}"
        for n in names
        if not np.array_equal(pair(reference[n]), pair(candidate[n]))
    ]


def directional_derivative(
    oracle: Callable, x, layer: Mapping, weights: Mapping, cotangent, direction, step: float = 1e-6
):
    """d <cotangent, oracle(x)> along `direction`, by central differences in float64."""
    step = step * max(float(np.abs(x).max()), 1e-3) / max(float(np.abs(direction).max()), 1e-300)
    above, below = (oracle(x + sign * step * direction, layer, weights) for sign in (1, -1))
    return float(((above - below) * cotangent).sum() / (2 * step))
