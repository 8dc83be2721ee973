"""Whose weights a checkpoint holds, told by its keys, its digest, or the name that the user gives."""

from __future__ import annotations

from door.files import digest
from neutral.config import Config
from neutral.errors import InputError
from neutral.parameters import MASK_HEAD
from neutral.weights.plan import FORMAT
from neutral.weights.rules import Rule, Source
from neutral.weights.sources import SOURCES
from neutral.weights.stored import MEMORY, Checkpoint
from neutral.weights.wrappers import Unwrapped, first_of, readings, unwrap

OWN = Source(
    "detector-parity",
    (),
    (Rule("optimiser/{rest}", reason="the state of the optimiser"), Rule("{rest}", "{rest}")),
    may_lack=MASK_HEAD,
)


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
    return the_one(checkpoint, unwrapped(checkpoint, None, inside), config)


def the_one(checkpoint: Checkpoint, model: Unwrapped, config: Config | None) -> Source:
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
