"""What a run is: its checkpoint says so, and whoever goes on with it must be the same, or say in what not."""

from __future__ import annotations

import json
from pathlib import Path

from door.files import sha256_of
from neutral.config import Config, from_dict, to_dict
from neutral.data.coco import CocoDataset
from neutral.errors import InputError
from neutral.run.options import RunOptions

# differences in these make scores of before and after incomparable
SCORING = ("best_by", "val_images", "data.val")
# a longer run may continue a shorter one, and how large a picture may be changes nothing that is read
FREE = ("optimiser.epochs", "data.max_pixels")


def identity_of(session, datasets: dict[str, CocoDataset], options: RunOptions) -> dict:
    """By name: what must stay as it is, besides the configuration. `start` is None where nothing was asked for."""
    start = None
    if options.weights is not None:
        start = f"{options.weights.name}, sha256 {sha256_of(options.weights)[:12]}"
    elif options.perturb:
        start = f"initial values, perturbed {options.perturb}"
    return {
        "framework": session.describe()["framework"],
        "data.train": in_words(datasets["train"].fingerprint),
        "data.val": in_words(datasets["val"].fingerprint),
        "best_by": options.best_by,
        "max_steps": options.max_steps,
        "val_images": options.val_images,
        "start": start,
    }


def in_words(fingerprint: dict) -> str:
    counts = f"{fingerprint['images']} images, {fingerprint['objects']} objects"
    return f"{counts}, sha256 {fingerprint['sha256'][:12]}"


def differences(metadata: dict[str, str], config: Config, identity: dict) -> dict[str, tuple]:
    """(then, now) by name of what a run and the checkpoint with this metadata do not have in common.

    What is newer than the file has its default in its configuration, and is not compared in the rest.
    """
    theirs = to_dict(from_dict(json.loads(metadata["config"])))
    changed = compared(*(json.loads(json.dumps(c)) for c in (theirs, to_dict(config))))
    then = json.loads(metadata.get("run", "{}"))
    for name, now in identity.items():
        unasked = name == "start" and now is None
        if name in then and then[name] != now and not unasked:
            changed[name] = (then[name], now)
    return {name: values for name, values in changed.items() if name not in FREE}


def compared(theirs, ours, path: str = "") -> dict[str, tuple]:
    """(theirs, ours) by dotted name of the fields of two nested dictionaries that are not the same."""
    if not (isinstance(theirs, dict) and isinstance(ours, dict)):
        return {path: (theirs, ours)} if theirs != ours else {}
    found = {}
    for key in dict.fromkeys([*theirs, *ours]):
        found |= compared(theirs.get(key), ours.get(key), f"{path}.{key}".lstrip("."))
    return found


def flattened(fields: dict, path: str = "") -> dict:
    """The innermost fields of a nested dictionary by dotted name."""
    found = {}
    for key, value in fields.items():
        name = f"{path}.{key}".lstrip(".")
        found |= flattened(value, name) if isinstance(value, dict) else {name: value}
    return found


def check_accepted(options: RunOptions, config: Config, identity: dict) -> None:
    """InputError unless what is accepted can differ, of a run that goes on."""
    if options.resume_anyway and not options.resume:
        raise InputError("--resume-anyway goes with --resume")
    known = [*identity, *flattened(to_dict(config))]
    for name in options.resume_anyway:
        if name not in known:
            few = ", ".join(identity)
            raise InputError(
                f"--resume-anyway {name}: no such field; {few}, or one of the configuration's, as optimiser.lr"
            )


def accept(path: Path, changed: dict[str, tuple], accepted: tuple[str, ...]) -> list[str]:
    """What the log should say of the differences; InputError unless each is accepted."""
    told = [
        f"{name} ({as_text(old)} then, {as_text(new)} now)" for name, (old, new) in changed.items()
    ]
    refused = [name for name in changed if name not in accepted]
    if refused:
        flags = " ".join(f"--resume-anyway {name}" for name in changed)
        raise InputError(
            f"{path}: is of another run: {', '.join(told)}. Begin a new run in another --out (from these weights with "
            f"--weights), or go on knowingly with {flags}"
        )
    return [f"resumed, though different: {text}" for text in told]


def as_text(value) -> str:
    return "unset" if value is None else str(value)
