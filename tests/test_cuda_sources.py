"""The CUDA half of our kernels, compiled by nvcc where there is one; nothing is run, so no GPU is needed.

Jittor defines in0_p, in0_shape0, in0_type and so on around a kernel; cuda_programs.py does here. What the kernels
compute: test_emulated_cuda.py.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from jittor_impl.kernel_table import cuda_sources
from jittor_setup.float64_forms import convolution_form, product_form
from tests.cuda_programs import TOP, unit
from tests.test_emulated_cuda import SHAPES, of_form, of_table

NVCC = shutil.which("nvcc") or next(
    (str(p) for p in Path("/usr/local").glob("cuda*/bin/nvcc") if p.is_file()), None
)
NEWER = ("100", "120")  # tried where nvcc knows them


@pytest.mark.skipif(NVCC is None, reason="no nvcc: the CUDA sources are not compiled")
def test_cuda_sources_compile(tmp_path):
    sources = of_table(cuda_sources(), set(SHAPES))
    assert {s.name.rpartition(" ")[0] for s in sources} == set(cuda_sources())
    sources += of_form("convolution", convolution_form(*[(1, 1, 1, 1)] * 3, *[(1, 1)] * 3, 1))[1]
    sources += of_form("product", product_form(1, 1, 1, 1, False))[1]
    known = subprocess.run([NVCC, "--list-gpu-arch"], capture_output=True, text=True).stdout
    architectures = ["80", "90", *(a for a in NEWER if f"compute_{a}" in known)]
    flags = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in architectures]
    file = tmp_path / "kernels.cu"
    file.write_text(TOP + unit("run_cuda", sources))
    command = [NVCC, "-std=c++17", *flags, "-c", file.name, "-o", "kernels.o"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 0, f"{found.stdout}{found.stderr}"
