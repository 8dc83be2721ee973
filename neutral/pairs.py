"""A pair of modules that somebody wants compared: a Python file with a few names in it (docs/pairs.md).

torch() and jittor() build the two modules, each in its own process, so each imports its framework inside.
inputs() gives the arguments of both, a tuple of NumPy arrays or a dictionary of them by argument name. What
may be left out:

weights(shapes)     float32 arrays by name, shapes by name given; otherwise drawn by name, see golden_weights
jittor_name(name)   PyTorch's name of a parameter or module that Jittor's side calls `name`
TRAINING            True: batch statistics are computed, not the stored ones used (default False)
OPTIMISER           fields of config.OptimiserConfig for the training steps, as {"kind": "sgd", "lr": 0.1}
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np

from neutral.errors import InputError

Inputs = tuple[np.ndarray, ...] | dict[str, np.ndarray]
REQUIRED = ("torch", "jittor", "inputs")


@dataclass(frozen=True)
class ModulePair:
    path: Path
    builders: dict[str, Callable]
    make_inputs: Callable[[], Inputs]
    make_weights: Callable | None = None
    jittor_name: Callable[[str], str] | None = None
    training: bool = False
    optimiser: dict = field(default_factory=dict)

    def build(self, framework: str):
        return self.builders[framework]()

    def rename(self, framework: str, name: str) -> str:
        return self.jittor_name(name) if framework == "jittor" and self.jittor_name else name

    def inputs(self) -> Inputs:
        """InputError unless they are arrays."""
        found = self.make_inputs()
        arrays = found.values() if isinstance(found, dict) else found
        if not isinstance(found, (tuple, dict)) or not all(
            isinstance(x, np.ndarray) for x in arrays
        ):
            raise InputError(
                f"{self.path}: inputs() must return a tuple of NumPy arrays, or a dictionary of them by argument name"
            )
        return found


def load_pair(path: Path | str) -> ModulePair:
    """Runs the file; InputError when it is missing, fails, or lacks a required name."""
    path = Path(path).resolve()
    if not path.is_file():
        raise InputError(f"{path}: no such pair; write one as docs/pairs.md shows")
    module = _run(path)
    missing = [name for name in REQUIRED if not callable(getattr(module, name, None))]
    if missing:
        raise InputError(f"{path}: defines no function {', '.join(missing)} (docs/pairs.md)")
    return ModulePair(
        path,
        {name: getattr(module, name) for name in ("torch", "jittor")},
        module.inputs,
        getattr(module, "weights", None),
        getattr(module, "jittor_name", None),
        getattr(module, "TRAINING", False),
        getattr(module, "OPTIMISER", {}),
    )


def _run(path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(f"pair_{path.stem}", path)
    module = importlib.util.module_from_spec(specification)
    folder = str(path.parent)  # the file may import its neighbours
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"{path}: cannot be run: {type(error).__name__}: {error}") from error
    return module
