"""Conversion of a checkpoint to canonical names: planned, and checked before any value is copied.

Nothing is guessed: a tensor without a place, a place without a tensor, another shape, two tensors for one
place, two sources that fit, a value that float32 cannot hold are errors. What begins anew (the heads of a
backbone file, a class head when that is asked for) is listed by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from neutral.config import Config
from neutral.errors import InputError
from neutral.weights.layout import canonical_shapes, class_heads, mask_head_names
from neutral.weights.plan import Conversion, Piece
from neutral.weights.recognising import is_published, the_one, unwrapped
from neutral.weights.rules import NO_STAGE, Source, fill_places, find_rule
from neutral.weights.stored import MEMORY, Checkpoint, StoredTensor
from neutral.weights.wrappers import Unwrapped


def convert(
    checkpoint: Checkpoint,
    config: Config,
    source: Source | None = None,
    reset_heads: bool = False,
    round_values: bool = False,
    inside: str = "",
) -> Conversion:
    """The plan of a conversion, checked; no value has been copied yet.

    `reset_heads`: a class head for another number of classes begins anew; `round_values`: float64 values that float32
    cannot hold are rounded; `inside`: a beginning of names, the model behind which is meant. InputError lists
    everything that does not fit.
    """
    path = checkpoint.path
    model = unwrapped(checkpoint, source, inside)
    source = source or the_one(checkpoint, model, config)
    _check_source(path, source, config)
    _check_eps(checkpoint, source, config)
    shapes, problems = canonical_shapes(config), []
    pieces, left_out = _assign(model.tensors, source, config, shapes, problems)
    begun = _check_shapes(pieces, shapes, config, reset_heads, problems)
    for key in [key for key in pieces if key in begun]:
        left_out |= {p.name: "a class head for another number of classes" for p in pieces.pop(key)}
    begun |= _beginning(pieces, begun, source, config, shapes, problems)
    for parts in pieces.values():
        problems += [text for p in parts if (text := _unfit(p, round_values))]
    if problems:
        shown = "; ".join(problems[:6]) + ("; ..." if len(problems) > 6 else "")
        raise InputError(
            f"{path}: {source.name} does not fit the preset {config.name} ({len(problems)} problems): {shown}. "
            "Is it the right preset, and the right source?"
        )
    order = [key for key in shapes if key in pieces]
    return Conversion(
        checkpoint,
        model.tensors,
        model.prefix,
        source,
        config,
        shapes,
        {key: sorted(pieces[key], key=lambda p: p.part or (0, 1)) for key in order},
        left_out,
        begun,
        _notes(checkpoint, model),
    )


def _check_source(path: Path, source: Source, config: Config) -> None:
    """InputError when a system's weights cannot serve this configuration, whatever their shapes."""
    detector = config.model.detector
    if source.detector not in ("", detector):
        raise InputError(
            f"{path}: these are weights of {source.name}, a {source.detector} model; the preset {config.name} is a "
            f"{detector}: choose another preset"
        )
    if source.channels not in ("", config.transform.channels):
        raise InputError(
            f"{path}: {source.name} wants {source.channels.upper()} images, the preset {config.name} feeds "
            f"{config.transform.channels.upper()}: choose another preset or file, or set transform.channels, mean, std "
            "and pixel_range; if the file is another source's, say so with --source"
        )


def _check_eps(checkpoint: Checkpoint, source: Source, config: Config) -> None:
    """InputError unless the eps of frozen batch normalisation is known where a system's files differ in it."""
    field, eps = "model.backbone.norm_eps", config.model.backbone.norm_eps
    if not source.norm_eps or checkpoint.layout == MEMORY or config.model.backbone.norm == "group":
        return
    published, trained = (f"--set {field}={value:g}" for value in source.norm_eps)
    if is_published(checkpoint, source):
        if eps != source.norm_eps[0]:
            raise InputError(
                f"{checkpoint.path}: the published file of {source.name} goes with {published}"
            )
    elif field not in config.stated:
        raise InputError(
            f"{checkpoint.path}: {source.name}: its published file was made with another eps of batch normalisation "
            f"than the checkpoints that people train, files do not say theirs, and scores depend on it. "
            f"Say which it is: {published} (published on COCO, or fine-tuned from that) or {trained} (others)"
        )


def _assign(
    names: Mapping[str, StoredTensor],
    source: Source,
    config: Config,
    shapes: Mapping,
    problems: list[str],
) -> tuple[dict[str, list[Piece]], dict[str, str]]:
    """Every tensor to its place, or out with a reason; appends to `problems` what has neither."""
    pieces: dict[str, list[Piece]] = {}
    left_out: dict[str, str] = {}
    mask_head = mask_head_names(config)
    for name, tensor in names.items():
        found = find_rule(source, name)
        if found is None:
            problems.append(f"{name} has no place")
            continue
        rule, values = found
        ours = fill_places(rule.ours, config).format(**values)
        if rule.reason:
            left_out[name] = rule.reason
        elif ours in shapes:
            pieces.setdefault(ours, []).append(Piece(name, tensor, rule.part))
        elif source.fills and rule.ours.startswith(("{layer4}", "{body}layer4")):
            left_out[name] = NO_STAGE
        elif ours in mask_head:
            left_out[name] = "the mask head: model.masks.enabled is false"
        else:
            problems.append(f"{name} ({ours}) has no place")
    return pieces, left_out


def _check_shapes(
    pieces: dict[str, list[Piece]],
    shapes: dict[str, tuple[int, ...]],
    config: Config,
    reset_heads: bool,
    problems: list[str],
) -> dict[str, str]:
    """Appends to `problems` what does not have its place's shape; returns the heads that begin anew."""
    heads, other_classes = class_heads(config), []
    for key, parts in pieces.items():
        wanted, count = shapes[key], parts[0].part[1] if parts[0].part else 1
        given = sorted(p.part[0] if p.part else 0 for p in parts)
        if given != list(range(count)):
            names = ", ".join(p.name for p in parts)
            what = "several tensors for" if len(set(given)) < len(given) else "not all parts of"
            problems.append(f"{what} {key}: {names}")
            continue
        part_shape = (wanted[0] // count, *wanted[1:])
        for piece in parts:
            if piece.tensor.shape == part_shape:
                continue
            if key.startswith(heads) and piece.tensor.shape[1:] == wanted[1:]:
                other_classes.append(key)
            else:
                problems.append(f"{piece.name} {piece.tensor.shape}, wanted {part_shape} for {key}")
    if other_classes and not reset_heads:
        first = pieces[other_classes[0]][0]
        problems.append(
            f"{first.name} is {first.tensor.shape}, wanted {shapes[other_classes[0]]}: another number of classes; "
            f"--reset-heads begins {', '.join(other_classes)} anew, or set model.num_classes"
        )
    if not reset_heads:
        return {}
    # a head of another size is begun anew as a whole, its deltas with its scores
    return {
        key: "another number of classes"
        for key in shapes
        if other_classes and key.startswith(heads)
    }


def _beginning(
    pieces: dict[str, list[Piece]],
    begun: dict[str, str],
    source: Source,
    config: Config,
    shapes: Mapping,
    problems: list[str],
) -> dict[str, str]:
    """What the source need not fill and does not, which begins anew; appends to `problems` what it has to fill."""
    fills = tuple(fill_places(prefix, config) for prefix in source.fills)
    lacking = source.may_lack and not any(key.startswith(source.may_lack) for key in pieces)
    found = {}
    for key in (key for key in shapes if key not in pieces and key not in begun):
        if (fills and not key.startswith(fills)) or (lacking and key.startswith(source.may_lack)):
            found[key] = f"not in {source.name}"
        else:
            problems.append(f"nothing fills {key}")
    return found


def _unfit(piece: Piece, round_values: bool) -> str:
    """Why a tensor's values cannot be float32 values; "" when they can."""
    dtype = piece.tensor.dtype
    if dtype in ("float32", "float16", "bfloat16"):
        return ""
    if dtype != "float64":
        return f"{piece.name} is {dtype}, not floating point"
    values = piece.tensor.values()
    with np.errstate(over="ignore"):
        exact = np.array_equal(values.astype(np.float32).astype(np.float64), values, equal_nan=True)
    if exact or round_values:
        return ""
    return f"{piece.name} is float64 with digits that float32 does not have: --round drops them"


def _notes(checkpoint: Checkpoint, model: Unwrapped) -> list[str]:
    notes = [f"the same memory: {', '.join(names)}" for names in checkpoint.tied()]
    if model.prefix:
        notes.append(f"names without {model.prefix!r}")
    beside = [f"{k} ({kind})" for k, kind in sorted(checkpoint.beside.items())]
    left = len(checkpoint.tensors) - len(model.tensors)
    beside += [f"{left} tensors outside"] if left else []
    if beside:
        notes.append(f"beside the weights, not read: {', '.join(beside[-12:])}")
    return notes
