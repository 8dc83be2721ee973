"""Checkpoints of a run: everything that it needs to go on, the best weights apart, and the last few epochs.

checkpoint.safetensors is the newest. With `keep`, checkpoint-epoch-0003.safetensors and so on are those of the last
epochs; best.safetensors holds the weights (no training state) that scored best, as a file of its own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from door import schema
from neutral.config import Config, from_dict, to_dict
from neutral.data.categories import Categories
from neutral.errors import InputError
from neutral.files import remove_unfinished, replacing
from neutral.weights import CATEGORIES, load_file, save_weights

NUMBERED = re.compile(r"checkpoint-epoch-(\d+)\.safetensors")


@dataclass
class Place:
    """Where a run is: the epoch, the batches of it that are done with their losses and links, and all steps so far.

    best, best_epoch: the best score so far (a greater one is better) and whose it was.
    """

    epoch: int = 0
    step: int = 0
    losses: list[dict] = field(default_factory=list)
    links: list[dict] = field(default_factory=list)
    chain: str = ""
    seconds: float = 0.0
    best: float | None = None
    best_epoch: int | None = None

    def next_epoch(self) -> Place:
        return Place(
            self.epoch + 1,
            self.step,
            chain=self.chain,
            best=self.best,
            best_epoch=self.best_epoch,
        )


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints in a run's folder. `categories`: what it is trained on, which every file carries."""

    folder: Path
    keep: int = 0
    categories: Categories | None = None

    @property
    def carried(self) -> dict[str, str]:
        return {CATEGORIES: self.categories.to_text()} if self.categories else {}

    @property
    def newest(self) -> Path:
        return self.folder / "checkpoint.safetensors"

    @property
    def best(self) -> Path:
        return self.folder / "best.safetensors"

    def clear_unfinished(self) -> None:
        for path in (self.newest, self.best):
            remove_unfinished(path)

    def save(self, session, config: Config, place: Place) -> None:
        """Weights under their canonical names, optimiser moments under optimiser/..., the place in metadata."""
        moments, updates = session.optimiser_state()
        arrays = session.state() | {f"optimiser/{k}": v for k, v in moments.items()}
        metadata = {
            "epoch": str(place.epoch),
            "place": json.dumps(asdict(place)),
            "updates": str(updates),
            "config": json.dumps(to_dict(config)),
        }
        save_weights(self.newest, arrays, metadata | self.carried)

    def save_best(self, session, config: Config, place: Place, name: str) -> None:
        """The weights that are evaluated, running averages where these are asked for."""
        with session.averaged():
            metadata = {"epoch": str(place.epoch), name: str(place.best)} | self.carried
            save_weights(
                self.best, session.state(), metadata | {"config": json.dumps(to_dict(config))}
            )

    def number(self, epoch: int) -> None:
        """Keeps the newest under the number of its last epoch, too, and drops those before the last `keep`."""
        if not self.keep:
            return
        numbered = self.folder / f"checkpoint-epoch-{epoch:04d}.safetensors"
        with replacing(numbered) as temporary:
            temporary.unlink()
            try:  # a second name costs nothing; the newest is replaced, never changed
                os.link(self.newest, temporary)
            except OSError:
                shutil.copyfile(self.newest, temporary)
        for path in self.folder.glob("checkpoint-epoch-*.safetensors"):
            found = NUMBERED.fullmatch(path.name)
            if found and not epoch - self.keep < int(found[1]) <= epoch:
                path.unlink()

    def load(self, session, config: Config) -> Place:
        """Puts the session where the newest left it; returns the place.

        InputError when the configuration is not the one it was written with.
        """
        arrays, metadata = load_file(self.newest)
        if "place" not in metadata:
            raise InputError(
                f"{self.newest}: holds weights but no training state; start from it with --weights instead"
            )
        theirs = self.told(metadata, "config", dict[str, Any])
        updates = self.told(metadata, "updates", Annotated[int, Meta(ge=0)])
        place = self.told(metadata, "place", Place)
        check_config(self.newest, theirs, config)
        session.load({k: v for k, v in arrays.items() if not k.startswith("optimiser/")})
        moments = {
            k.removeprefix("optimiser/"): v for k, v in arrays.items() if k.startswith("optimiser/")
        }
        self.check_moments(moments, session)
        session.load_optimiser(moments, updates)
        return place

    def told(self, metadata: dict[str, str], key: str, shape):
        """What the newest's metadata say under `key`; InputError when it is not there, or damaged."""
        if key not in metadata:
            raise InputError(
                f"{self.newest}: its metadata lack {key!r}: it is damaged; resume from another"
            )
        return schema.parse(metadata[key], shape, f"{self.newest}: its metadata: {key}")

    def check_moments(self, moments: dict, session) -> None:
        """InputError unless the optimiser's state is of the shapes and types that the session has."""
        wanted = session.optimiser_state()[0]
        for name in dict.fromkeys([*wanted, *moments]):
            ours, theirs = wanted.get(name), moments.get(name)
            if ours is None or theirs is None:
                where = "does not have" if theirs is None else "has, and this run not,"
                raise InputError(f"{self.newest}: {where} optimiser/{name}; it cannot be resumed")
            if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
                raise InputError(
                    f"{self.newest}: optimiser/{name} is {theirs.dtype} {theirs.shape}, "
                    f"wanted {ours.dtype} {ours.shape}"
                )

    def load_best(self, session) -> None:
        """The best weights so far, with the optimiser's state as it is."""
        session.load(load_file(self.best)[0])


def check_config(path: Path, theirs: dict, config: Config) -> None:
    """InputError names the fields that differ, epochs excepted: a longer run may continue a shorter one.

    Fields that are newer than the file have their defaults in it.
    """
    ours, theirs = (json.loads(json.dumps(to_dict(c))) for c in (config, from_dict(theirs)))
    theirs["optimiser"]["epochs"] = ours["optimiser"]["epochs"]
    changed = [
        f"{name} ({old} then, {new} now)"
        for name, old, new in differing(theirs, ours)
        if old != new
    ]
    if changed:
        raise InputError(
            f"{path}: was written with another configuration: {', '.join(changed)}; it cannot be resumed. "
            "Begin a new run from its weights with --weights"
        )


def differing(theirs, ours, path: str = "") -> list[tuple]:
    """(name, old, new) of the fields of two nested dictionaries that are not the same."""
    if not (isinstance(theirs, dict) and isinstance(ours, dict)):
        return [(path, theirs, ours)] if theirs != ours else []
    found = []
    for key in dict.fromkeys([*theirs, *ours]):
        found += differing(theirs.get(key), ours.get(key), f"{path}.{key}".lstrip("."))
    return found
