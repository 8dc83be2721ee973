"""The file that a GPU check writes after every step, and goes on from: OUT/check.json."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from door.files import read_json, write_json
from jittor_setup.environment import jittor_cache
from neutral.errors import InputError
from neutral.provenance import git_revision
from scripts.gpu.plan import ROOT, Step

NAME, FORMAT = "check.json", 2
DONE, FAILED, CUT, LEFT_OUT = "done", "failed", "time was up", "left out"


def place() -> str:
    """Names the cache of kernels, on this machine since it was started."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{boot.read_text().strip() if boot.exists() else ''} {jittor_cache()}"


class Results:
    """Records of steps by name, in a folder beside what the steps themselves have written."""

    def __init__(self, folder: Path, device: str, machine: dict, earlier: Path | None = None):
        """Goes on from what lies in `folder`, else from `earlier`. InputError when that is not to be gone on from."""
        self.folder, self.path = folder, folder / NAME
        source = self.path if self.path.exists() else earlier
        before = read_results(source, device) if source else {"steps": {}}
        folder.mkdir(parents=True, exist_ok=True)
        if source and source != self.path:
            self.take_over(results_file(source).parent, before["steps"])
        self.record = {
            "format": FORMAT,
            "device": device,
            "machine": machine,
            "revision": git_revision(ROOT),
            "steps": before["steps"],
        }
        self.write()

    def take_over(self, source: Path, steps: dict) -> None:
        """What those steps wrote, next to what is to come."""
        for name in steps:
            for path in source.glob(f"{name}*"):
                target = self.folder / path.name
                if path.is_dir() and not target.exists():
                    shutil.copytree(path, target)
                elif path.is_file() and not target.exists():
                    shutil.copy2(path, target)

    @property
    def steps(self) -> dict[str, dict]:
        return self.record["steps"]

    def done(self) -> set[str]:
        return {name for name, found in self.steps.items() if found["state"] == DONE}

    def compiled(self) -> set[str]:
        """Steps whose kernels are here, whatever they found."""
        ran = {name: found for name, found in self.steps.items() if found["state"] != LEFT_OUT}
        here = place()
        return {name for name, found in ran.items() if found.get("place") == here}

    def add(self, step: Step, found: dict) -> None:
        """Written at once. What a step in parts has found lies in a file of its own and is taken in."""
        parts = self.folder / f"{step.name}.json"
        found = found | {
            "revision": self.record["revision"],
            "machine": self.record["machine"],
            "place": place(),
            "finished": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        if parts.is_file():
            try:
                found["found"] = read_json(parts)
            except InputError as error:
                found["found"] = str(error)
        self.steps[step.name] = found
        self.write()

    def note(self, **what) -> None:
        self.record |= what
        self.write()

    def write(self) -> None:
        write_json(self.path, self.record)


def results_file(path: Path) -> Path:
    return path / NAME if path.is_dir() else path


def read_results(path: Path, device: str) -> dict:
    """An earlier check's file, or the folder that holds it; InputError tells what is wrong with it."""
    file = results_file(path)
    content = read_json(file)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(
            f"{file}: not the results of a GPU check (format {FORMAT}); give another --resume-from"
        )
    steps = content.get("steps")
    sound = isinstance(steps, dict) and all(
        isinstance(found, dict) and found.get("state") in (DONE, FAILED, CUT, LEFT_OUT)
        for found in steps.values()
    )
    if not sound:
        raise InputError(f"{file}: its steps cannot be read; give another --resume-from")
    if content.get("device") != device:
        raise InputError(
            f"{file}: was made with --device {content.get('device')}, this is --device {device}; give another --out"
        )
    return content
