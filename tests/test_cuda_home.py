"""The CUDA home for Jittor: built of fake toolkits and wheels, every refusal, and of the real ones where nvcc is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from jittor_setup import cuda_home
from jittor_setup.cuda_home import CudaHomeError, Toolkit, build, find_toolkit, variables, wheels
from tests.commands import ROOT, run
from tests.fake_cuda import fake_toolkit, fake_wheels, toolkit_of


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
