"""A checkpoint of the reference's, as the weights of a pair: `weights(shapes)` of its file returns checkpoint(...).

Before: judge/weights.py. What a half loads by itself is pretrained.py's.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from parity.backends import base
from parity.engine.judge.weights import drawn_weights
from parity.engine.values.mapped import MappedTensors
from parity.errors import InputError

# under which a file keeps its weights, the first that is there
INSIDE = ("state_dict", "model_state_dict", "model", "ema_state_dict", "ema", "module", "net")


def checkpoint(
    path: Path | str, shapes: Mapping[str, tuple[int, ...]], *, draw_missing: bool = False
) -> dict[str, np.ndarray]:
    """float32 arrays by the names of `shapes`, from .pth, .pt, .pkl, .safetensors or .npz.

    The weights may lie inside ("state_dict", "model", "ema" ...), their names begin with "module.". InputError when a
    name is missing (`draw_missing` draws it instead) or has another shape. What the file has besides is left out.
    """
    path = Path(path).expanduser()
    found = unwrapped(read(path))
    missing = [name for name in shapes if name not in found]
    if missing and not draw_missing:
        raise InputError(
            f"{path}: lacks {len(missing)} of {len(shapes)} weights, {', '.join(missing[:3])}; it has "
            f"{', '.join(list(found)[:3]) or 'none'}; give draw_missing=True to draw what is missing"
        )
    drawn = drawn_weights({name: shapes[name] for name in missing})
    for name in shapes:
        if name in found and found[name].shape != tuple(shapes[name]):
            raise InputError(
                f"{path}: {name} has shape {found[name].shape}, the reference {tuple(shapes[name])}"
            )
    return {n: drawn[n] if n in drawn else found[n].astype(np.float32) for n in shapes}


def read(path: Path, backend: base.Backend | None = None) -> Mapping:
    """What the file holds, its tensors as arrays; `backend`: whose loader, any that is installed when not given."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        if path.suffix == ".safetensors":
            return dict(MappedTensors(path))
        if path.suffix == ".npz":
            return dict(np.load(path))
        if backend is None:
            backend = base.load(next(n for n in base.NAMES if importlib.util.find_spec(n)))
        found = backend.read_file(path)
    except InputError:
        raise
    except Exception as error:
        text = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise InputError(f"{path}: cannot be read as weights ({text})") from error

    def as_arrays(value):
        if isinstance(value, Mapping):
            return {str(k): as_arrays(v) for k, v in value.items()}
        return backend.to_numpy(value) if backend.is_tensor(value) else value

    return as_arrays(found)


def unwrapped(found) -> dict[str, np.ndarray]:
    """The arrays by name, wherever in the file they are."""
    while isinstance(found, Mapping):
        inside = next((k for k in INSIDE if isinstance(found.get(k), Mapping)), None)
        arrays = {k: v for k, v in found.items() if isinstance(v, np.ndarray)}
        if inside is None or len(arrays) > len(found) / 2:
            if arrays and all(name.startswith("module.") for name in arrays):
                arrays = {name.removeprefix("module."): x for name, x in arrays.items()}
            return arrays
        found = found[inside]
    return {}
