"""Jittor's cross entropy by sums. Its own takes the mean of the labels' weights as a sum of 1/n in float32, whatever it
is given: the same rounding n times over. And its resizing, whose places of pixels are products in float32.

Arguments and results are those of jittor.nn's function. In float64 runs it stands in for it, and says so; in float32
where `steady` asks for it.

Before: replacing.py. jittor.py installs it; jittor_norms.py takes it for second looks in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps

import numpy as np

import jittor_setup
from parity.backends.replacing import everywhere

jt = jittor_setup.import_jittor()
OWN = (
    jt.nn.cross_entropy_loss,
    jt.nn.resize,
)  # no name of this module's own, which would be replaced, too
SMOOTH = ("bilinear", "bicubic")
CALLED: set[str] = set()  # names of functions that were stood in for since the last question
STEADY: list[list[str]] = []  # lists that want to hear of them in float32, too


def by_sums(output, target, weight=None, ignore_index=None, reduction="mean"):
    """The same, of an output [N, C] or [N, C, H, W], in its own width; its sums are float64."""
    own = None if weight is None else weight.cast(output.dtype)
    each = OWN[0](output, target, own, ignore_index, "none")
    if reduction == "none":
        return each
    total = each.float64().sum()
    if reduction == "sum":
        return total.cast(output.dtype)
    labels = target.reshape((-1,))
    shares = ((labels >= 0) & (labels < output.shape[1])).float64()
    if weight is not None:
        shares = own.float64()[labels]
    if ignore_index is not None:  # a label that is no index has no weight, but what lies there
        shares = jt.ternary(labels == ignore_index, jt.zeros_like(shares), shares)
    return (total / shares.sum()).cast(output.dtype)


def places(size: int, wanted: int, mode: str, corners: bool, tf_mode: bool) -> np.ndarray:
    """Where on an axis of `size` pixels Jittor takes each of the `wanted`, in float64."""
    index, ratio = np.arange(wanted, dtype=np.float64), size / wanted
    if corners:
        return index * ((size - 1) / max(1, wanted - 1))
    if mode == "bicubic":
        return (index + 0.5) * ratio - 0.5
    found = index * ratio + (0 if tf_mode else ratio * 0.5 - 0.5)
    return np.clip(found, 0, size - 1) if wanted > size else found


def taps(offset: np.ndarray, mode: str) -> list[tuple[int, np.ndarray]]:
    """Pixels beside the whole part of a place, and the weight that each has."""
    if mode == "bilinear":
        return [(0, 1 - offset), (1, offset)]
    far = lambda x: -0.75 * (x**3 - 5 * x**2 + 8 * x - 4)  # noqa: E731
    near = lambda x: 1.25 * x**3 - 2.25 * x**2 + 1  # noqa: E731
    return [(-1, far(offset + 1)), (0, near(offset)), (1, near(1 - offset)), (2, far(2 - offset))]


def mixing(size: int, wanted: int, *how) -> np.ndarray:
    """[wanted, size]: what each pixel of an axis gives to each of the resized."""
    found, place = np.zeros((wanted, size)), places(size, wanted, *how)
    whole = np.floor(place).astype(int)
    for beside, weight in taps(place - whole, how[0]):
        np.add.at(found, (np.arange(wanted), np.clip(whole + beside, 0, size - 1)), weight)
    return found


def resized(img, size, *how):
    """Jittor's resizing of float64 [N, C, H, W], bilinear or bicubic, with the places of pixels in float64. As products
    of matrices: its own way, through floor_int, writes beyond arrays in float64."""
    rows, columns = (
        jt.array(mixing(n, to, *how)) for n, to in zip(img.shape[2:], size, strict=True)
    )
    return jt.matmul(jt.matmul(rows, img), columns.transpose(1, 0))


def is_taken(output) -> bool:
    return isinstance(output, jt.Var) and output.ndim in (2, 4)


@cache
def install() -> None:
    """Once for a process; again does nothing."""

    @wraps(OWN[0])
    def cross_entropy_loss(output, target, weight=None, ignore_index=None, reduction="mean"):
        is_wide = is_taken(output) and str(output.dtype) == "float64"
        if not is_wide and not (STEADY and is_taken(output)):
            return OWN[0](output, target, weight, ignore_index, reduction)
        if is_wide:
            CALLED.add("cross_entropy_loss")
        for called in STEADY:
            called.append("cross_entropy_loss")
        return by_sums(output, target, weight, ignore_index, reduction)

    @wraps(OWN[1])
    def resize(img, size, mode="nearest", align_corners=False, tf_mode=False):
        is_wide = isinstance(img, jt.Var) and str(img.dtype) == "float64" and img.ndim == 4
        if not (STEADY and is_wide and mode in SMOOTH and min(*img.shape[2:], *size) > 0):
            return OWN[1](img, size, mode, align_corners, tf_mode)
        for called in STEADY:
            called.append("resize")
        return resized(img, size, mode, align_corners, tf_mode)

    everywhere({OWN[0]: cross_entropy_loss, OWN[1]: resize})


@contextmanager
def steady(called: list[str]) -> Iterator[None]:
    """Inside, it is by sums in float32, too; whole arrays are added up in float64, and resizing in float64 is float64.
    Names of what was called go into `called`."""
    own = {name: getattr(jt.Var, name) for name in ("sum", "mean")}
    STEADY.append(called)
    for name, function in own.items():
        setattr(jt.Var, name, summed_wide(function, called))
    try:
        yield
    finally:
        STEADY.pop()
        for name, function in own.items():
            setattr(jt.Var, name, function)


def summed_wide(own: Callable, called: list[str]) -> Callable:
    """A sum or mean of all elements of a float32 array, added in float64."""

    @wraps(own)
    def total(x, *args, **named):
        if args or named or str(x.dtype) != "float32":
            return own(x, *args, **named)
        called.append("sum")
        return own(x.float64()).float32()

    return total


def stood_in() -> list[str]:
    """Jittor's functions in whose place others computed since this was asked last."""
    found = sorted(CALLED)
    CALLED.clear()
    return found
