"""A CUDA home that Jittor 1.3.11 accepts, made of the machine's nvcc and of the NVIDIA wheels that PyTorch brought.

Jittor takes headers and libraries from dirname(dirname(nvcc)) and was written for CUDA 11 and cuDNN 8. `build` makes
such a folder of links, with a few generated headers for what CUDA 12 and 13, cuDNN 9 and CCCL 3 have dropped; nothing
is downloaded, no root is needed, nothing outside of it is written. Libraries come from the wheels first, so that
PyTorch and Jittor map one copy of each. docs/gpu.md lists the error messages that this is the answer to.

Imports neither Jittor nor anything that compiles.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from jittor_setup.cuda_sources import (
    CHECK,
    CUB_3,
    CUDNN_9,
    CUDNN_9_DROPPED,
    CUDNN_9_LIBRARIES,
    LIGHT,
    NPP,
    NVCC,
    RUNTIME_13,
    STORE,
)
from jittor_setup.cuda_toolkit import CudaHomeError, Toolkit, find_toolkit, of_major, wheels

FORMAT = 4  # raise when what is built changes: it is part of the folder's name
NEEDED = {  # library: the header that Jittor includes for it
    "cublas": "cublas_v2.h",
    "curand": "curand.h",
    "cufft": "cufft.h",
    "cusparse": "cusparse.h",
}
# headers of these come from where their library comes from: wheels before the toolkit
FAMILIES = ("cublas", "cudnn", "curand", "cufft", "cusparse", "cusolver", "nvrtc", "nvJitLink")
SYSTEM_INCLUDE = ("/usr/include/x86_64-linux-gnu", "/usr/include/aarch64-linux-gnu", "/usr/include")
SYSTEM_LIBRARIES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu")


class Overlay:
    """A CUDA home while it is being made, in `folder`."""

    def __init__(self, folder: Path, toolkit: Toolkit, of_wheels: list[Path], system: bool = True):
        self.folder, self.toolkit = folder, toolkit
        self.wheels = of_major(of_wheels, toolkit.version[0])
        self.include, self.lib, self.bin = (folder / n for n in ("include", "lib64", "bin"))
        self.system_include = [p for p in map(Path, SYSTEM_INCLUDE) if system and p.is_dir()]
        self.system_lib = [p for p in map(Path, SYSTEM_LIBRARIES) if system and p.is_dir()]

    def build(self) -> None:
        for part in (self.include, self.lib, self.bin):
            part.mkdir(parents=True)
        (self.folder / "lib").symlink_to("lib64")
        self.link_headers()
        self.link_libraries()
        self.check_complete()
        self.replace_headers()
        self.write_nvcc()

    def link_headers(self) -> None:
        of_wheels = [w / "include" for w in self.wheels if (w / "include").is_dir()]
        of_toolkit = self.toolkit.includes()
        for folder in of_wheels:
            for entry in folder.iterdir():
                if entry.name.removeprefix("lib").startswith(FAMILIES):
                    merge(entry, self.include / entry.name)
        for folder in of_toolkit + of_wheels:
            for entry in folder.iterdir():
                if not entry.name.startswith("__"):
                    merge(entry, self.include / entry.name)
        for folder in self.system_include:  # Debian's cuDNN
            for entry in folder.glob("cudnn*.h"):
                merge(entry, self.include / entry.name)
        beside = [w / "cccl" for w in self.wheels]
        for cccl in [
            f / "cccl" for f in of_toolkit + of_wheels
        ] + beside:  # CUDA 13 has them one level down
            if cccl.is_dir():
                for entry in cccl.iterdir():
                    merge(entry, self.include / entry.name)
                break

    def link_libraries(self) -> None:
        """Each library from one place only; unversioned names and X.so.9 beside X.so.9.1.0."""
        owners: dict[str, Path] = {}
        of_wheels = [w / "lib" for w in self.wheels if (w / "lib").is_dir()]
        for folder in [*of_wheels, *self.toolkit.libraries(), *self.system_lib]:
            for entry in sorted(folder.iterdir()):
                stem = entry.name.split(".so")[0]
                wanted = (
                    ".so" in entry.name and ".alt.so" not in entry.name
                ) or entry.suffix == ".a"
                if folder in self.system_lib:
                    wanted = wanted and stem.startswith("libcudnn")
                if wanted and owners.setdefault(stem, folder) == folder:
                    merge(entry, self.lib / entry.name)
        for entry in sorted(self.lib.iterdir()):
            stem, versioned, number = entry.name.partition(".so.")
            if versioned:
                merge(entry, self.lib / f"{stem}.so")
                merge(entry, self.lib / f"{stem}.so.{number.split('.')[0]}")

    def cudnn(self) -> int | None:
        """cuDNN's major version, None without one."""
        for name in ("cudnn_version.h", "cudnn.h"):
            header = self.include / name
            if header.exists() and (self.lib / "libcudnn.so").exists():
                found = re.search(
                    r"#define CUDNN_MAJOR\s+(\d+)", header.read_text(errors="replace")
                )
                if found:
                    return int(found[1])
        return None

    def check_complete(self) -> None:
        """CudaHomeError names the headers and libraries that Jittor could not do without."""
        headers = [
            "cuda_runtime.h",
            "cub/cub.cuh",
            "curand_kernel.h",
            "cuda_fp16.h",
            *NEEDED.values(),
        ]
        missing = [name for name in headers if not (self.include / name).exists()]
        missing += [
            f"lib{name}.so"
            for name in ("cudart", *NEEDED)
            if not (self.lib / f"lib{name}.so").exists()
        ]
        if missing:
            major = self.toolkit.version[0]
            suffix = "" if major >= 13 else f"-cu{major}"
            named = [n for n in NEEDED if any(n in text for text in missing)]
            packages = [f"nvidia-{name}{suffix}" for name in named]
            if any(text.startswith(("cuda_", "cub", "libcudart")) for text in missing):
                packages += [f"nvidia-cuda-runtime{suffix}", f"nvidia-cuda-cccl{suffix}"]
            places = ", ".join(str(p) for p in [self.toolkit.root, *self.wheels])
            raise CudaHomeError(
                f"CUDA {major}: {', '.join(missing)} not found (in {places}); "
                f"pip install {' '.join(packages)}, or the toolkit's own libraries"
            )

    def replace_headers(self) -> None:
        """Generated headers in place of those that Jittor cannot take as they are."""
        if (self.cudnn() or 0) >= 9:
            defines = "\n".join(
                f"#define {name}(...) dropped_in_cudnn_9(__VA_ARGS__)" for name in CUDNN_9_DROPPED
            )
            self.generate("cudnn.h", CUDNN_9, defines=defines)
            for old, new in CUDNN_9_LIBRARIES.items():
                if (self.lib / f"lib{new}.so").exists():
                    merge(self.lib / f"lib{new}.so", self.lib / f"lib{old}.so")
        if self.toolkit.version >= (13, 0):
            self.generate("cuda_runtime.h", RUNTIME_13)
            self.generate("cub/cub.cuh", CUB_3)
        if not (self.include / "npp.h").exists():
            (self.include / "npp.h").write_text(NPP)

    def generate(self, name: str, text: str, **fields: str) -> None:
        """A header that includes the real one in whose place it stands."""
        path = self.include / name
        if path.parent.is_symlink():  # a folder from elsewhere: one of our own, with the same in it
            unfold(path.parent)
        real = path.resolve()
        path.unlink()
        path.write_text(text.format(real=real, **fields))

    def write_nvcc(self) -> None:
        is_13 = self.toolkit.version >= (13, 0)
        standard = "-std=c++17" if is_13 else "-std=c++14"
        extra = "" if (self.lib / "libcudadevrt.a").exists() else "--cudadevrt=none "
        home = '"$(dirname "$(dirname "$(readlink -f "$0")")")"'
        names = {"real": self.toolkit.nvcc, "extra": f"{extra}-L{home}/lib64"}
        light = LIGHT.format(**names) if is_13 else ""
        # a kernel that is kept is of this Jittor: the headers that it includes are those that the repairs leave
        repairs = Path(__file__).with_name("repairs.py").read_bytes()
        made = hashlib.sha256(repairs).hexdigest()[:12]
        script = NVCC.format(
            standard=standard, light=light, store=STORE.format(), made=made, **names
        )
        (self.bin / "nvcc").write_text(script)
        (self.bin / "nvcc").chmod(0o755)


def merge(source: Path, target: Path) -> None:
    """A link to `source` at `target`; two folders of the same name become one of links, the first to come counts."""
    if not os.path.lexists(target):
        target.symlink_to(source.resolve())
    elif source.is_dir() and target.is_dir() and source.resolve() != target.resolve():
        unfold(target)
        for entry in source.iterdir():
            merge(entry, target / entry.name)


def unfold(link: Path) -> None:
    """A folder of links in place of a link to a folder."""
    if link.is_symlink():
        real = link.resolve()
        link.unlink()
        link.mkdir()
        for entry in real.iterdir():
            (link / entry.name).symlink_to(entry.resolve())


def key_of(toolkit: Toolkit, of_wheels: list[Path]) -> str:
    """Names what a home was made of."""
    parts = [FORMAT, str(toolkit.nvcc), toolkit.version]
    for folder in of_major(of_wheels, toolkit.version[0]):
        parts.append([str(folder), sorted(p.name for p in folder.glob("lib/*.so*"))])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def build(
    cache: Path,
    toolkit: Toolkit | None = None,
    of_wheels: list[Path] | None = None,
    system: bool = True,
) -> Path:
    """The CUDA home under `cache`, made when it is not there, whole or not at all; CudaHomeError says what it lacks."""
    of_wheels = wheels() if of_wheels is None else of_wheels
    toolkit = toolkit or find_toolkit(of_wheels=of_wheels)
    home = cache / f"cuda-home-{key_of(toolkit, of_wheels)}"
    if home.is_dir():
        return home
    cache.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".cuda-home-", dir=cache))
    try:
        Overlay(staging / "home", toolkit, of_wheels, system).build()
        try:
            (staging / "home").rename(home)
        except OSError:
            if not home.is_dir():  # otherwise another process was faster: its home is as good
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return home


def variables(home: Path) -> dict[str, str]:
    """What Jittor must find in its environment to use the home; TF32 off, as in PyTorch's runtime."""
    found = {"nvcc_path": str(home / "bin" / "nvcc"), "NVIDIA_TF32_OVERRIDE": "0"}
    if not (home / "lib64" / "libcudnn.so").exists():
        found["conv_opt"] = "1"  # Jittor's own convolutions, slow, instead of cuDNN's
    return found


def compiles(home: Path, architecture: str = "90") -> str:
    """Compiles what Jittor's kernels include, as Jittor would call nvcc; "" or the compiler's errors."""
    cudnn = "#include <cudnn.h>" if (home / "include" / "cudnn.h").exists() else ""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "check.cu"
        source.write_text(CHECK.format(cudnn=cudnn))
        command = [home / "bin" / "nvcc", "-std=c++14", f"-I{home / 'include'}", "-c", source]
        command += [
            f"-arch=sm_{architecture}",
            "--use_fast_math",
            "-w",
            "-o",
            Path(folder) / "check.o",
        ]
        result = subprocess.run(
            list(map(str, command)), capture_output=True, text=True, check=False
        )
    return "" if result.returncode == 0 else (result.stderr or result.stdout).strip()
