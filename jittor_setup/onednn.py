"""oneDNN from pip's packages, put where Jittor 1.3 looks for the one that it would download."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from importlib import metadata
from pathlib import Path

PACKAGES = ("onednn-cpu-gomp", "onednn-devel-cpu-gomp")
FOLDER = "dnnl_lnx_2.2.0_cpu_gomp"  # the name Jittor 1.3 looks for


def is_there(folder: Path) -> bool:
    return (folder / "lib" / "libmkldnn.so").is_file() and (
        folder / "include" / "dnnl.hpp"
    ).is_file()


def install(cache: Path) -> bool:
    """Copies oneDNN from the pip packages to where Jittor looks for it; True when it is there.

    A copy and not a link: the cache is shared by every environment of the user, and a link would
    break all of them when this environment is deleted. Written beside and renamed, so that two
    processes starting together cannot see half of it.
    """
    target = cache / "mkl" / FOLDER
    if is_there(target):
        return True
    wanted = packaged()
    names = {relative.name for relative in wanted.values()}
    if not {"libmkldnn.so", "dnnl.hpp"} <= names:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=target.parent))
    try:
        for source, relative in wanted.items():
            (staging / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, staging / relative)
        if target.is_symlink() or target.exists():
            stale = Path(tempfile.mkdtemp(prefix=".stale-", dir=target.parent))
            target.rename(stale / "old")
            shutil.rmtree(stale, ignore_errors=True)
        with contextlib.suppress(OSError):  # another process was faster: its copy is as good
            staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return is_there(target)


def packaged() -> dict[Path, Path]:
    """Headers and libraries of the pip packages: the installed file, and its place below include/ or lib/."""
    wanted = {}
    for file in (f for package in PACKAGES for f in _files_of(package)):
        for top in ("include", "lib"):
            if top in file.parts and "cmake" not in file.parts and file.is_file():
                start = file.parts.index(top, len(Path(sys.prefix).parts) - 1)
                wanted[file] = Path(*file.parts[start:])
                break
    return wanted


def _files_of(package: str) -> list[Path]:
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return []
    return [Path(distribution.locate_file(f)).resolve() for f in distribution.files or ()]
