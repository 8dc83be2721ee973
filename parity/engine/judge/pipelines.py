"""How two data pipelines differ on the same files: images, boxes and labels of one place in a batch, told in words.

Before: values/arrays.py. ask/data.py asks here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from parity.engine.values.arrays import norm, ratio

ALIKE = (
    1e-4  # what is left of a difference that an explanation explains, as a fraction of the array
)
NEAR = 0.9  # correlation of two images that another interpolation may explain
TURNS: dict[str, Callable] = {  # of images [C, ..., H, W]
    "": lambda x: x,
    "flipped left to right": lambda x: x[..., ::-1],
    "flipped upside down": lambda x: x[..., ::-1, :],
    "turned by 180 degrees": lambda x: x[..., ::-1, ::-1],
}
LITTLE = 0.01  # of a spread, by which means and spreads may differ that are called the same
CLEARLY = 0.5  # what is left is at most this part of what is left without a turn that is claimed

FORMATS: dict[str, Callable] = {  # of boxes, from corners
    "xyxy": lambda b: b,
    "xywh": lambda b: np.concatenate([b[:, :2], b[:, 2:] - b[:, :2]], 1),
    "cxcywh": lambda b: np.concatenate([(b[:, :2] + b[:, 2:]) / 2, b[:, 2:] - b[:, :2]], 1),
    "yxyx": lambda b: b[:, [1, 0, 3, 2]],
}
CORNERS: dict[str, Callable] = {  # to corners
    "xyxy": lambda b: b,
    "xywh": lambda b: np.concatenate([b[:, :2], b[:, :2] + b[:, 2:]], 1),
    "cxcywh": lambda b: np.concatenate([b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2], 1),
    "yxyx": lambda b: b[:, [1, 0, 3, 2]],
}


def explain(a: np.ndarray, b: np.ndarray) -> str:
    """How the candidate's array `b` differs from the reference's `a`, which are not alike; "" when nothing is known."""
    if a.dtype.kind not in "fiub" or b.dtype.kind not in "fiub":
        return _order(a, b)
    if is_image(a) and is_image(b):
        return _image(*(x.astype(np.float64) for x in (a, b)))
    if a.ndim == b.ndim == 2 and a.shape[1] == b.shape[1] == 4:
        return _boxes(*(x.astype(np.float64) for x in (a, b)))
    if a.ndim == b.ndim == 1 and a.dtype.kind in "iu" and b.dtype.kind in "iu":
        return _labels(a, b)
    return "" if a.shape == b.shape else f"shapes {a.shape} and {b.shape}"


def is_image(x: np.ndarray) -> bool:
    return x.ndim >= 3 and min(x.shape[-2:]) >= 1 and _channels(x) is not None


def _channels(x: np.ndarray) -> int | None:
    """The axis of the channels of [C, H, W], [H, W, C] and batches of these; None when there is none."""
    for axis in (x.ndim - 3, x.ndim - 1):
        if x.shape[axis] in (1, 3, 4) and x.size > x.shape[axis]:
            return axis
    return None


def _alike(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and ratio(norm(a - b), norm(a)) <= ALIKE


def _image(a: np.ndarray, b: np.ndarray) -> str:
    found = []
    if _channels(a) != _channels(b):
        if _channels(b) == b.ndim - 1:
            found.append("height, width, channels instead of channels, height, width")
        else:
            found.append("channels, height, width instead of height, width, channels")
    a, b = (np.moveaxis(x, _channels(x), 0) for x in (a, b))
    if a.shape != b.shape:
        if a.shape == (*b.shape[:-2], b.shape[-1], b.shape[-2]):
            b = b.swapaxes(-1, -2)
            found.append("height and width exchanged")
        else:
            sizes = " and ".join(f"{x.shape[-2]} x {x.shape[-1]}" for x in (a, b))
            return "; ".join([*found, f"sizes {sizes}: another resize, crop or padding"])
    return "; ".join(filter(None, [*found, _values(a, b)]))


def _values(a: np.ndarray, b: np.ndarray) -> str:
    """Of images [C, ..., H, W] of one shape."""
    if _alike(a, b):
        return ""
    fits = {}  # by how it is turned: scale, offset, what is left
    for reverse in (False, True) if len(a) == 3 else (False,):
        for name, turn in TURNS.items():
            words = "; ".join(filter(None, ["channel order reversed" * reverse, name]))
            scale, offset, left = fits[words] = _fit(turn(a[::-1] if reverse else a), b)
            if left <= ALIKE:
                return "; ".join(filter(None, [words, _normalised(scale, offset)]))
    return _padded(a, b) or _shifted(a, b) or _near(a, b, fits)


def _fit(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """scale and offset by channel with which `a` becomes `b`, and what is left."""
    x, y = (v.reshape(len(v), -1) for v in (a, b))
    means = x.mean(1), y.mean(1)
    spread = ((x - means[0][:, None]) ** 2).mean(1)
    common = ((x - means[0][:, None]) * (y - means[1][:, None])).mean(1)
    scale = np.where(spread > 0, common / np.where(spread > 0, spread, 1), 1.0)
    offset = means[1] - scale * means[0]
    rest = y - scale[:, None] * x - offset[:, None]
    return scale, offset, ratio(norm(rest), norm(y - means[1][:, None]))


def _normalised(scale: np.ndarray, offset: np.ndarray) -> str:
    if np.allclose(scale, 1, rtol=1e-3):
        if np.allclose(offset, 0, atol=1e-3):
            return ""
        return f"mean not subtracted, or another one: plus {_listed(offset)} by channel"
    if np.allclose(offset, 0, atol=1e-3 * np.abs(scale).max()):
        if np.allclose(scale, scale[0], rtol=1e-3):
            return f"{scale[0]:.6g} times the range (0 to 1 and 0 to 255 have 255 between them)"
        return f"not divided by the same deviations: times {_listed(scale)} by channel"
    return f"normalised otherwise: times {_listed(scale)}, plus {_listed(offset)} by channel"


def _listed(x: np.ndarray) -> str:
    return ", ".join(f"{v:.4g}" for v in x)


def _padded(a: np.ndarray, b: np.ndarray) -> str:
    """The same picture in a border of another value."""
    different = (np.abs(a - b) > ALIKE * np.abs(a).max()).reshape(-1, *a.shape[-2:]).any(0)
    flat = [x[..., different].reshape(len(x), -1) for x in (a, b)]
    if 0 < different.mean() < 1 and all((x == x[:, :1]).all() for x in flat):
        values = " instead of ".join(_listed(x[:, 0]) for x in flat[::-1])
        return f"padded with {values}"
    return ""


def _shifted(a: np.ndarray, b: np.ndarray) -> str:
    """The same picture at another place, as a crop or a border leaves it."""
    x, y = (v.reshape(-1, *v.shape[-2:]).sum(0) for v in (a, b))
    x, y = (v - v.mean() for v in (x, y))
    common = np.fft.fft2(y) * np.conj(np.fft.fft2(x))
    # phases alone: a picture's broad bright and dark parts look alike wherever they are
    correlation = np.fft.ifft2(common / np.maximum(np.abs(common), 1e-30)).real
    peak = np.unravel_index(correlation.argmax(), x.shape)
    down, across = (int(p) - n if p > n // 2 else int(p) for p, n in zip(peak, x.shape))
    cut = [
        (slice(max(k, 0), n + min(k, 0)), slice(max(-k, 0), n + min(-k, 0)))
        for k, n in zip((down, across), x.shape)
    ]
    (rows, before_rows), (columns, before_columns) = cut
    if (down or across) and _alike(a[..., before_rows, before_columns], b[..., rows, columns]):
        return f"shifted by {down} rows and {across} columns: another crop or padding"
    return ""


def _near(a: np.ndarray, b: np.ndarray, fits: dict[str, tuple]) -> str:
    """Of pictures that are alike but for another interpolation: how they are turned and normalised besides. fits: by
    the words for a turn scale and offset by channel and what is left, that without a turn first."""
    words = min(fits, key=lambda w: fits[w][2])
    if fits[words][2] > CLEARLY * fits[""][2]:
        words = ""
    scale, offset, left = fits[words]
    both = np.sqrt(max(0.0, 1 - left**2))
    if not words and a.std() and b.std():
        both = max(both, float(np.corrcoef(a.ravel(), b.ravel())[0, 1]))
    if both <= NEAR or (scale <= 0).any():
        return "another picture, or another crop"
    x, y = (v.reshape(len(v), -1) for v in (a[::-1] if "reversed" in words else a, b))
    # another interpolation blurs, which makes the spread smaller, too
    slack, spread = max(2 * left, LITTLE), x.std(1)
    moved = np.abs(y.mean(1) - x.mean(1)) > slack * spread
    how = ""
    if moved.any() or (np.abs(y.std(1) - spread) > slack * spread).any():
        how = f"normalised otherwise: times about {_listed(scale)}, plus about {_listed(offset)} by channel"
    alike = f"nearly alike (correlation {both:.3f}): another interpolation or rounding"
    return "; ".join(filter(None, [words, how, alike]))


def _boxes(a: np.ndarray, b: np.ndarray) -> str:
    if len(a) != len(b):
        return f"{len(b)} boxes instead of {len(a)}"
    if not len(a):
        return ""
    if _rows_alike(a, b):
        return "the same boxes in another order"
    if np.allclose(b - a, (b - a)[:1], atol=1e-3) and np.abs(b - a).max() <= 2:
        return f"off by {_listed((b - a)[0])} pixels"
    for ours, corners in CORNERS.items():
        for theirs, form in FORMATS.items():
            made = form(corners(a))
            scale = _box_scale(made, b)
            if scale is not None and (ours != theirs or not np.allclose(scale, 1)):
                said = f"{theirs} instead of {ours}" if ours != theirs else ""
                sizes = f"times {scale[0]:.6g} in x and {scale[1]:.6g} in y"
                return "; ".join(filter(None, [said, "" if np.allclose(scale, 1) else sizes]))
    return _flipped_boxes(a, b)


def _rows_alike(a: np.ndarray, b: np.ndarray) -> bool:
    return _alike(a[np.lexsort(a.T)], b[np.lexsort(b.T)])


def _box_scale(made: np.ndarray, b: np.ndarray) -> np.ndarray | None:
    """Factors of x and y between them; None where there are no such two."""
    factors = [
        float((made[:, k::2] * b[:, k::2]).sum() / max((made[:, k::2] ** 2).sum(), 1e-30))
        for k in (0, 1)
    ]
    scaled = made * np.array(factors * 2)
    return np.array(factors) if _alike(scaled, b) and min(factors) > 0 else None


def _flipped_boxes(a: np.ndarray, b: np.ndarray) -> str:
    """Corners, or centres and sizes, mirrored at a width that all boxes share."""
    mirrored = b[:, 2] + a[:, 0], b[:, 0] + a[:, 2]
    if np.allclose(a[:, 1::2], b[:, 1::2]) and np.allclose(mirrored, mirrored[0][0], rtol=1e-4):
        return f"flipped left to right in a width of {mirrored[0][0]:.6g}"
    centres = b[:, 0] + a[:, 0]
    if np.allclose(a[:, 1:], b[:, 1:]) and np.allclose(centres, centres[0], rtol=1e-4):
        return f"flipped left to right in a width of {centres[0]:.6g}"
    return ""


def _labels(a: np.ndarray, b: np.ndarray) -> str:
    a, b = a.astype(np.int64), b.astype(np.int64)
    if len(a) != len(b):
        return f"{len(b)} instead of {len(a)}"
    apart = np.unique(b - a)
    if len(apart) == 1 and len(a):
        return f"labels off by {'one' if abs(apart[0]) == 1 else apart[0]}: {b[0]} for {a[0]}"
    if sorted(a.tolist()) == sorted(b.tolist()):
        return "the same in another order"
    pairs = set(zip(a.tolist(), b.tolist()))
    if len(pairs) == len(set(a.tolist())) == len(set(b.tolist())):
        shown = ", ".join(f"{x} is {y}" for x, y in sorted(pairs)[:4])
        return f"numbered otherwise: {shown}"
    return ""


def _order(a: np.ndarray, b: np.ndarray) -> str:
    if a.shape == b.shape and sorted(map(str, a.ravel())) == sorted(map(str, b.ravel())):
        return "the same in another order"
    return f"{b.ravel()[:1].tolist()} for {a.ravel()[:1].tolist()}"
