"""Index expressions as data: what NumPy, PyTorch and Jittor make of them, and which disagreements are known.

An expression is a list of items: ["int", 2], ["slice", start, stop, step], ["none"], ["ellipsis"], ["mask", values]
or ["array", values] (nested lists of integers).
known.json lists what is known to disagree: by side, by mode (get or set) and by the tags that an expression has; such
expressions are not asked of that side, where they may read or write foreign memory. Each names the entry of the atlas
that tells more.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np

from door.files import read_json
from parity.atlas.snippets import first_words
from parity.engine.sides.server import Server

KNOWN = Path(__file__).parent / "known.json"


def built(items: list, array) -> tuple:
    """The index itself; `array` makes a framework's array from NumPy's."""
    found = []
    for kind, *values in items:
        if kind == "int":
            found.append(values[0])
        elif kind == "slice":
            found.append(slice(*values))
        elif kind == "none":
            found.append(None)
        elif kind == "ellipsis":
            found.append(Ellipsis)
        else:
            dtype = bool if kind == "mask" else np.int64
            found.append(array(np.array(values[0], dtype=dtype)))
    return tuple(found)


def source(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """What is indexed: 0, 1, 2, ... (bool: their parity)."""
    values = np.arange(int(np.prod(shape))).reshape(shape)
    return values % 2 == 1 if dtype == "bool" else values.astype(dtype)


def by_numpy(shape: tuple[int, ...], dtype: str, items: list, value=None) -> np.ndarray | None:
    """The result in NumPy, None where it refuses: x[index], or x after x[index] = value."""
    x, index = source(shape, dtype), built(items, lambda a: a)
    try:
        if value is None:
            return np.asarray(x[index])
        x[index] = value
        return x
    except (IndexError, ValueError):
        return None


def by_framework(
    server: Server, shape: tuple[int, ...], dtype: str, items: list, value=None
) -> np.ndarray | str:
    """The same in the framework of this process; the exception in words when it raises."""
    server.configure("cpu", "float32")
    module = importlib.import_module(server.backend_name)
    make = module.from_numpy if server.backend_name == "torch" else module.array
    x, index = make(source(shape, dtype)), built(items, make)
    try:
        if value is None:
            return np.asarray(x[index].numpy())
        x[index] = make(value) if isinstance(value, np.ndarray) else value
        return np.asarray(x.numpy())
    except Exception as error:
        return f"{type(error).__name__}: {first_words(error)}"


def tags(shape: tuple[int, ...], items: list, value=None) -> set[str]:
    """What an expression has that known disagreements are told by."""
    kinds = [kind for kind, *_ in items]
    found = set(kinds)
    arrays = [np.array(v[0]) for kind, *v in items if kind == "array"]
    if any((a < 0).any() for a in arrays):
        found.add("negative integers in an array")
    if any(a.size == 0 for a in arrays) or 0 in shape:
        found.add("empty")
    if any(kind == "slice" and (v[2] or 1) < 0 for kind, *v in items):
        found.add("negative step")
    for length, (_, start, stop, step) in sliced(shape, items):
        backwards = (step or 1) < 0 and start is not None and start >= length
        far = any(bound is not None and not -length <= bound <= length for bound in (start, stop))
        if far or backwards:
            found.add("slice beyond the end")
        if len(range(*slice(start, stop, step).indices(length))) == 0:
            found.add("empty slice")
    if any(kind == "mask" and not np.any(v[0]) for kind, *v in items):
        found.add("mask of nothing")
    advanced = [k for k, kind in enumerate(kinds) if kind in ("int", "array", "mask")]
    if advanced and len(advanced) <= advanced[-1] - advanced[0] and len(set(kinds) - {"int"}) > 1:
        found.add("integer and array apart" if "int" in kinds else "arrays apart")
    if len(items) > 1 and all(item[:3] == ["slice", None, None] for item in items):
        found.add("whole slices")
    if len(arrays) + kinds.count("mask") > 1:
        found.add("several arrays")
    used = sum(
        np.array(v[0]).ndim if k == "mask" else k in ("int", "slice", "array") for k, *v in items
    )
    if "ellipsis" not in kinds and used < len(shape):
        found.add("trailing axes left out")
    if value is not None and np.ndim(value) == 0:
        found.add("one value")
    if value is not None:
        selected = source(shape, "int64")[built(items, lambda a: a)]
        if selected.size == 0:
            found.add("nothing selected")
    return found


def sliced(shape: tuple[int, ...], items: list) -> list[tuple[int, list]]:
    """(length of the axis, item) of the slices."""
    found, axis = [], 0
    taken = sum(
        np.array(v[0]).ndim if k == "mask" else k in ("int", "slice", "array") for k, *v in items
    )
    for item in items:
        if item[0] == "ellipsis":
            axis += len(shape) - taken
        elif item[0] == "slice":
            found.append((shape[axis], item))
            axis += 1
        elif item[0] in ("int", "array", "mask"):
            axis += 1
    return found


def known_for(side: str, mode: str, found: set[str]) -> str | None:
    """The atlas entry of a known disagreement that covers the expression, if there is one."""
    for entry in read_json(KNOWN):
        if (
            entry["side"] == side
            and entry["mode"] in (mode, "both")
            and set(entry["tags"]) <= found
        ):
            return entry["entry"]
    return None


def agrees(expected: np.ndarray, found: np.ndarray | str) -> bool:
    """Same values and shape; Jittor's scalars have shape [1]."""
    if isinstance(found, str):
        return False
    shapes = [(1,) if a.shape == () else a.shape for a in (expected, found)]
    return shapes[0] == shapes[1] and np.array_equal(
        expected.reshape(shapes[0]), found.reshape(shapes[0])
    )


def written(items: list) -> str:
    """An expression as one would type it."""
    texts = []
    for kind, *values in items:
        if kind == "slice":
            start, stop, step = ("" if v is None else str(v) for v in values)
            texts.append(f"{start}:{stop}" + (f":{step}" if step else ""))
        elif kind in ("array", "mask"):
            texts.append(f"a({values[0]})")
        else:
            texts.append(
                {"int": str(*values), "none": "None", "ellipsis": "..."}[kind]
                if values or kind != "int"
                else ""
            )
    return ", ".join(texts)


def repro(side: str, shape: tuple[int, ...], dtype: str, items: list, value=None) -> str:
    """Three lines that show a disagreement."""
    head = {
        "torch": "import numpy as np, torch; a = lambda v: torch.from_numpy(np.array(v))",
        "jittor": "import numpy as np, jittor as jt; a = lambda v: jt.array(np.array(v))",
    }[side]
    make = f"x = a(np.arange({int(np.prod(shape))}).reshape({shape}).astype({dtype!r}))"
    if value is None:
        return f"{head}\n{make}\nprint(x[{written(items)}])"
    text = f"a({value.tolist()})" if isinstance(value, np.ndarray) else repr(value)
    return f"{head}\n{make}\nx[{written(items)}] = {text}; print(x)"
