"""The plan of a conversion: where every tensor comes from and goes to, and the names on the way back.

conversion.py makes plans and checks them, proof.py proves what was made of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from door.files import digest
from door.tensorfile import Item
from neutral.config import Config, to_dict
from neutral.data.categories import Categories
from neutral.errors import InputError, NonFinite
from neutral.finite import first_bad
from neutral.weights.initial import initial_weights
from neutral.weights.layout import class_heads
from neutral.weights.rules import Source, their_names
from neutral.weights.stored import Checkpoint, StoredTensor

FORMAT = "detector-parity/weights/1"  # of our own files, in their metadata
CATEGORIES = "categories"  # what a file was trained on, in its metadata: Categories.to_text
CONVERTER = "1"  # version of the tables of names; goes into every file that they made


@dataclass(frozen=True)
class Piece:
    """A tensor of theirs that is the whole of ours, or one of several equal parts."""

    name: str
    tensor: StoredTensor
    part: tuple[int, int] | None = None


@dataclass
class Conversion:
    """Where every tensor comes from and goes to; `array` makes a canonical tensor when it is asked for.

    names: theirs, without `prefix`, which a wrapper put before them; pieces: canonical name -> what it is made of;
    left_out: their name -> reason; begun: canonical name -> reason for those that begin anew.
    """

    checkpoint: Checkpoint
    names: Mapping[str, StoredTensor]
    prefix: str
    source: Source
    config: Config
    shapes: dict[str, tuple[int, ...]]
    pieces: dict[str, list[Piece]]
    left_out: dict[str, str]
    begun: dict[str, str]
    notes: list[str] = field(default_factory=list)
    _anew: dict[str, np.ndarray] | None = None

    def array(self, key: str) -> np.ndarray:
        """float32, in the canonical shape; a view of the file where possible."""
        if key in self.begun:
            if self._anew is None:
                self._anew = initial_weights(self.shapes, self.config, self.begun)
            return self._anew[key]
        values = [to_float32(piece) for piece in self.pieces[key]]
        joined = values[0] if len(values) == 1 else np.concatenate(values)
        return joined.reshape(self.shapes[key])

    def weights(self) -> dict[str, np.ndarray]:
        """All of them, in memory of their own. NonFinite names the first that holds NaN or infinity."""
        found = {key: np.array(self.array(key)) for key in self.shapes}
        if bad := first_bad(found, found):
            theirs = ", ".join(piece.name for piece in self.pieces.get(bad["node"], ()))
            raise NonFinite(
                f"{self.checkpoint.path}: {theirs or bad['node']} holds {bad['nan']} NaN and "
                f"{bad['infinite']} infinite values: nothing can be computed with such weights"
            )
        return found

    def items(self, naming: Source | None = None) -> list[Item]:
        """What is to be written, canonical or under another system's names (see `exported`)."""
        if naming is not None:
            return exported(self.array, self.shapes, self.config, naming)
        return [
            Item(key, "float32", shape, partial(self.array, key))
            for key, shape in self.shapes.items()
        ]

    def plan(self) -> dict[str, list[str]]:
        """Their names, as the file has them, by ours; several are joined along the first axis."""
        return {key: [self.prefix + p.name for p in parts] for key, parts in self.pieces.items()}

    @property
    def categories(self) -> Categories | None:
        """Those that the file says it was trained on; not when its class head begins anew."""
        text = self.checkpoint.metadata.get(CATEGORIES)
        if text is None or any(key.startswith(class_heads(self.config)) for key in self.begun):
            return None
        return Categories.from_text(text, str(self.checkpoint.path))

    def metadata(self, naming: Source | None = None) -> dict[str, str]:
        """What a file of ours, under canonical names or another system's, says of where it comes from."""
        carried = self.categories
        return {
            **({"format": FORMAT} if naming is None else {"naming": naming.name}),
            **({CATEGORIES: carried.to_text()} if carried else {}),
            "system": self.source.name,
            "config": json.dumps(to_dict(self.config)),
            "source_file": self.checkpoint.path.name,
            "source_sha256": digest(self.checkpoint.path, "sha256"),
            "converter": CONVERTER,
        }


def to_float32(piece: Piece) -> np.ndarray:
    values = piece.tensor.values()
    return values if values.dtype == np.float32 else values.astype(np.float32)


# the way back, and the proof


def exported(
    array: Callable[[str], np.ndarray],
    shapes: Mapping[str, tuple[int, ...]],
    config: Config,
    target: Source,
) -> list[Item]:
    """Canonical tensors under another system's names. InputError names the first that has no name there."""
    items = []
    for key, shape in shapes.items():
        names = their_names(target, key, config)
        if not names:
            raise InputError(f"{target.name} has no name for {key}; choose another --naming")
        for name, part in names:
            rows = shape[0] // (part[1] if part else 1)
            items.append(
                Item(name, "float32", (rows, *shape[1:]), partial(_cut_of, array, key, part))
            )
    return items


def _cut_of(array: Callable, key: str, part: tuple[int, int] | None) -> np.ndarray:
    return cut(array(key), part)


def cut(array: np.ndarray, part: tuple[int, int] | None) -> np.ndarray:
    """The k-th of n equal parts along the first axis."""
    if part is None:
        return array
    k, n = part
    rows = len(array) // n
    return array[k * rows : (k + 1) * rows]
