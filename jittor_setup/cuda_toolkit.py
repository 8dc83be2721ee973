"""Finds an nvcc, and NVIDIA's wheels: what cuda_home.py makes a CUDA home of."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path


class CudaHomeError(ValueError):
    """No CUDA home can be made here; the message says what is missing and where it was looked for."""


@dataclass(frozen=True)
class Toolkit:
    """A real nvcc (cudafe++ beside it) and its version."""

    nvcc: Path
    version: tuple[int, int]

    @property
    def root(self) -> Path:
        return self.nvcc.parent.parent

    def includes(self) -> list[Path]:
        return _folders(
            self.root, ("include", "targets/x86_64-linux/include", "targets/sbsa-linux/include")
        )

    def libraries(self) -> list[Path]:
        return _folders(
            self.root, ("lib64", "lib", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib")
        )


def _folders(root: Path, names: Iterable[str]) -> list[Path]:
    return [root / name for name in names if (root / name).is_dir()]


def wheels(places: Iterable[str | Path] | None = None) -> list[Path]:
    """Folders of NVIDIA's wheels (site-packages/nvidia/cu13, .../cudnn, ...) with headers or libraries, each once."""
    if places is None:
        paths = sysconfig.get_paths()
        places = [paths["purelib"], paths["platlib"], *filter(None, sys.path)]
    found: dict[Path, None] = {}
    for place in places:
        for folder in sorted((Path(place) / "nvidia").glob("*")):
            if (folder / "include").is_dir() or (folder / "lib").is_dir():
                found[folder.resolve()] = None
    return list(found)


def find_toolkit(
    chosen: Path | None = None,
    environ: Mapping[str, str] | None = None,
    of_wheels: Iterable[Path] = (),
    prefer_wheels: bool = False,
) -> Toolkit:
    """In `chosen`, else CUDA_HOME or CUDA_PATH, /usr/local/cuda, the PATH, the wheels (first, if preferred).

    CudaHomeError lists where it was looked for.
    """
    environ = os.environ if environ is None else environ
    homes = [Path(environ[name]) for name in ("CUDA_HOME", "CUDA_PATH") if environ.get(name)]
    homes += [Path("/usr/local/cuda"), *sorted(Path("/usr/local").glob("cuda-*"), reverse=True)]
    on_path = shutil.which("nvcc", path=environ.get("PATH"))
    candidates = [home / "bin" / "nvcc" for home in homes] + ([Path(on_path)] if on_path else [])
    in_wheels = [folder / "bin" / "nvcc" for folder in of_wheels]
    candidates = in_wheels + candidates if prefer_wheels else candidates + in_wheels
    if chosen:
        candidates = [chosen / "bin" / "nvcc", chosen]
    for candidate in candidates:
        if candidate.is_file() and (candidate.resolve().parent / "cudafe++").is_file():
            nvcc = candidate.resolve()
            return Toolkit(nvcc, _version(nvcc))
    looked = ", ".join(dict.fromkeys(map(str, candidates)))
    raise CudaHomeError(
        f"no nvcc with cudafe++ beside it (looked at {looked}); install a CUDA toolkit, or for CUDA 13 "
        "pip install nvidia-cuda-nvcc nvidia-cuda-crt nvidia-nvvm nvidia-cuda-cccl nvidia-cuda-runtime"
    )


def _version(nvcc: Path) -> tuple[int, int]:
    if not os.access(nvcc, os.X_OK):  # wheels may lose the permission
        for tool in nvcc.parent.iterdir():
            if tool.is_file():
                tool.chmod(tool.stat().st_mode | 0o111)
    try:
        text = subprocess.run(
            [nvcc, "--version"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise CudaHomeError(f"{nvcc} does not run: {error}") from None
    found = re.search(r"release (\d+)\.(\d+)", text)
    if not found:
        raise CudaHomeError(f"{nvcc} --version names no release: {text.strip()[:80]}")
    return int(found[1]), int(found[2])


def of_major(folders: Iterable[Path], major: int) -> list[Path]:
    """Without the wheels of another CUDA: nvidia/cu13 is for 13 alone, nvidia/cudnn and such are for any."""
    return [f for f in folders if not (m := re.fullmatch(r"cu(\d+)", f.name)) or int(m[1]) == major]
