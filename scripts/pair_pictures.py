"""What both sides of a finished train_pair run find in the same validation images."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from door.terminal import say
from neutral.processes import call
from parity.engine.values.scratch import scratch_folder
from scripts.common import FRAMEWORKS
from scripts.options import add_config_options, handed

CHECKPOINT, PICTURES = "checkpoint.safetensors", "pictures"


def draw_pictures(folder: Path, options: argparse.Namespace) -> None:
    """The first images of the validation split with what each side, as trained here, finds in them."""
    own = {"split": "val", "count": options.pictures}
    with scratch_folder("pictures") as files:
        for framework in FRAMEWORKS:
            weights = folder / framework / CHECKPOINT
            if not weights.exists():
                return
            out = folder / PICTURES / framework
            own |= {"framework": framework, "weights": weights, "out": out}
            asked = handed(files / f"{framework}.json", options, add_config_options, **own)
            if call([sys.executable, "-m", "scripts.predict", *asked]):
                say(f"{framework}: no pictures; why is above", error=True)
                return


def pictures_in(folder: Path) -> dict[str, list[Path]]:
    """By name, those that both sides have."""
    found = [{p.stem: p for p in (folder / PICTURES / f).glob("*.png")} for f in FRAMEWORKS]
    return {name: [f[name] for f in found] for name in sorted(found[0]) if name in found[1]}
