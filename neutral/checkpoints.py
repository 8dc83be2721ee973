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
from typing import Annotated, Any, TypedDict

from msgspec import Meta

from door import schema
from door.files import replacing
from neutral.config import Config, to_dict
from neutral.data.categories import Categories
from neutral.errors import InputError
from neutral.weights import CATEGORIES, load_file, save_weights

NUMBERED = re.compile(r"checkpoint-epoch-(\d+)\.safetensors")
UPDATES = Annotated[int, Meta(ge=0)]
MOMENTS = "optimiser/"  # how names of the optimiser's state begin


@dataclass
class Place:
    """Where a run is: the epoch, the batches of it that are done with their losses and links, and all steps so far.

    done: how many batches of it each of so many `ranks` has done; -1: as many as there are losses. `step` counts them
    over all epochs. best, best_epoch: the best score so far (a greater one is better) and whose it was.
    """

    epoch: int = 0
    step: int = 0
    losses: list[dict] = field(default_factory=list)
    links: list[dict] = field(default_factory=list)
    chain: str = ""
    seconds: float = 0.0
    best: float | None = None
    best_epoch: int | None = None
    done: int = -1
    ranks: int = 1

    def __post_init__(self):
        if self.done < 0:
            self.done = len(self.losses)

    def next_epoch(self) -> Place:
        return Place(
            self.epoch + 1,
            self.step,
            chain=self.chain,
            ranks=self.ranks,
            best=self.best,
            best_epoch=self.best_epoch,
        )


class Begun(TypedDict):
    """What a place must say: nothing of it may be left to a default."""

    epoch: int
    step: int


@dataclass
class Checkpoints:
    """The checkpoints in a run's folder. `categories`: what it is trained on, which every file carries."""

    folder: Path
    keep: int = 0
    categories: Categories | None = None
    run: dict = field(default_factory=dict)  # what the run is, see run/identity.py

    @property
    def carried(self) -> dict[str, str]:
        return {CATEGORIES: self.categories.to_text()} if self.categories else {}

    @property
    def newest(self) -> Path:
        return self.folder / "checkpoint.safetensors"

    @property
    def best(self) -> Path:
        return self.folder / "best.safetensors"

    def numbered(self) -> dict[Path, int]:
        """The kept checkpoints of epochs, and whose they are."""
        found = ((p, NUMBERED.fullmatch(p.name)) for p in self.folder.glob("checkpoint-epoch-*"))
        return {path: int(match[1]) for path, match in found if match}

    def save(self, session, config: Config, place: Place) -> None:
        """Weights under their canonical names, optimiser moments under optimiser/..., the place in metadata."""
        moments, updates = session.optimiser_state()
        arrays = session.state() | {MOMENTS + k: v for k, v in moments.items()}
        metadata = {
            "epoch": str(place.epoch),
            "place": json.dumps(asdict(place)),
            "updates": str(updates),
            "config": json.dumps(to_dict(config)),
            "run": json.dumps(self.run),
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
        for path, of in self.numbered().items():
            if not epoch - self.keep < of <= epoch:
                path.unlink()

    def read(self) -> tuple[dict, dict[str, str]]:
        """Arrays and metadata of the newest; InputError when it is no checkpoint of a run."""
        arrays, metadata = load_file(self.newest)
        if "place" not in metadata:
            raise InputError(
                f"{self.newest}: holds weights but no training state; start from it with --weights instead"
            )
        self.told(metadata, "place", Begun)
        self.told(metadata, "place", Place)
        self.told(metadata, "updates", UPDATES)
        self.told(metadata, "config", dict[str, Any])
        if "run" in metadata:
            self.told(metadata, "run", dict[str, Any])
        return arrays, metadata

    def load(self, session, arrays: dict, metadata: dict[str, str]) -> Place:
        """Puts the session where the newest, which `read` gave, left it; returns the place."""
        session.load({k: v for k, v in arrays.items() if not k.startswith(MOMENTS)})
        moments = {k.removeprefix(MOMENTS): v for k, v in arrays.items() if k.startswith(MOMENTS)}
        self.check_moments(moments, session)
        session.load_optimiser(moments, self.told(metadata, "updates", UPDATES))
        return self.told(metadata, "place", Place)

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
                raise InputError(
                    f"{self.newest}: {where} optimiser/{name}: its optimiser's state is another one's; "
                    "optimiser.kind and optimiser.ema_decay cannot change within a run"
                )
            if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
                raise InputError(
                    f"{self.newest}: optimiser/{name} is {theirs.dtype} {theirs.shape}, "
                    f"wanted {ours.dtype} {ours.shape}"
                )

    def load_best(self, session) -> None:
        """The best weights so far, with the optimiser's state as it is."""
        session.load(load_file(self.best)[0])
