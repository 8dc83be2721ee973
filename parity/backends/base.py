"""The contract between the harness and a framework: a module of this package has all of these functions.

`like` arguments give the dtype of new tensors. A tensor is whatever the framework calls one. Adding a framework means
writing this module for it; what it sees of choices and branches stands beside it, in *_watching.py, how weights come in
in *_loading.py. Of the harness only the atlas, which asks both what code means, imports a framework besides.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Protocol

import numpy as np

from parity.errors import InputError

NAMES = ("torch", "jittor")


class Backend(Protocol):
    """A module with these functions, its NAME, and `nn`: where its framework has the class Module and its layers."""

    NAME: str
    nn: ModuleType

    # the process

    def configure(self, device: str, dtype: str) -> None:
        """Device ("cpu", "cuda"), default dtype ("float32", "float64"), TF32 off; InputError without the device."""

    def widen(self, on: bool) -> None:
        """From now on code that asks for float32 gets float64; no longer, unless `on`."""

    def describe(self) -> dict:
        """Versions, and the switches that change what numbers mean (see engine/ask/environment.py)."""

    def vary(self, variant: str) -> None:
        """Another order of summation, to measure noise; "again" is the usual one."""

    def memory_in_use(self) -> float:
        """MiB that tensors take on the GPU, or that the process takes without one."""

    # tensors

    def is_tensor(self, value) -> bool: ...

    def array(self, values: np.ndarray, like=None):
        """NumPy to a tensor on the configured device; floats in the dtype of `like` where it is given."""

    def to_numpy(self, tensor) -> np.ndarray:
        """An array of its own, same shape and dtype."""

    def scalar(self, value: float, like):
        """A number that takes part in arithmetic with `like` at the precision of `like`."""

    def where(self, condition, a, b): ...

    def frozen(self, tensor):
        """`tensor` as a constant: no gradient flows to it."""

    def identity(self, tensor):
        """A tensor of its own with these values; gradients pass."""

    def finish(self, tensors: list) -> None:
        """Waits until these are computed."""

    def read_file(self, path):
        """What a file of the framework's own (torch.save, jt.save) holds."""

    # gradients

    def is_differentiable(self, tensor) -> bool:
        """Whether a gradient can be asked for there."""

    def set_trainable(self, tensors: Mapping, names: set[str]) -> None:
        """Gradients flow to the named tensors and to no other."""

    def vjp(self, outputs: list, cotangents: list, tensors: list, keep: bool = False) -> list:
        """d (sum of outputs times cotangents) / d each; a cotangent None stands for 1. None or zeros where there is
        no dependence. keep: the graph may be asked again."""

    def no_grad(self): ...

    def step(self, optimiser, loss) -> None:
        """One step of the framework's own optimiser for this loss, gradients cleared before."""

    # modules

    def named_modules(self, model) -> dict:
        """The model under "" and every module below it by name, a framework layer's private parts left out."""

    def named_tensors(self, model) -> dict:
        """Every parameter and buffer by name, live."""

    def is_training(self, module) -> bool:
        """The module's own mode."""

    def watching_gradients(self, tensors: Mapping):
        """Context manager that gives a dictionary: L2 norms by name of the gradients that backward passes inside of it
        find for these tensors, added up."""

    def watching_updates(self, note: Callable):
        """Context manager: note(optimiser) before each update that one of the framework's optimisers makes inside."""

    def set_mode(self, model, training: bool) -> None: ...

    def update(self, tensor, value) -> None:
        """Writes `value`, a tensor of any float dtype, into a parameter or buffer, which stays what it was."""

    def surround(self, module, around: Callable) -> Callable[[], None]:
        """Replaces what a call of `module` runs by around(what it ran before); returns what undoes it."""

    def watching(self, choices):
        """Context manager: inside, what chooses (see engine/sides/choices.py) goes through `choices`."""

    def watching_branches(self, branches):
        """Context manager: inside, comparisons, clamps, maxima and masks that the user's own code calls go through
        `branches` (see engine/sides/branches.py)."""

    def steady_norms(self):
        """Context manager: inside, norms of the framework's own that lose digits by the way in which they take the
        variance do not; gives a list that gets the names of those that are called."""

    def stood_in(self) -> list[str]:
        """Names of the framework's functions in whose place others computed since this was asked last, as its own go
        over to float32 in float64 runs."""

    # weights of the user's own (in *_loading.py)

    def answering(self, loads):
        """Context manager: inside, `loads` (engine/sides/pretrained.py) answers loads of weights that are not there."""

    def known_shapes(self, name: str) -> dict[str, tuple[int, ...]]:
        """Of the framework's own classifier of that name, by name; {} where there is none."""


def load(name: str) -> Backend:
    """The backend of that name; imports its framework."""
    if name not in NAMES:
        raise InputError(f"backend {name!r}: there are {' and '.join(NAMES)}")
    gc.disable()  # a seventh of the time of PyTorch's import would go into collections
    try:
        return importlib.import_module(f"parity.backends.{name}")
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        told = f"{name} is not installed for {sys.executable}: pip install {name}"
        raise ModuleNotFoundError(told, name=name) from None
    finally:
        gc.enable()


def loaded() -> list[Backend]:
    """The backends that this process has imported."""
    return [load(name) for name in NAMES if f"parity.backends.{name}" in sys.modules]
