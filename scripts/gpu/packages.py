"""What this project needs beside PyTorch: `python -m scripts.gpu.packages` prints NAME==VERSION, a line each.

The packages that pyproject.toml names for a clone, and theirs in turn, as they are installed here; not what comes with
torch and torchvision, nor NumPy and SciPy. Jittor is among them only with --jittor: it has no wheel to download.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from importlib import metadata

import tomllib
from packaging.requirements import Requirement

from neutral.errors import InputError
from scripts.common import run_main
from scripts.gpu.plan import ROOT

THERE = ("torch", "torchvision", "numpy", "scipy")
EXTRAS = ("pytest", "repository")
# oneDNN computes on the CPU; the others serve tensorboard's pages, while here only its files are written
NOT_NEEDED = ("onednn-cpu-gomp", "onednn-devel-cpu-gomp", "grpcio", "tensorboard-data-server")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(names: Iterable[str]) -> dict[str, str]:
    """Versions of packages and of all that they require, by name; InputError names one that is not installed."""
    found: dict[str, str] = {}
    todo = list(names)
    while todo:
        name = canonical(todo.pop())
        if name in found or name in NOT_NEEDED:
            continue
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            raise InputError(
                f"{name} is not installed here: pip install -e '.[repository]'"
            ) from None
        found[name] = distribution.version
        requirements = map(Requirement, distribution.requires or ())
        todo += [r.name for r in requirements if not r.marker or r.marker.evaluate({"extra": ""})]
    return found


def named() -> list[str]:
    """What pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    texts = [*project["dependencies"], *(text for extra in EXTRAS for text in optional[extra])]
    texts += [text for text in optional["jittor"] if text.startswith("jittor")]
    return [name for text in texts if (name := Requirement(text).name) != project["name"]]


def to_carry(more: Iterable[str] = ()) -> dict[str, str]:
    """Versions by name; `more`: what the machine has, too, and what that requires."""
    there = closure([*THERE, *more])
    return {name: v for name, v in sorted(closure(named()).items()) if name not in there}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jittor", action="store_true", help="Jittor alone")
    parser.add_argument("--there", nargs="*", default=[], help="packages that need not be carried")
    options = parser.parse_args()
    for name, version in to_carry(options.there).items():
        if (name == "jittor") == options.jittor:
            print(f"{name}=={version}")


if __name__ == "__main__":
    run_main(main)
