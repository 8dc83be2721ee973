"""Masks as COCO writes them: polygons and run-length codes.

pycocotools turns them into pixels in C, without looking at them: codes that are longer than the image are written
beyond its memory, outlines of billions of pixels end in hours. So what comes from a file is checked first.
"""

from __future__ import annotations

import numpy as np
from pycocotools import mask as coco_masks

from neutral.errors import InputError

OUTLINE_LIMIT = 1e7  # pixels: the outline of a polygon, far more than any object's
CHARACTER = 48  # the packed code's characters stand for 0 to 63
DIGITS = 7  # characters of a count: 5 bits each


def encode_mask(mask: np.ndarray) -> dict:
    """bool [H, W] -> COCO's run-length code, ready for JSON."""
    code = coco_masks.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(mask.shape), "counts": code["counts"].decode()}


def check_code(code, height: int, width: int, which: str) -> None:
    """InputError, begun with `which`, unless the polygons or the code are a mask of height x width pixels.

    Polygons may reach beyond the image, once its longer side in every direction.
    """
    why = (
        _unfit_runs(code, height, width) if isinstance(code, dict) else _unfit(code, height, width)
    )
    if why:
        raise InputError(f"{which}: its segmentation is no mask of {width}x{height} pixels: {why}")


def _unfit(polygons, height: int, width: int) -> str:
    """Why these are no polygons of an image; "" when they are."""
    if not isinstance(polygons, list) or not polygons:
        return "neither polygons nor a run-length code"
    side = max(height, width)
    for polygon in polygons:
        if len(polygon) < 6 or len(polygon) % 2:
            return (
                f"a polygon of {len(polygon)} numbers; x and y of three corners at least are wanted, as "
                "[[x1, y1, x2, y2, x3, y3]]"
            )
        low, high = min(polygon), max(polygon)
        if not (low >= -side and high <= 2 * side):
            return f"a polygon has the coordinate {high if low >= -side else low:g}, far outside"
        if len(polygon) * 3 * side > OUTLINE_LIMIT and _outline(polygon) > OUTLINE_LIMIT:
            return f"the outline of a polygon is longer than {OUTLINE_LIMIT:g} pixels"
    return ""


def _outline(polygon: list[float]) -> float:
    corners = np.array(polygon).reshape(-1, 2)
    return float(np.abs(corners - np.roll(corners, 1, axis=0)).max(axis=1).sum())


def _unfit_runs(code: dict, height: int, width: int) -> str:
    """Why this is no run-length code of an image; "" when it is."""
    if list(code["size"]) != [height, width]:
        return f"the run-length code is of {'x'.join(map(str, code['size'][::-1]))}"
    counts = code["counts"]
    total = sum(counts) if isinstance(counts, list) else packed_total(counts)
    if total is None:
        return "the run-length code is damaged"
    return "" if total == height * width else f"the run-length code is of {total} pixels in all"


def packed_total(text: str) -> int | None:
    """Pixels that a packed code is of; None when it is none.

    A count has 5 bits a character, lowest first; 32 means that another follows, 16 in the last that it is negative.
    From the fourth on a count is told as the difference from the one before the last.
    """
    try:
        values = np.frombuffer(text.encode("ascii"), dtype=np.uint8).astype(np.int64) - CHARACTER
    except UnicodeEncodeError:
        return None
    if not len(values) or values.min() < 0 or values.max() > 63 or values[-1] & 32:
        return None
    starts = np.concatenate([[0], np.flatnonzero((values & 32) == 0)[:-1] + 1])
    lengths = np.diff(np.append(starts, len(values)))
    if lengths.max() > DIGITS:
        return None
    place = np.arange(len(values)) - np.repeat(starts, lengths)
    counts = np.add.reduceat((values & 31) << (5 * place), starts)
    negative = values[starts + lengths - 1] & 16
    counts -= np.where(negative, np.int64(1) << (5 * lengths), 0)
    first = counts[:1]
    for row in (
        counts[1::2],
        counts[2::2],
    ):  # every second count tells the difference from the last but one
        np.cumsum(row, out=row)
    return int(first.sum() + counts[1:].sum()) if counts.min() >= 0 else None


def decode_masks(annotations: list[dict], height: int, width: int) -> np.ndarray:
    """COCO's polygons and run-length codes -> bool [N, height, width]; parts of an object are joined.

    InputError names an annotation whose code is none, or is that of an image of another size.
    """
    masks = np.zeros((len(annotations), height, width), dtype=bool)
    for k, annotation in enumerate(annotations):
        code = annotation["segmentation"]
        which = f"annotation {annotation.get('id')} of image {annotation.get('image_id')}"
        try:
            check_code(code, height, width, which)
            if isinstance(code, list) or isinstance(code["counts"], list):
                code = coco_masks.frPyObjects(code, height, width)
            parts = coco_masks.decode(code if isinstance(code, list) else [code])
            masks[k] = parts.any(axis=2)
        except InputError:
            raise
        except Exception as error:  # pycocotools raises what it likes
            raise InputError(
                f"{which}: its segmentation is no mask of {width}x{height} pixels ({error})"
            ) from None
    return masks
