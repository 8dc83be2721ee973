"""What functions take and return: trees of tuples, lists, mappings, dataclasses and plain objects with tensors in them.

A part of a tree has a path: "[0]" of a tuple or list, "[key]" of a mapping, "[name]" of an object's attribute.

Before: nothing. sides/tracer.py visits what is in them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from parity.errors import InputError

DEPTH = 8  # inside of each other; an object counts twice, as its attributes are looked for first


def children(value, is_leaf: Callable, depth: int = 0) -> list[tuple[object, object]] | None:
    """(key, part) of what `value` is made of; None when it is not made of parts that may hold leaves."""
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, (tuple, list)):
        return list(enumerate(value))
    if depth >= DEPTH or isinstance(value, type) or callable(value):
        return None
    fields = getattr(value, "__dict__", None)
    if not fields or type(value).__module__ in ("builtins", "numpy"):
        return None
    parts = [(name, part) for name, part in fields.items()]
    return parts if any(True for _ in leaves(dict(parts), is_leaf, depth + 1)) else None


def leaves(
    value, is_leaf: Callable, depth: int = 0, path: str = ""
) -> Iterator[tuple[str, object]]:
    """(path, leaf) in order."""
    if is_leaf(value):
        yield path, value
        return
    if depth > DEPTH:
        return
    for key, part in children(value, is_leaf, depth) or ():
        yield from leaves(part, is_leaf, depth + 1, f"{path}[{key}]")


def without_tensors(found, name: str, is_tensor: Callable):
    """What the function of that name gives; InputError for nothing, and for a framework's tensors."""
    if found is None:
        raise InputError(f"{name}() gives nothing; return arrays, or a tree of them")
    for path, leaf in leaves(found, is_tensor):
        kind, place = type(leaf).__name__, path or "its top"
        raise InputError(f"{name}() gives a {kind} at {place}; give NumPy arrays")
    return found


def replaced(value, is_leaf: Callable, change: Callable, path: str = "", depth: int = 0):
    """A copy of `value` with every leaf as change(path, leaf) has it; `value` itself where there is no leaf."""
    if is_leaf(value):
        return change(path, value)
    parts = children(value, is_leaf, depth) if depth <= DEPTH else None
    if not parts:
        return value
    items = {k: replaced(v, is_leaf, change, f"{path}[{k}]", depth + 1) for k, v in parts}
    if isinstance(value, (tuple, list)):
        values = list(items.values())
        return type(value)(*values) if hasattr(value, "_fields") else type(value)(values)
    if type(value) is dict:
        return items
    other = copy.copy(value)
    if isinstance(value, Mapping):
        try:
            for key, part in items.items():
                other[key] = part
        except TypeError:  # a mapping that cannot be written to
            return items
    for key, part in items.items():
        if not isinstance(value, Mapping) or getattr(value, "__dict__", {}).get(key) is value[key]:
            object.__setattr__(other, key, part)
    return other


def is_plain(value) -> bool:
    if isinstance(value, (tuple, list)):
        return all(isinstance(v, (bool, int, float, str)) for v in value)
    return value is None or isinstance(value, (bool, int, float, str))


TUPLE = "(tuple)"


def rebuilt(value, leaf: Callable):
    """What `results` outlined, with leaf(name) for each node; ValueError for objects, which it does not hold."""
    if isinstance(value, Mapping):
        if set(value) == {"node"}:
            return leaf(value["node"])
        if set(value) == {TUPLE}:
            return tuple(rebuilt(v, leaf) for v in value[TUPLE])
        return {k: rebuilt(v, leaf) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [rebuilt(v, leaf) for v in value]
    if isinstance(value, str) and value.startswith("(") and value.endswith(")"):
        raise ValueError(f"an object {value} cannot be made anew")
    return value


def results(value, is_leaf: Callable, name: Callable[[str], str], path: str = "", depth: int = 0):
    """As `outline`, but tuples are told from lists."""
    value = value.item() if isinstance(value, np.generic) else value
    if is_leaf(value) or depth > DEPTH:
        return outline(value, is_leaf, name, path, depth)
    if isinstance(value, Mapping):
        return {
            str(k): results(v, is_leaf, name, f"{path}[{k}]", depth + 1) for k, v in value.items()
        }
    if isinstance(value, (tuple, list)):
        parts = [results(v, is_leaf, name, f"{path}[{k}]", depth + 1) for k, v in enumerate(value)]
        return {TUPLE: parts} if isinstance(value, tuple) else parts
    return (
        str(value)
        if isinstance(value, float) and value - value != 0
        else outline(value, is_leaf, name, path, depth)
    )


def plain_parts(outlined, path: str = "") -> Iterator[tuple[str, object]]:
    """(path, value) of everything in `results` that is no node: numbers, strings, None, and the classes of objects."""
    if isinstance(outlined, Mapping):
        if set(outlined) == {"node"}:
            return
        parts = outlined[TUPLE] if set(outlined) == {TUPLE} else outlined
        items = parts.items() if isinstance(parts, Mapping) else enumerate(parts)
    elif isinstance(outlined, (list, tuple)):
        items = enumerate(outlined)
    else:
        yield path, outlined
        return
    for key, part in items:
        yield from plain_parts(part, f"{path}[{key}]")


def outline(value, is_leaf: Callable, name: Callable[[str], str], path: str = "", depth: int = 0):
    """`value` as JSON, its leaves as {"node": name(path)}; an object as "(its class)"."""
    value = value.item() if isinstance(value, np.generic) else value
    if is_leaf(value):
        return {"node": name(path)}
    if isinstance(value, Mapping) and depth <= DEPTH:
        return {
            str(k): outline(v, is_leaf, name, f"{path}[{k}]", depth + 1) for k, v in value.items()
        }
    if isinstance(value, (tuple, list)) and depth <= DEPTH:
        return [outline(v, is_leaf, name, f"{path}[{k}]", depth + 1) for k, v in enumerate(value)]
    return value if is_plain(value) else f"({type(value).__name__})"
