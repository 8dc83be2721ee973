"""What a file with a pair may say (docs/pairs.md): its names, and whether they are there and spelt right.

A Case is made of it in case.py; each half is built by engine/sides/half.py, in its own process.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from types import ModuleType

from parity.errors import InputError

BOTH = "both_sides"  # builds either half
HALVES = {"torch": "torch_side", "jittor": "jittor_side"}  # by backend what builds the half
DATA = ("torch_data", "jittor_data")
CASE_FIELDS = {  # of the Case, and what the file calls them
    "training": "TRAINING",
    "float64": "FLOAT64",
    "float32": "FLOAT32",
    "gradients": "GRADIENTS",
    "batches": "batches",
}
SUBJECT_FIELDS = {  # of its Subjects, where those say nothing
    "split": "SPLIT",
    "dropped": "DROPPED",
    "options": "OPTIMISER",
}
NAMES = (  # all that docs/pairs.md gives a meaning
    *(BOTH, *HALVES.values(), *DATA, "torch_step", "jittor_step", "CASE"),
    *(*CASE_FIELDS.values(), *SUBJECT_FIELDS.values(), "jittor_name", "LAYOUT"),
    *("inputs", "targets", "weights", "PATHS", "PRETRAINED", "STAND_INS", "WITHOUT_INIT"),
)
NEAR = 0.85  # of difflib: GRADIENT is nearly GRADIENTS


def defines(module: ModuleType, name: str) -> bool:
    """Whether the file has a function of that name."""
    return callable(getattr(module, name, None))


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
    data_only = defines(module, BOTH) or all(defines(module, name) for name in DATA)
    needed = () if data_only else (*HALVES.values(), "inputs")
    missing = [name for name in needed if not defines(module, name)]
    if missing:
        raise InputError(f"{path}: defines no function {', '.join(missing)} (docs/pairs.md)")
