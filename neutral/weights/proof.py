"""The proof of a conversion: nothing was lost, invented or changed, and the file holds what was written."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from door.tensorfile import Item
from neutral.errors import InputError
from neutral.weights.plan import CONVERTER, Conversion, Piece, cut
from neutral.weights.readers import read_checkpoint
from neutral.weights.rules import Source


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal shape, dtype and bytes: -0 is not 0, and NaN is itself."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    views = [np.ascontiguousarray(x).reshape(-1).view(np.uint8) for x in (a, b)]
    return np.array_equal(*views)


def prove(
    conversion: Conversion, written: Path | None = None, naming: Source | None = None
) -> dict:
    """The proof of a conversion, as JSON: every tensor of theirs used or left out with a reason, every one of ours
    filled, totals equal, and what was read given back bit for bit. InputError names what does not hold.

    `written`, when given, is the file that was made (under the names of `naming`): it is read back, and has to hold
    the same bits, name by name, too.
    """
    path, names = conversion.checkpoint.path, conversion.names
    used, elements, dtypes = {}, 0, {}
    for key, parts in conversion.pieces.items():
        ours = conversion.array(key)
        for piece in parts:
            if not _gives_back(piece, cut(ours, piece.part)):
                raise InputError(f"{path}: {piece.name} -> {key}: values changed on the way")
            k, n = piece.part or (0, 1)
            used[piece.name] = key if n == 1 else f"{key}[part {k + 1} of {n}]"
            elements += math.prod(piece.tensor.shape)
            dtypes[piece.tensor.dtype] = dtypes.get(piece.tensor.dtype, 0) + 1
    filled = sum(math.prod(conversion.shapes[key]) for key in conversion.pieces)
    complete = set(conversion.pieces) | set(conversion.begun) == set(conversion.shapes)
    if elements != filled or {*used, *conversion.left_out} != set(names) or not complete:
        raise InputError(f"{path}: totals do not agree: {elements} elements used, {filled} filled")
    if written is not None:
        check_written(written, conversion.items(naming))
    return {
        "file": path.name,
        "layout": conversion.checkpoint.layout,
        "system": conversion.source.name,
        "preset": conversion.config.name,
        "converter": CONVERTER,
        "tensors": {"theirs": len(names), "used": len(used), "ours": len(conversion.shapes)},
        "elements": {"used": elements, "filled": filled},
        "dtypes": dtypes,
        "used": used,
        "left_out": conversion.left_out,
        "begun_anew": conversion.begun,
        "notes": conversion.notes,
        "round_trip": "bit for bit" + (", the file read back" if written else ", in memory"),
    }


def _gives_back(piece: Piece, ours: np.ndarray) -> bool:
    """Whether ours, in the dtype and shape of theirs, has the same bits; rounded values those of the rounding."""
    theirs = piece.tensor.values()
    if piece.tensor.dtype == "float64":
        theirs = theirs.astype(np.float32)
    return same_bits(ours.astype(theirs.dtype).reshape(theirs.shape), theirs)


def check_written(path: Path, items: list[Item]) -> None:
    """InputError unless the file holds these tensors bit for bit, and no others."""
    found = read_checkpoint(path)
    if set(found.tensors) != {item.name for item in items}:
        raise InputError(f"{path}: does not hold what was written; is the disk all right?")
    for item in items:
        if not same_bits(found.tensors[item.name].values(), item.fetch()):
            raise InputError(f"{path}: {item.name} is not what was written; is the disk all right?")
        found.release()
