"""What predict's files are called, and that they are written over nobody's."""

from __future__ import annotations

from pathlib import Path

from door.files import read_json
from neutral.errors import InputError
from neutral.files import check_ours
from neutral.pictures import is_ours

RESULTS = "detections.json"
NAME_BYTES = 200  # of a picture's name; file systems have room for 255


def apart(files: list[Path], views: list[str]) -> list[str]:
    """A name for the pictures of each file: its own without the ending, with -2 and so on where that is taken."""
    taken: set[str] = set()
    found = []
    for file in files:
        stem = file.stem.encode()[:NAME_BYTES].decode(errors="ignore")
        for name in (stem, *(f"{stem}-{k}" for k in range(2, len(files) + 2))):
            written = {output.casefold() for output in outputs_of(name, views)}
            if not written & taken:
                taken |= written
                found.append(name)
                break
    return found


def outputs_of(name: str, views: list[str]) -> list[str]:
    """The files that may be written for a picture of this name."""
    return [f"{name}{part}.png" for part in ("", "-panoptic", *(f"-{view}" for view in views))]


def check_outputs(folder: Path, files: dict[str, Path], views: list[str]) -> None:
    """InputError when a file in `folder` that is not predict's would be written over. `files` by pictures' names."""
    for file in files.values():
        if file.resolve().parent == folder.resolve():
            raise InputError(
                f"--out {folder}: is the folder of {file.name}, one of the images; choose another"
            )
    check_ours(folder / RESULTS, are_ours)
    for name in (name for picture in files for name in outputs_of(picture, views)):
        check_ours(folder / name, is_ours)


def are_ours(results: Path) -> bool:
    """Whether a file of detections is one that predict wrote."""
    try:
        records = read_json(results)
    except InputError:
        return False
    return isinstance(records, list) and all(
        isinstance(r, dict) and "picture" in r for r in records
    )
