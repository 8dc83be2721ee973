"""What a file with a pair may say (docs/pairs.md): its names, and whether they are there and spelt right.

A Case is made of it in case.py; each half is built by engine/sides/half.py, in its own process.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType

from parity.errors import InputError
from parity.loading import load_file, refusing

BOTH = "both_sides"  # builds either half
HALVES = {"torch": "torch_side", "jittor": "jittor_side"}  # by backend what builds the half
DATA = ("torch_data", "jittor_data")
STEPS = ("torch_step", "jittor_step")
CASE_FIELDS = {  # of the Case, and what the file calls them
    "training": "TRAINING",
    "float64": "FLOAT64",
    "float32": "FLOAT32",
    "gradients": "GRADIENTS",
    "untrained": "UNTRAINED",
    "batches": "batches",
}
SUBJECT_FIELDS = {  # of its Subjects, where those say nothing
    "split": "SPLIT",
    "dropped": "DROPPED",
    "options": "OPTIMISER",
}
BY_HALF = ("PATHS", "STAND_INS", "WITHOUT_INIT")  # the same for both, or {half: its own}
NEAR = 0.85  # of difflib: GRADIENT is nearly GRADIENTS


def loaded(path: Path, half: str = "") -> ModuleType:
    """The file as a module, in the process of that half, or in the one that compares. Only Jittor's imports Jittor: it
    takes over the signals of its process, which would end with the first worker that is killed."""
    refused = contextlib.nullcontext() if half == "jittor" else refusing("jittor")
    with refused:
        return load_file(path)


def is_many(value) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))


def is_switch(value) -> bool:
    return isinstance(value, int) and value in (0, 1)


CALLS = {  # functions, and what they are called with
    **dict.fromkeys((BOTH, *HALVES.values(), "inputs", "targets", "batches"), ()),
    **dict.fromkeys(DATA, ("seed",)),
    **dict.fromkeys(STEPS, ("model", "batch", "step")),
    "weights": ("shapes",),
    "jittor_name": ("name",),
}
KINDS = (  # of what docs/pairs.md gives a meaning: names, whether a value may be theirs, what to write
    (
        tuple(name for name in CALLS if name != "batches"),
        callable,
        "def {}(...):",
    ),
    ((*SUBJECT_FIELDS.values(), "LAYOUT"), lambda x: isinstance(x, Mapping), "a dictionary"),
    (("FLOAT64", "FLOAT32", "GRADIENTS"), is_switch, "True or False"),
    (("TRAINING",), lambda x: x is None or is_switch(x), "True, False or None"),
    (
        ("UNTRAINED",),
        lambda x: isinstance(x, (tuple, list, set)) and all(isinstance(name, str) for name in x),
        "a tuple of names of inputs, each a text",
    ),
    (("batches",), lambda x: callable(x) or is_many(x), "a function, or a list of trees"),
    (
        BY_HALF,
        lambda x: isinstance(x, (str, Path, Mapping)) or is_many(x),
        "a tuple of them, or a dictionary by half",
    ),
    (("PRETRAINED",), lambda x: x is None or isinstance(x, (str, Path, Mapping)), "a file"),
)
NAMES = ("CASE", *(name for names, *_ in KINDS for name in names))


def defines(module: ModuleType, name: str) -> bool:
    """Whether the file has a function of that name."""
    return callable(getattr(module, name, None))


def takes(function: Callable, given: tuple[str, ...]) -> bool:
    """Whether it can be called with as many arguments, as far as Python knows."""
    try:
        inspect.signature(function).bind(*given)
    except TypeError:
        return False
    except ValueError:  # of what is not written in Python
        return True
    return True


def check_kinds(path: Path, module: ModuleType) -> None:
    """InputError for what would be ignored, or trip much later: `targets = (...)`, `DROPPED = ["a"]`."""
    for names, is_right, wanted in KINDS:
        for name in names:
            value = getattr(module, name, None)
            if name in vars(module) and not is_right(value):
                what = f"{name} is of type {type(value).__name__}"
                raise InputError(f"{path}: {what}; write {wanted.format(name)}")
    for name, given in CALLS.items():
        if defines(module, name) and not takes(getattr(module, name), given):
            wanted = f"{name}({', '.join(given)})"
            raise InputError(f"{path}: {name} is called as {wanted}; give it these parameters")
    for name in BY_HALF:
        value = getattr(module, name, ())
        for odd in value if isinstance(value, Mapping) else ():
            if odd not in HALVES:
                raise InputError(
                    f"{path}: {name}: {odd!r} is no half; write {' and '.join(HALVES)}"
                )
    for pattern, layout in getattr(module, "LAYOUT", {}).items():
        if not hasattr(layout, "to_own"):
            raise InputError(f"{path}: LAYOUT[{pattern!r}] is {layout!r}; write transposed(1, 0)")
    for whole, parts in getattr(module, "SPLIT", {}).items():
        if not is_many(parts) or not all(isinstance(part, str) for part in parts):
            raise InputError(f"{path}: SPLIT[{whole!r}] is {parts!r}; write a tuple of names")


def check_pair(path: Path, module: ModuleType) -> None:
    """InputError for a name nearly one of NAMES, which would be ignored, and for a required one that is missing."""
    for name, value in vars(module).items():
        is_own = getattr(value, "__module__", None) == module.__name__
        is_constant = name.isupper() or isinstance(value, bool)
        if name in NAMES or name.startswith("_") or not (is_own or is_constant):
            continue
        sought = name.upper() if is_constant else name
        near = [n for n in get_close_matches(sought, NAMES, cutoff=NEAR) if n not in vars(module)]
        if near:
            raise InputError(
                f"{path}: {name} means nothing here; is it {near[0]}? A name of your own may be called _{name}"
            )
    check_kinds(path, module)
    data_only = defines(module, BOTH) or all(defines(module, name) for name in DATA)
    needed = () if data_only else (*HALVES.values(), "inputs")
    missing = [name for name in needed if not defines(module, name)]
    if missing:
        raise InputError(f"{path}: defines no function {', '.join(missing)} (docs/pairs.md)")
