"""Traces on disk: one safetensors file each, written tensor by tensor, read array by array.

A trace is a tree of dictionaries and lists with arrays at its leaves (see Session.trace). The file holds
the arrays under their paths; its metadata hold the tree. Neither the process that writes a record nor
the one that compares two ever has more than one node of it in memory besides the tensors themselves,
and a record made on one machine is compared on another.

Metadata: "schema" (SCHEMA), "tree" (JSON; an array is {"array": key}), "about" (JSON: what was run, where).

Before: tree.py, mapped.py. sides/server.py writes them, ask/examination.py reads.
"""

from __future__ import annotations

import json
import math
from collections import ChainMap
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from door import schema
from door.tensorfile import Item, write_tensors
from parity.engine.values.mapped import MappedTensors
from parity.engine.values.shapes import RecordAbout, TraceTree
from parity.errors import InputError

SCHEMA = "detector-parity/trace/1"
GRADIENTS = ("node_gradients", "gradients")
CONTINUED = "continued in"  # of `about`
NUMBER = " (number)"  # ends the key of an array that is a number of the trace


def write_record(path: Path, trace: Mapping, about: dict) -> Path:
    """Writes a trace, one array after the other; `about` is JSON that says what was run, and where."""
    items: list[Item] = []
    tree = json.dumps(_plan(trace, "", items))
    return write_tensors(path, items, {"schema": SCHEMA, "tree": tree, "about": json.dumps(about)})


def _plan(value, key: str, items: list[Item]):
    """What the tree says in place of `value`; `items` gets its arrays, and how to fetch them."""
    if isinstance(value, Mapping):
        if not hasattr(value, "describe"):
            return {k: _plan(v, f"{key}/{k}", items) for k, v in value.items()}
        return {
            k: None
            if value.describe(k) is None
            else _place(Item(f"{key}/{k}", *value.describe(k), partial(value.get, k)), items)
            for k in value
        }
    if isinstance(value, (tuple, list)):
        return [_plan(v, f"{key}/{i}", items) for i, v in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):  # JSON has no such number
        return _place(Item(key + NUMBER, "float64", (), lambda: np.array(value)), items)
    if not isinstance(value, np.ndarray):
        return value
    return _place(Item(key, str(value.dtype), value.shape, lambda: value), items)


def _place(item: Item, items: list[Item]) -> dict:
    items.append(item)
    return {"array": item.name}


def write_in_two(path: Path, trace: Mapping, about: dict) -> Path:
    """As `write_record`, what is known before the gradients first, in a record of its own: whoever sees it there can
    begin to read. The gradients go to a second file beside it, and `Record(path)` is both."""
    last = {name: trace[name] for name in GRADIENTS if name in trace}
    first = {name: value for name, value in trace.items() if name not in last}
    more = path.with_suffix(f".gradients{path.suffix}")
    write_record(path, first, about | {CONTINUED: more.name if last else None})
    if last:
        write_record(more, last, about)
    return path


class Branch(Mapping):
    """A part of a trace on disk, used like the dictionary that it was; arrays are read when looked at."""

    def __init__(self, tree: dict, arrays: Mapping[str, np.ndarray]):
        self.tree, self.arrays = tree, arrays

    def __getitem__(self, key: str):
        return _load(self.tree[key], self.arrays)

    def __contains__(self, key) -> bool:
        return key in self.tree

    def __iter__(self) -> Iterator[str]:
        return iter(self.tree)

    def __len__(self) -> int:
        return len(self.tree)


class Record(Branch):
    """A whole trace; `about` says what was run, and where. InputError when the file is none.

    `resident`: how many bytes of it may stay in memory, see MappedTensors. `early`: without the second file of
    `write_in_two`, which may not be there yet.
    """

    def __init__(self, path: Path | str, resident: int | None = None, early: bool = False):
        self.path = Path(path)
        try:
            arrays = MappedTensors(self.path, resident)
            metadata = arrays.metadata
        except FileNotFoundError:
            raise InputError(f"{path}: no such record") from None
        except (ValueError, TypeError, KeyError, OSError) as error:
            raise InputError(
                f"{path}: not a record ({error}); make one with `parity record`"
            ) from None
        if metadata.get("schema") != SCHEMA:
            raise InputError(
                f"{path}: its schema is {metadata.get('schema')!r}, not {SCHEMA!r}: not a trace, or another "
                "version's; make it anew with `parity record`"
            )
        tree, self.about = (self.told(metadata, key) for key in ("tree", "about"))
        schema.check(tree, TraceTree, f"{path}: tree")
        schema.check(self.about, RecordAbout, f"{path}: about")
        super().__init__(tree, arrays)
        if absent := next((key for key in _keys(tree) if key not in arrays), None):
            raise InputError(f"{path}: its tree names {absent}, which is not there; make it anew")
        more = self.about.pop(CONTINUED, None)
        if more and not early:
            rest = Record(self.path.with_name(more), resident)
            self.tree, self.arrays = self.tree | rest.tree, ChainMap(arrays, rest.arrays)

    def told(self, metadata: dict[str, str], key: str) -> dict:
        if key not in metadata:
            raise InputError(
                f"{self.path}: its metadata lack {key!r}; make it anew with `parity record`"
            )
        return schema.parse(metadata[key], dict[str, Any], f"{self.path}: {key}")


def _keys(tree) -> Iterator[str]:
    """Keys of all arrays of a tree."""
    waiting = [tree]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict) and value.keys() == {"array"}:
            yield value["array"]
        elif isinstance(value, (dict, list)):
            waiting += value.values() if isinstance(value, dict) else value


def _load(tree, arrays: Mapping[str, np.ndarray]):
    if isinstance(tree, list):
        return [_load(value, arrays) for value in tree]
    if not isinstance(tree, dict):
        return tree
    if tree.keys() == {"array"}:
        array = arrays[tree["array"]]
        return float(array) if tree["array"].endswith(NUMBER) else array
    return Branch(tree, arrays)
