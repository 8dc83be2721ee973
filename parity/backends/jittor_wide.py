"""Functions of Jittor's that count in float32 whatever they are given, in float64 where they are given that.

Resizing takes its coordinates as products of whole numbers and a float32, which is wrong by more the larger the image;
cross entropy takes the weights' mean in float32. Arguments and results are those of jittor.nn's functions.

Before: replacing.py. jittor.py installs them for float64 runs.
"""

from __future__ import annotations

from functools import cache, wraps

import numpy as np

import jittor_setup
from parity.backends.replacing import everywhere

jt = jittor_setup.import_jittor()
nn = jt.nn
OWN = (nn.cross_entropy_loss,)  # not a name of its own here, which would be replaced, too
SMOOTH = ("bilinear", "bicubic")


def is_wide(x) -> bool:
    return isinstance(x, jt.Var) and str(x.dtype) == "float64"


def cross_entropy_loss(output, target, weight=None, ignore_index=None, reduction="mean"):
    weight = None if weight is None else weight.float64()
    each = OWN[0](output, target, weight, ignore_index, "none")
    if reduction != "mean":
        return each.sum() if reduction == "sum" else each
    labels = target.reshape((-1,))
    counted = ((labels >= 0) & (labels < output.shape[1])).float64()
    shares = counted if weight is None else weight[labels]
    if ignore_index is not None:
        shares = shares * (labels != ignore_index).float64()
    return each.sum() / shares.sum()


def places(size: int, wanted: int, mode: str, align_corners: bool, tf_mode: bool) -> np.ndarray:
    """Where on an axis of `size` pixels Jittor takes each of the `wanted`, in float64."""
    index = np.arange(wanted, dtype=np.float64)
    if align_corners:
        return index * ((size - 1) / max(1, wanted - 1))
    ratio = size / wanted
    if mode == "bicubic":
        return (index + 0.5) * ratio - 0.5
    found = index * ratio + (0 if tf_mode else ratio * 0.5 - 0.5)
    return np.clip(found, 0, size - 1) if wanted > size else found


def resize(img, size, mode="nearest", align_corners=False, tf_mode=False):
    shape = (*img.shape[:2], *size)
    image, channel, *_ = jt.index(shape)
    x, y = (
        jt.array(places(n, wanted, mode, align_corners, tf_mode))
        .reshape([1, 1, -1, 1] if axis == 0 else [1, 1, 1, -1])
        .broadcast(shape)
        for axis, (n, wanted) in enumerate(zip(img.shape[2:], size, strict=True))
    )
    return nn._interpolate(img, x, y, (image, channel), mode)


def is_smooth(img, size, mode="nearest", *_, **__) -> bool:
    # the rest of what Jittor refuses, or takes as whole numbers, is left to it
    return mode in SMOOTH and is_wide(img) and img.ndim == 4 and min(*img.shape[2:], *size) > 0


def are_logits(output, *_, **__) -> bool:
    return is_wide(output) and output.ndim in (2, 4)


def preferred(own, accepts, before):
    """`own` for the arguments that it accepts, `before` for others."""

    @wraps(before)
    def chosen(*args, **named):
        return (own if accepts(*args, **named) else before)(*args, **named)

    return chosen


@cache
def install() -> None:
    """Once for a process; again does nothing."""
    pairs = (
        (nn.cross_entropy_loss, cross_entropy_loss, are_logits),
        (nn.resize, resize, is_smooth),
    )
    everywhere({before: preferred(own, accepts, before) for before, own, accepts in pairs})
