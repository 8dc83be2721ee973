"""Weights: canonical names, initial values, files of every format, conversion from and to public checkpoints.

Canonical names are those of facebookresearch/detr ("backbone.0.body.layer1.0.conv1.weight",
"transformer.encoder.layers.0.self_attn.in_proj_weight", ...) and, for Faster R-CNN, torchvision's
("backbone.body.layer1.0.conv1.weight", "rpn.head.cls_logits.weight", ...); both implementations use
them, so conversion between the frameworks is the identity and what needs care is the import.

readers.py reads files, pickles.py without running them, wrappers.py looks through what tools put around a model;
sources.py lists the public systems, detr_names.py and faster_rcnn_names.py have their names, layout.py has ours;
recognising.py tells whose a file is; conversion.py plans (plan.py) and proof.py proves what was made;
writers.py writes; initial.py draws what begins anew.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from door.tensorfile import Item
from neutral.config import Config
from neutral.notes import say
from neutral.weights.conversion import convert
from neutral.weights.initial import Weights, check_state, initial_weights
from neutral.weights.plan import CATEGORIES, FORMAT, Conversion
from neutral.weights.readers import read_checkpoint
from neutral.weights.recognising import named_source
from neutral.weights.writers import write_weights

__all__ = [
    "CATEGORIES",
    "Weights",
    "check_state",
    "initial_weights",
    "load_file",
    "load_weights",
    "open_weights",
    "save_weights",
]


def save_weights(
    path: Path | str, weights: Weights, metadata: dict[str, str] | None = None
) -> None:
    """Writes arrays under their names, whole or not at all; .safetensors, .pth or .pkl by the suffix."""
    items = [
        Item(name, str(array.dtype), array.shape, lambda array=array: array)
        for name, array in weights.items()
    ]
    write_weights(path, items, {"format": FORMAT} | (metadata or {}))


def load_file(path: Path | str) -> tuple[Weights, dict[str, str]]:
    """Arrays and metadata of a file of ours; InputError when it is absent or damaged."""
    found = read_checkpoint(path)
    return {name: np.array(t.values()) for name, t in found.tensors.items()}, found.metadata


def open_weights(
    path: Path | str,
    config: Config,
    source: str | None = None,
    inside: str | None = None,
    reset_heads: bool = False,
) -> Conversion:
    """The conversion of a file of any known source (sources.py), told by its keys, or by the `source` of that name.

    A file with a backbone only fills that, and the rest gets its initial values; with `reset_heads` so does a class
    head for another number of classes. InputError names the file and the keys when it does not fit.
    """
    known = named_source(source) if source else None
    found = convert(read_checkpoint(path), config, known, reset_heads, inside=inside or "")
    if found.prefix:
        say(f"{path}: read without {found.prefix!r} before the names")
    return found


def load_weights(path: Path | str, config: Config, reset_heads: bool = False) -> Weights:
    """Canonical weights from a file, as `open_weights`."""
    return open_weights(path, config, reset_heads=reset_heads).weights()
