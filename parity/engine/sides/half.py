"""One half of a file with a pair (docs/pairs.md), built in its own process.

Before: parity/pair_file.py, what such a file may say; case.py reads it in the process that compares. imports.py and
pretrained.py surround the building.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

from parity.backends import base
from parity.case import Subject
from parity.engine.sides.imports import add_folders, check_stand_ins, imported
from parity.engine.sides.pretrained import DRAWN, pretrained
from parity.errors import InputError
from parity.pair_file import BOTH, HALVES, SUBJECT_FIELDS, loaded


def pair_side(path: str, half: str) -> Subject:
    """One half of a file with a pair, as a Subject."""
    file = Path(path)
    base.load(half)  # whose loads of weights are answered
    module = loaded(file, half)
    folders = per_half(module, "PATHS", half)
    add_folders([folders] if isinstance(folders, (str, Path)) else folders or (), file.parent)
    stand_ins, bare = (as_tuple(module, name, half) for name in ("STAND_INS", "WITHOUT_INIT"))
    check_stand_ins(stand_ins, half)
    build = builder(module, half)
    with pretrained(source(module, half, file.parent)):
        built = imported(build, stand_ins, bare)
    if built is None:
        raise InputError(
            f"{path}: {build.__name__}() gives nothing; return a module, a function or a Subject"
        )
    subject = built if isinstance(built, Subject) else Subject(built)
    if subject.model is not None and not hasattr(module, "inputs"):
        raise InputError(f"{path}: defines no function inputs (docs/pairs.md)")
    if half == "jittor":
        subject.name = subject.name or getattr(module, "jittor_name", None)
        subject.layout = subject.layout or getattr(module, "LAYOUT", {})
    for field, name in SUBJECT_FIELDS.items():
        setattr(subject, field, getattr(subject, field) or getattr(module, name, {}))
    subject.train_step = subject.train_step or getattr(module, f"{half}_step", None)
    if subject.batches is None:
        subject.batches = getattr(module, f"{half}_data", None)
    return subject


def builder(module: ModuleType, half: str) -> Callable:
    for name in (HALVES[half], BOTH):
        if callable(getattr(module, name, None)):
            return getattr(module, name)
    return Subject  # of data alone


def per_half(module: ModuleType, name: str, half: str):
    """What the file says under that name: the same for both halves, or by half."""
    value = getattr(module, name, None)
    if isinstance(value, Mapping) and value.keys() & HALVES.keys():
        odd = [key for key in value if key not in HALVES]
        if odd:
            raise InputError(f"{name}: {odd[0]!r} is no side; write {' and '.join(HALVES)}")
        return value.get(half)
    return value


def as_tuple(module: ModuleType, name: str, half: str) -> tuple[str, ...]:
    value = per_half(module, name, half) or ()
    return (value,) if isinstance(value, str) else tuple(value)


def source(module: ModuleType, half: str, folder: Path):
    """What pretrained weights are, with paths relative to the file."""
    value = per_half(module, "PRETRAINED", half) if hasattr(module, "PRETRAINED") else DRAWN

    def absolute(path):
        return path if path == DRAWN else folder / Path(path).expanduser()

    if value is None:
        return None
    if isinstance(value, Mapping):
        return {pattern: absolute(path) for pattern, path in value.items()}
    return absolute(value)
