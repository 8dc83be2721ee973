"""Traces on disk: one safetensors file each, written tensor by tensor, read array by array.

A trace is a tree of dictionaries and lists with arrays at its leaves (see Session.trace). The file holds
the arrays under their paths; its metadata hold the tree. Neither the process that writes a record nor
the one that compares two ever has more than one node of it in memory besides the tensors themselves,
and a record made on one machine is compared on another.

Metadata: "schema" (SCHEMA), "tree" (JSON; an array is {"array": key}), "about" (JSON: what was run, where).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from neutral.errors import InputError
from neutral.files import replacing

SCHEMA = "detector-parity/trace/1"
DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "int64": "I64",
    "int32": "I32",
    "uint8": "U8",
    "bool": "BOOL",
}


def write_record(path: Path, trace: Mapping, about: dict) -> Path:
    """Writes a trace; `about` is JSON that says what was run, and where."""
    entries: dict[str, dict] = {}
    with replacing(path) as temporary, temporary.with_suffix(".data").open("wb+") as data:
        try:
            tree = json.dumps(_store(trace, "", data, entries))
            metadata = {"schema": SCHEMA, "tree": tree, "about": json.dumps(about)}
            header = json.dumps({"__metadata__": metadata} | entries).encode()
            header += b" " * (-len(header) % 8)
            with temporary.open("wb") as file:
                file.write(len(header).to_bytes(8, "little") + header)
                data.seek(0)
                while chunk := data.read(1 << 22):
                    file.write(chunk)
        finally:
            temporary.with_suffix(".data").unlink(missing_ok=True)
    return path


def _store(value, key: str, data, entries: dict):
    """Writes the arrays of `value` and returns what the tree says in its place."""
    if isinstance(value, Mapping):
        return {k: _store(v, f"{key}/{k}", data, entries) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [_store(v, f"{key}/{i}", data, entries) for i, v in enumerate(value)]
    if not isinstance(value, np.ndarray):
        return value
    start = data.tell()
    data.write(np.ascontiguousarray(value).tobytes())
    entries[key] = {
        "dtype": DTYPES[str(value.dtype)],
        "shape": list(value.shape),
        "data_offsets": [start, data.tell()],
    }
    return {"array": key}


class Branch(Mapping):
    """A part of a trace on disk, used like the dictionary that it was; arrays are read when looked at."""

    def __init__(self, tree: dict, file):
        self.tree, self.file = tree, file

    def __getitem__(self, key: str):
        return _load(self.tree[key], self.file)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tree)

    def __len__(self) -> int:
        return len(self.tree)


class Record(Branch):
    """A whole trace; `about` says what was run, and where. InputError when the file is none."""

    def __init__(self, path: Path | str):
        self.path = Path(path)
        try:
            file = safe_open(self.path, "numpy")
            metadata = file.metadata() or {}
        except FileNotFoundError:
            raise InputError(f"{path}: no such record") from None
        except (SafetensorError, OSError) as error:
            raise InputError(
                f"{path}: not a record ({error}); make one with scripts/record"
            ) from None
        if metadata.get("schema") != SCHEMA:
            raise InputError(
                f"{path}: its schema is {metadata.get('schema')!r}, not {SCHEMA!r}: not a trace, or another "
                "version's; make it anew with scripts/record"
            )
        super().__init__(json.loads(metadata["tree"]), file)
        self.about = json.loads(metadata["about"])


def _load(tree, file):
    if isinstance(tree, list):
        return [_load(value, file) for value in tree]
    if not isinstance(tree, dict):
        return tree
    if tree.keys() == {"array"}:
        return file.get_tensor(tree["array"])
    return Branch(tree, file)
