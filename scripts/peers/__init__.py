"""The systems that scripts/bench_peers measures: both sides of ours, and the public implementations of the same models.

Nothing here imports a framework; the modules that do (ours.py, huggingface.py, torchvision_rcnn.py) are imported
in the worker processes alone.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from neutral.errors import InputError


@dataclass(frozen=True)
class System:
    """`module` has a class Model (worker.py says what it can); `presets`: those that it implements, () for all.

    `needs`: packages beside the project's own; `naming`: whose names its weights have, see neutral/weights.
    """

    name: str
    label: str
    module: str
    presets: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    naming: str = "detector-parity"


SYSTEMS = {
    system.name: system
    for system in (
        System("torch", "ours, PyTorch", "scripts.peers.ours"),
        System("jittor", "ours, Jittor", "scripts.peers.ours"),
        System(
            "huggingface",
            "Hugging Face",
            "scripts.peers.huggingface",
            ("detr_r50", "detr_r101"),
            ("transformers", "torchvision"),
            "Hugging Face DETR",
        ),
        System(
            "torchvision",
            "torchvision",
            "scripts.peers.torchvision_rcnn",
            ("torchvision_r50_fpn",),
            ("torchvision",),
            "torchvision Faster R-CNN",
        ),
    )
}


def systems_of(preset: str, chosen: list[str] | None = None) -> list[System]:
    """Those that implement a preset, of the chosen ones; InputError on a name that is none."""
    unknown = [name for name in chosen or () if name not in SYSTEMS]
    if unknown:
        raise InputError(f"no system {unknown[0]!r}: choose among {', '.join(SYSTEMS)}")
    return [
        system
        for name, system in SYSTEMS.items()
        if (not system.presets or preset in system.presets) and (not chosen or name in chosen)
    ]


def check_installed(systems: list[System]) -> None:
    """InputError names the package that a system needs and that is not there."""
    for system in systems:
        for package in system.needs:
            if importlib.util.find_spec(package) is None:
                raise InputError(
                    f"{system.label} needs {package}, which is not installed: pip install "
                    f"'.[bench]', or leave it out with --systems"
                )
