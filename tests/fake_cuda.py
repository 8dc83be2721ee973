"""Folders that look like a CUDA toolkit and NVIDIA's wheels."""

from __future__ import annotations

from pathlib import Path

from jittor_setup import cuda_home
from jittor_setup.cuda_home import Toolkit, find_toolkit, wheels

HEADERS = ("cuda_runtime.h", "curand_kernel.h", "cuda_fp16.h", *cuda_home.NEEDED.values())


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def fake_toolkit(root: Path, release: str = "13.0", headers=HEADERS, cudafe: bool = True) -> Path:
    nvcc = write(
        root / "bin" / "nvcc", f'#!/bin/sh\necho "nvcc $*"; echo release {release}, V{release}\n'
    )
    nvcc.chmod(0o755)
    if cudafe:
        write(root / "bin" / "cudafe++")
    for name in headers:
        write(root / "include" / name, f"// {name}")
    below = root / "include" / ("cccl" if release >= "13" else ".")
    write(below / "cub" / "cub.cuh", "// cub")
    write(below / "cub" / "version.cuh")
    write(root / "lib64" / "libcudart.so.13.0.1")
    return root


def fake_wheels(site: Path, cudnn: int | None = 9, major: int = 13) -> list[Path]:
    for name in cuda_home.NEEDED:
        write(site / "nvidia" / f"cu{major}" / "lib" / f"lib{name}.so.{major}")
        write(
            site / "nvidia" / f"cu{major}" / "include" / cuda_home.NEEDED[name], "// of the wheel"
        )
    if cudnn:
        include = site / "nvidia" / "cudnn" / "include"
        write(include / "cudnn.h", "// the real one")
        write(include / "cudnn_version.h", f"#define CUDNN_MAJOR {cudnn}\n")
        for name in ("cudnn", "cudnn_ops", "cudnn_cnn"):
            write(site / "nvidia" / "cudnn" / "lib" / f"lib{name}.so.{cudnn}")
    return wheels([site])


def toolkit_of(root: Path) -> Toolkit:
    return find_toolkit(root, environ={})
