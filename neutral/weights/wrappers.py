"""What training tools put around a model's weights: dictionaries in a file, and words before every name.

torch.nn.DataParallel has "module.", torch.compile "_orig_mod.", Lightning "model." or whatever the attribute is called,
and they come within each other. None is known by its word: a wrapper is what stands before every name of a system that
is known. What lies outside it, and which of two (a model and its running average) is meant, is not guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from neutral.errors import InputError
from neutral.weights.rules import Source
from neutral.weights.stand_ins import NumpyArray
from neutral.weights.stored import StoredTensor, TorchTensor

DEEPEST = 6  # dictionaries within each other in which weights are looked for
SHOWN = 3  # names in a message


def collect(content, place: str, groups: dict, beside: dict, seen: set[int]) -> None:
    """Tensors of `content` and of the dictionaries in it, by where they lie ("model.ema."); the rest goes `beside`."""
    if not isinstance(content, dict) or id(content) in seen:
        return
    seen.add(id(content))
    for name, value in content.items():
        key = f"{place}{name}"
        if isinstance(value, TorchTensor):
            groups.setdefault(place, {})[str(name)] = value.resolve()
        elif isinstance(value, NumpyArray) and value.stored is not None:
            groups.setdefault(place, {})[str(name)] = value.stored
        elif may_hold(value) and place.count(".") < DEEPEST:
            count = len(groups)
            collect(value, f"{key}.", groups, beside, seen)
            if len(groups) == count:
                beside[key] = "dict"
        else:
            beside[key] = type(value).__name__


def may_hold(value) -> bool:
    """Whether weights may lie in it: a dictionary of names, which an optimiser's, of numbers, is not."""
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def under(tensors: Mapping[str, StoredTensor], prefix: str) -> dict[str, StoredTensor]:
    """Those whose names begin so, without it."""
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}


def readings(
    tensors: Mapping[str, StoredTensor], layout: str, sources: Sequence[Source]
) -> dict[str, list[Source]]:
    """The sources that fit what lies behind each beginning of names; none within another that fits."""
    prefixes = {
        key.removesuffix(source.marks[0])
        for source in sources
        for key in tensors
        if source.marks and (key == source.marks[0] or key.endswith(f".{source.marks[0]}"))
    }
    found: dict[str, list[Source]] = {}
    for prefix in sorted(prefixes, key=len):
        if not any(prefix.startswith(outer) for outer in found):
            names = under(tensors, prefix)
            if fitting := [s for s in sources if s.matches(names, layout)]:
                found[prefix] = fitting
    return found


@dataclass(frozen=True)
class Unwrapped:
    """The tensors of one model by name, the beginning that was taken from these, and the sources that they fit."""

    tensors: Mapping[str, StoredTensor]
    prefix: str
    sources: list[Source]


def unwrap(
    tensors: Mapping[str, StoredTensor],
    layout: str,
    nests: Sequence[str],
    sources: Sequence[Source],
    inside: str = "",
) -> Unwrapped:
    """The model within these tensors, or the one in `inside` (a beginning of names) if that is given.

    Dictionaries (`nests`) beside the model's own are left; InputError when several models fit, or when tensors lie
    outside the wrapper in the same dictionary.
    """
    if inside:
        prefix = inside if inside.endswith(".") else f"{inside}."
        names = under(tensors, prefix)
        if not names:
            raise InputError(
                f"--inside {inside}: no tensor's name begins so; they begin {first_of(tensors)}"
            )
        found = readings(names, layout, sources)
        inner = next(iter(found)) if len(found) == 1 else ""
        return Unwrapped(under(names, inner), prefix + inner, found.get(inner, []))
    found = readings(tensors, layout, sources)
    if len(found) > 1:
        several = " and ".join(f"{p or 'no prefix'!r} ({s[0].name})" for p, s in found.items())
        options = " or ".join(f"--inside {p.rstrip('.')}" for p in found if p)
        raise InputError(
            f"holds weights more than once, behind {several}; say which with {options}"
        )
    prefix, fitting = next(iter(found.items()), ("", []))
    outside = [name for name in tensors if not name.startswith(prefix)]
    nest = max((n for n in nests if prefix.startswith(n)), key=len, default="")
    stray = [n for n in outside if n.startswith(nest) and not within_another(n, nest, nests)]
    if stray and all(source.fills for source in fitting):
        return Unwrapped(tensors, "", [])  # a detector that is not known, whose backbone is
    if stray:
        raise InputError(
            f"its names begin with {prefix!r} ({fitting[0].name}), but for {len(stray)} tensors outside: "
            f"{first_of(stray)}; --inside {prefix.rstrip('.')} takes what is inside and leaves them"
        )
    own = {k: t for k, t in tensors.items() if not within_another(k, nest, nests)}
    return Unwrapped(under(own, prefix), prefix, fitting)


def within_another(name: str, nest: str, nests: Sequence[str]) -> bool:
    return any(name.startswith(other) for other in nests if len(other) > len(nest))


def first_of(names) -> str:
    names = list(names)
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
