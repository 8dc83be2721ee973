"""What both sides of a finished train_pair run find in the same validation images."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from door.terminal import say
from neutral.processes import end, start
from parity.engine.values.scratch import scratch_folder
from scripts.common import FRAMEWORKS
from scripts.options import add_config_options, handed

CHECKPOINT, PICTURES = "checkpoint.safetensors", "pictures"


def draw_pictures(folder: Path, options: argparse.Namespace) -> None:
    """The first images of the validation split with what each side, as trained here, finds in them: both at once."""
    weights = {framework: folder / framework / CHECKPOINT for framework in FRAMEWORKS}
    if not all(path.exists() for path in weights.values()):
        return
    own = {"split": "val", "count": options.pictures}
    threads = max(1, (os.cpu_count() or 2) // len(weights))
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    running: dict[str, subprocess.Popen] = {}
    with scratch_folder("pictures") as files:
        try:
            for framework, path in weights.items():
                own |= {"framework": framework, "weights": path}
                own["out"] = folder / PICTURES / framework
                asked = handed(files / f"{framework}.json", options, add_config_options, **own)
                with (files / framework).open("w") as told:  # two displays at once would mix
                    streams = {"stdout": told, "stderr": subprocess.STDOUT} if running else {}
                    command = [sys.executable, "-m", "scripts.predict", *asked]
                    running[framework] = start(command, env=environment, **streams)
            for framework, process in running.items():
                code = process.wait()
                print((files / framework).read_text(), end="", flush=True)
                if code:
                    say(f"{framework}: no pictures; why is above", error=True)
        finally:
            end(list(running.values()))


def pictures_in(folder: Path) -> dict[str, list[Path]]:
    """By name, those that both sides have."""
    found = [{p.stem: p for p in (folder / PICTURES / f).glob("*.png")} for f in FRAMEWORKS]
    return {name: [f[name] for f in found] for name in sorted(found[0]) if name in found[1]}
