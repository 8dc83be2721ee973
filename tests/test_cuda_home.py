"""The CUDA home for Jittor: built of fake toolkits and wheels, every refusal, and of the real ones where nvcc is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jittor_setup import cuda_home
from jittor_setup.cuda_home import CudaHomeError, Toolkit, build, find_toolkit, variables, wheels
from tests.commands import ROOT, run

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


def test_cuda_13_with_cudnn_9(tmp_path):
    toolkit = toolkit_of(fake_toolkit(tmp_path / "cuda"))
    home = build(tmp_path / "cache", toolkit, fake_wheels(tmp_path / "site"), system=False)
    include, lib = home / "include", home / "lib64"
    assert "dropped_in_cudnn_9" in (include / "cudnn.h").read_text()
    assert (
        str((tmp_path / "site/nvidia/cudnn/include/cudnn.h").resolve())
        in (include / "cudnn.h").read_text()
    )
    assert "computeMode" in (include / "cuda_runtime.h").read_text()
    assert "CountingInputIterator" in (include / "cub/cub.cuh").read_text()
    assert (include / "cub/version.cuh").exists() and "NPP_MAX_32S" in (
        include / "npp.h"
    ).read_text()
    assert (include / "cublas_v2.h").read_text() == "// of the wheel", (
        "headers follow their library"
    )
    for name in (
        "cublas.so",
        "cudnn.so",
        "cudnn.so.9",
        "cudnn_ops_infer.so",
        "cudnn_cnn_train.so",
        "cudart.so",
    ):
        assert (lib / f"lib{name}").exists(), name
    assert (home / "lib" / "libcudart.so.13").exists()
    told = subprocess.run(
        [home / "bin/nvcc", "-std=c++14", "-c", "a b.cu"], capture_output=True, text=True
    )
    assert "-std=c++17 -c a b.cu" in told.stdout and f"-L{home.resolve()}/lib64" in told.stdout
    assert "--cudadevrt=none" in told.stdout
    assert variables(home) == {"nvcc_path": str(home / "bin/nvcc"), "NVIDIA_TF32_OVERRIDE": "0"}
    assert build(tmp_path / "cache", toolkit, wheels([tmp_path / "site"]), system=False) == home
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [home.name], "nothing else is left"
    real = (tmp_path / "cuda/include/cuda_runtime.h").read_text()
    assert real == "// cuda_runtime.h", "what was there before is not touched"


KERNEL = """#define JIT_cuda 1
#include <cmath>
#include <functional>
__global__ void twice(float* x) { x[threadIdx.x] = 2 * ::sqrt(x[threadIdx.x]); }
void run(float* x) { twice<<<1, 32>>>(x); }
"""


@pytest.mark.parametrize(
    ("text", "standard"),
    [
        (KERNEL, "14"),
        (KERNEL.replace("<functional>", "<cub/cub.cuh>"), "17"),
        (KERNEL.replace("<functional>", '"thrust/sort.h"'), "17"),
        (KERNEL.replace("JIT_cuda", "JIT_cpu"), "17"),
    ],
    ids=["a kernel", "with CUB", "with Thrust", "not a kernel"],
)
def test_kernels_without_cub_are_compiled_as_jittor_asks(text, standard, tmp_path):
    toolkit = toolkit_of(fake_toolkit(tmp_path / "cuda"))
    home = build(tmp_path / "cache", toolkit, fake_wheels(tmp_path / "site"), system=False)
    source = write(tmp_path / "folder with blank" / "some_op.cc", text)
    command = [home / "bin/nvcc", source, "-std=c++14", "-o", "x.so"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"-std=c++{standard} -o x.so." in told and told.count("nvcc ") == 1
    assert f"-L{home.resolve()}/lib64" in told


def test_a_kernel_that_needs_more_than_jittor_asks_for_gets_it(tmp_path):
    root = fake_toolkit(tmp_path / "cuda")
    toolkit = toolkit_of(root)
    write(
        root / "bin/nvcc",
        '#!/bin/sh\ncase "$*" in *c++14*) echo no >&2; exit 1;; esac\necho "nvcc $*"\n',
    )
    home = build(tmp_path / "cache", toolkit, fake_wheels(tmp_path / "site"), system=False)
    source = write(tmp_path / "some_op.cc", KERNEL)
    command = [home / "bin/nvcc", source, "-std=c++14"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0 and "-std=c++17" in result.stdout and not result.stderr

def test_a_kernel_that_is_in_the_store_is_not_compiled_again(tmp_path):
    """On another machine the paths are others, and the processor; the kernel is the same."""
    root = fake_toolkit(tmp_path / "cuda")
    write(
        root / "bin/nvcc",
        f'#!/bin/sh\ncase "$1" in --version) echo release 13.0; exit;; esac\necho "$*" >> {tmp_path}/calls\n'
        'while [ "$1" != -o ]; do shift; done\nprintf made > "$2"\ncase "$2" in *bad*) exit 3;; esac\n',
    ).chmod(0o755)
    home = build(tmp_path / "cache", toolkit_of(root), fake_wheels(tmp_path / "site"), system=False)
    store = tmp_path / "store"
    store.mkdir()

    def compiled(place: str, text: str = KERNEL, *options: str) -> int:
        """How often the real nvcc was called."""
        (tmp_path / "calls").write_text("")
        source = write(tmp_path / place / "some_op.cc", text)
        library = write(tmp_path / place / "jit_utils_core.cpython-312.so")
        command = [home / "bin/nvcc", source, "-std=c++14", "-march=native", f"-I{place}/include"]
        command += [f"-L{library.parent}", *options, "-o", tmp_path / place / "some_op.so"]
        environment = os.environ | {"KERNEL_STORE": str(store)}
        code = subprocess.run(command, env=environment, check=False).returncode
        assert code == (3 if "bad" in place else 0)
        assert ("bad" in place) or (tmp_path / place / "some_op.so").read_text() == "made"
        if not code:
            assert (store / library.name).resolve() == library.resolve(), "found from any kernel"
        return len((tmp_path / "calls").read_text().splitlines())

    def kept() -> int:
        return sum(not path.is_symlink() for path in store.glob("*.so"))

    assert compiled("bad") and not kept(), "what failed is not kept"
    assert compiled("one") == 1
    call = (tmp_path / "calls").read_text()
    assert "-march=x86-64-v3" in call and f"-Xlinker -rpath={store}" in call
    assert compiled("two") == 0 and kept() == 1
    assert compiled("two", KERNEL.replace("2 *", "3 *")) == 1, "another kernel"
    assert compiled("two", KERNEL, "-code=sm_100") == 1, "for another GPU"
    assert kept() == 3


def test_what_nvcc_makes_appears_whole_or_not_at_all(tmp_path):
    """Processes that compile the same kernel at once, as the lease does, never see half of it."""
    root = fake_toolkit(tmp_path / "cuda")
    write(
        root / "bin/nvcc",
        '#!/bin/sh\ncase "$1" in --version) echo release 13.0; exit;; esac\n'
        'while [ "$1" != -o ]; do shift; done\nprintf half > "$2"\nsleep 0.3\n'
        'case "$2" in *bad*) exit 3;; esac\nprintf whole > "$2"\n',
    ).chmod(0o755)
    home = build(tmp_path / "cache", toolkit_of(root), fake_wheels(tmp_path / "site"), system=False)
    out = tmp_path / "with blank" / "x_op.so"
    out.parent.mkdir()
    command = [home / "bin/nvcc", "a_op.cc", "-std=c++14", "-o", out]
    running = [subprocess.Popen(command) for _ in range(3)]
    seen = set()
    while any(p.poll() is None for p in running):
        seen.add(out.read_text() if out.exists() else None)
    assert [p.returncode for p in running] == [0] * 3
    assert seen <= {None, "whole"} and out.read_text() == "whole"
    bad = out.with_name("bad_op.so")
    assert subprocess.run([*command[:-1], bad]).returncode == 3
    assert [p.name for p in out.parent.iterdir()] == [out.name], "nothing else is left"


def test_the_standard_does_not_change_device_code(tmp_path):
    """With the real compiler, where there is one: the same bytes."""
    try:
        toolkit = find_toolkit(environ={})
    except CudaHomeError:
        pytest.skip("no nvcc: nothing is compiled")
    source, made = write(tmp_path / "some_op.cc", KERNEL), []
    for standard in ("14", "17"):
        out = tmp_path / f"{standard}.cubin"
        command = [toolkit.nvcc, "-x", "cu", "-arch=sm_90", f"-std=c++{standard}", "-cubin"]
        subprocess.run([*command, source, "-o", out], check=True, capture_output=True)
        made.append(out.read_bytes())
    assert made[0] == made[1]


def test_cuda_12_with_cudnn_8(tmp_path):
    toolkit = toolkit_of(fake_toolkit(tmp_path / "cuda", "12.4"))
    home = build(tmp_path / "cache", toolkit, fake_wheels(tmp_path / "site", 8, 12), system=False)
    assert (home / "include/cudnn.h").read_text() == "// the real one"
    assert (home / "include/cuda_runtime.h").is_symlink()
    assert not (home / "lib64/libcudnn_ops_infer.so").exists(), "cuDNN 8 has its own"
    told = subprocess.run([home / "bin/nvcc", "-std=c++14"], capture_output=True, text=True).stdout
    assert "-std=c++14" in told and "c++17" not in told


def test_without_cudnn_jittors_own_convolutions(tmp_path):
    toolkit = toolkit_of(fake_toolkit(tmp_path / "cuda"))
    home = build(tmp_path / "cache", toolkit, fake_wheels(tmp_path / "site", None), system=False)
    assert variables(home)["conv_opt"] == "1"


def test_wheels_of_another_cuda_are_left_out(tmp_path):
    toolkit = toolkit_of(fake_toolkit(tmp_path / "cuda", headers=("cuda_runtime.h", "cuda_fp16.h")))
    found = fake_wheels(tmp_path / "site", 9, major=12)
    with pytest.raises(CudaHomeError, match=r"libcublas\.so.*pip install .*nvidia-cublas"):
        build(tmp_path / "cache", toolkit, found, system=False)
    assert list((tmp_path / "cache").iterdir()) == [], "nothing half built"


def test_what_is_missing_is_named(tmp_path):
    toolkit = toolkit_of(fake_toolkit(tmp_path / "cuda", "12.4"))
    with pytest.raises(CudaHomeError, match=r"CUDA 12: libcublas\.so.*nvidia-curand-cu12"):
        build(tmp_path / "cache", toolkit, [], system=False)


def test_toolkits_that_are_none(tmp_path):
    bare = fake_toolkit(tmp_path / "bare", cudafe=False)  # a wrapper in /usr/local/bin, say
    with pytest.raises(CudaHomeError, match=r"no nvcc with cudafe\+\+ .*nvidia-cuda-nvcc"):
        find_toolkit(bare, environ={})
    silent = fake_toolkit(tmp_path / "silent")
    (silent / "bin/nvcc").write_text("#!/bin/sh\necho hello\n")
    with pytest.raises(CudaHomeError, match="names no release"):
        find_toolkit(silent, environ={})
    broken = fake_toolkit(tmp_path / "broken")
    (broken / "bin/nvcc").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(CudaHomeError, match="does not run"):
        find_toolkit(broken, environ={})


def test_where_a_toolkit_is_looked_for(tmp_path):
    first, second = (fake_toolkit(tmp_path / n, f"13.{k}") for k, n in enumerate(("a", "b")))
    found = find_toolkit(environ={"CUDA_HOME": str(first), "CUDA_PATH": str(second)})
    assert found.version == (13, 0)
    of_wheels = [second]
    assert find_toolkit(environ={"CUDA_HOME": str(first)}, of_wheels=of_wheels).version == (13, 0)
    preferred = find_toolkit(
        environ={"CUDA_HOME": str(first)}, of_wheels=of_wheels, prefer_wheels=True
    )
    assert preferred.version == (13, 1)
    (second / "bin/nvcc").chmod(0o644)  # as some wheels have it
    assert find_toolkit(second, environ={}).version == (13, 1)


def test_a_worker_without_a_home_runs_on_the_cpu(tmp_path, monkeypatch, capsys):
    from jittor_setup import environment

    def refuse(cache):
        raise CudaHomeError("libcurand.so not found")

    monkeypatch.setattr(cuda_home, "build", refuse)
    assert environment.cuda_variables(tmp_path) == {"nvcc_path": ""}
    assert "Jittor runs without CUDA: libcurand.so not found" in capsys.readouterr().err


def real_toolkit() -> Toolkit | None:
    try:
        return find_toolkit(of_wheels=wheels())
    except CudaHomeError:
        return None


@pytest.mark.skipif(real_toolkit() is None, reason="no CUDA toolkit: nothing to build a home of")
def test_the_real_toolkit_compiles(tmp_path):
    """What Jittor's kernels include, as Jittor calls nvcc; without a GPU nothing is run."""
    try:
        home = build(tmp_path, real_toolkit())
    except CudaHomeError as error:
        pytest.skip(f"this machine's libraries are not complete: {error}")
    assert cuda_home.compiles(home) == ""


def test_doctor_says_what_is_missing(tmp_path):
    site = tmp_path / "nothing"
    command = [sys.executable, "-m", "scripts.doctor", "--fix-cuda", "--toolkit", str(site)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 2 and "no nvcc with cudafe++" in result.stderr
    root = fake_toolkit(tmp_path / "cuda", "11.8")
    shutil.rmtree(root / "lib64")
    options = ["--fix-cuda", f"--toolkit={root}", f"--out={tmp_path / 'out'}"]
    assert "CUDA 11" in run("doctor", *options, code=2).stderr
    assert os.listdir(tmp_path / "out") == []
