"""Fields of the configuration from text or JSON: each of its declared type, every number in its declared range."""

from __future__ import annotations

import dataclasses
import typing

from door.display import shortened
from door.ranges import Range
from neutral.config.detr import DetrConfig
from neutral.config.faster_rcnn import FasterRcnnConfig
from neutral.errors import InputError


def build(values: dict, cls: type, path: str = ""):
    """The dataclass `cls` of these values, its groups of fields included. InputError names a bad field."""
    if not isinstance(values, dict):
        raise InputError(
            f"{path.rstrip('.') or 'configuration'}: {shortened(values)} is no group of fields"
        )
    hints = typing.get_type_hints(cls, include_extras=True)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise InputError(
            f"unknown configuration field {path}{shortened(unknown[0])}: choose one of {', '.join(hints)}"
        )
    built = {k: _coerce(v, hints[k], path + k) for k, v in values.items()}
    return cls(**built)


def _coerce(value, hint, path: str):
    if hint == DetrConfig | FasterRcnnConfig:
        kinds = {"detr": DetrConfig, "faster_rcnn": FasterRcnnConfig}
        detector = value.get("detector", "detr") if isinstance(value, dict) else None
        if detector not in kinds:
            raise InputError(f"{path}.detector={detector!r}: choose one of {', '.join(kinds)}")
        return build(value, kinds[detector], path + ".")
    if dataclasses.is_dataclass(hint):
        return build(value, hint, path + ".")
    if isinstance(bounds := next(iter(getattr(hint, "__metadata__", ())), None), Range):
        return bounds.checked(_coerce(value, hint.__origin__, path), path)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        if value not in inner:
            raise InputError(f"{path}={value!r}: choose one of {', '.join(map(str, inner))}")
        return value
    if origin is tuple:
        return _coerce_tuple(value, inner, path)
    try:
        return _READ[hint](value)
    except (ValueError, TypeError, KeyError, OverflowError):
        raise InputError(
            f"{path}={shortened(repr(value))} is not a valid {hint.__name__}"
        ) from None


def _coerce_tuple(value, inner: tuple, path: str) -> tuple:
    """Of any length when `inner` ends in ..., else one value for each of it."""
    separator = ";" if "tuple" in str(inner[0]) else ","
    items = value.split(separator) if isinstance(value, str) and value else value or ()
    if not isinstance(items, (list, tuple)):
        raise InputError(f"{path}={shortened(repr(value))} is no list of values")
    if inner[-1] is not Ellipsis and len(items) != len(inner):
        raise InputError(f"{path}={shortened(value)}: give {len(inner)} values with commas")
    return tuple(_coerce(v, inner[0], path) for v in items)


def _read_number(kind: type):
    """From a command line's text, or from JSON, where text is no number and 1.5 no integer."""

    def read(value):
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise TypeError
        if kind is int and isinstance(value, float) and value != int(value):
            raise ValueError
        return kind(value)

    return read


def _read_bool(value) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[str(value).lower()]


def _read_text(value) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


_READ = {int: _read_number(int), float: _read_number(float), bool: _read_bool, str: _read_text}


def described(cls: type, path: str = "") -> dict[str, tuple[str, str]]:
    """Every field by name, as --set wants it: (its type in words, its range or choices in words).

    Fields of both detectors, as model.NAME.
    """
    found: dict[str, tuple[str, str]] = {}
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        parts = typing.get_args(hint) if hint == DetrConfig | FasterRcnnConfig else (hint,)
        for part in parts:
            if dataclasses.is_dataclass(part):
                found |= described(part, f"{path}{name}.")
            elif name != "detector" and path + name != "name":  # those are the preset's
                found[path + name] = _in_words(part)
    return found


def _in_words(hint) -> tuple[str, str]:
    bounds = next(iter(getattr(hint, "__metadata__", ())), None)
    if isinstance(bounds, Range):
        return hint.__origin__.__name__, str(bounds)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return "choice", " | ".join(map(str, inner))
    if origin is tuple:
        kind, told = _in_words(inner[0])
        many = "several" if inner[-1] is Ellipsis else str(len(inner))
        return f"{many} {kind}" if "several" not in kind else "groups, each of several float", told
    return hint.__name__, "true | false" if hint is bool else ""
