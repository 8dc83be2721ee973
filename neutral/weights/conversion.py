"""Conversion of a checkpoint to canonical names, with the proof that nothing was lost, invented or changed.

Nothing is guessed: a tensor without a place, a place without a tensor, another shape, two tensors for one
place, two sources that fit, a value that float32 cannot hold are errors. What begins anew (the heads of a
backbone file, a class head when that is asked for) is listed by name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from neutral.config import Config, to_dict
from neutral.data.categories import Categories
from neutral.errors import InputError, NonFinite
from neutral.files import digest
from neutral.finite import first_bad
from neutral.parameters import MASK_HEAD
from neutral.tensorfile import Item
from neutral.weights.initial import initial_weights
from neutral.weights.layout import canonical_shapes, class_heads, mask_head_names
from neutral.weights.pickles import StoredTensor
from neutral.weights.readers import MEMORY, Checkpoint, read_checkpoint
from neutral.weights.sources import (
    NO_STAGE,
    SOURCES,
    Rule,
    Source,
    fill_places,
    find_rule,
    their_names,
)
from neutral.weights.wrappers import Unwrapped, first_of, readings, unwrap

FORMAT = "detector-parity/weights/1"  # of our own files, in their metadata
CATEGORIES = "categories"  # what a file was trained on, in its metadata: Categories.to_text
CONVERTER = "1"  # version of the rules in sources.py; goes into every file that they made
OWN = Source(
    "detector-parity",
    (),
    (Rule("optimiser/{rest}", reason="the state of the optimiser"), Rule("{rest}", "{rest}")),
    may_lack=MASK_HEAD,
)


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


def known_names() -> str:
    return ", ".join(source.name for source in SOURCES)


def named_source(name: str) -> Source:
    """The source called so, or whose name begins so; InputError lists them."""
    found = [s for s in (OWN, *SOURCES) if s.name.lower() == name.lower()]
    found = found or [s for s in (OWN, *SOURCES) if s.name.lower().startswith(name.lower())]
    if len(found) != 1:
        raise InputError(f"--source {name!r} is not one of: {known_names()}")
    return found[0]


def candidates(checkpoint: Checkpoint) -> list[Source]:
    """Every source whose keys these are, whatever wraps them; one alone when a digest of a published file tells."""
    if checkpoint.metadata.get("format") == FORMAT:
        return [OWN]
    found = readings(checkpoint.tensors, checkpoint.layout, SOURCES)
    return by_digest(checkpoint, list(dict.fromkeys(s for fits in found.values() for s in fits)))


def by_digest(checkpoint: Checkpoint, found: list[Source]) -> list[Source]:
    """Of several sources with the same keys the one that published this very file, if one did."""
    told = [s for s in found if is_published(checkpoint, s)] if len(found) > 1 else []
    return told or found


def is_published(checkpoint: Checkpoint, source: Source) -> bool:
    """Whether the file is one whose digest is known."""
    if not source.digests or checkpoint.layout == MEMORY:
        return False
    digests = (digest(checkpoint.path, kind) for kind in ("sha1", "sha256"))
    return any(d.startswith(source.digests) for d in digests)


def unwrapped(checkpoint: Checkpoint, source: Source | None = None, inside: str = "") -> Unwrapped:
    """The model in the file, without what wraps it; see wrappers.py. `source`: the one that it is known to be of."""
    known = (source,) if source else SOURCES
    if checkpoint.metadata.get("format") == FORMAT:
        return Unwrapped(checkpoint.tensors, "", [OWN])
    try:
        return unwrap(checkpoint.tensors, checkpoint.layout, checkpoint.nests, known, inside)
    except InputError as error:
        raise InputError(f"{checkpoint.path}: {error}") from None


def detect(checkpoint: Checkpoint, config: Config | None = None, inside: str = "") -> Source:
    """The one source that fits the keys. InputError when none does, or several do and nothing tells which it is.

    Two that want other colours are told apart by a digest, or by `transform.channels` where the user set it.
    """
    return _the_one(checkpoint, unwrapped(checkpoint, None, inside), config)


def _the_one(checkpoint: Checkpoint, model: Unwrapped, config: Config | None) -> Source:
    found = by_digest(checkpoint, model.sources)
    # arrays in memory are the caller's own, who knows what the configuration has to be
    is_told = config is not None and (
        checkpoint.layout == MEMORY or "transform.channels" in config.stated
    )
    if is_told and len(found) > 1:
        found = [s for s in found if s.channels in ("", config.transform.channels)] or found
    if len(found) == 1:
        return found[0]
    names = list(checkpoint.tensors)
    if found:
        both = " and ".join(
            s.name + (f" ({s.channels.upper()} images)" if s.channels else "") for s in found
        )
        raise InputError(
            f"{checkpoint.path}: {both} have the same names; say which it is with --source NAME"
        )
    raise InputError(
        f"{checkpoint.path}: of no known source: its {len(names)} tensors begin with {first_of(names)}; known are "
        f"{known_names()}. If it is one of them under other names, say which with --source NAME; a wrapper before "
        "the names is passed over with --inside PREFIX"
    )


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
    source = source or _the_one(checkpoint, model, config)
    _check_source(path, source, config)
    _check_eps(checkpoint, source, config)
    shapes, problems = canonical_shapes(config), []
    pieces, left_out = _assign(model.tensors, source, config, shapes, problems)
    begun = _check_shapes(pieces, shapes, config, reset_heads, problems)
    for key in [key for key in pieces if key in begun]:
        left_out |= {p.name: "a class head for another number of classes" for p in pieces.pop(key)}
    fills = tuple(fill_places(prefix, config) for prefix in source.fills)
    for key in shapes:
        if key in pieces or key in begun:
            continue
        lacking = source.may_lack and not any(k.startswith(source.may_lack) for k in pieces)
        if (fills and not key.startswith(fills)) or (lacking and key.startswith(source.may_lack)):
            begun[key] = f"not in {source.name}"
        else:
            problems.append(f"nothing fills {key}")
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
