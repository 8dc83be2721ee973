"""The CUDA half of Jittor's kernels, compiled by nvcc where there is one; nothing is run.

Jittor defines in0_p, in0_shape0, in0_type and so on around a kernel; here they are declared by hand,
so that only the toolkit is needed, not a GPU.
"""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NVCC = shutil.which("nvcc") or next(
    (str(p) for p in Path("/usr/local").glob("cuda*/bin/nvcc") if p.is_file()), None
)
NEWER = ("100", "120")  # tried where nvcc knows them
INPUTS = {  # types of the inputs and outputs; None is the kernel's floating-point type
    "bilinear forward": ((None, None, "int"), (None,)),
    "bilinear backward": ((None, None, "int"), (None,)),
    "roi_pool forward": ((None, None, "int"), (None, "int")),
    "roi_pool backward": ((None, None, "int", "int"), (None,)),
    "nms": ((None, "int", "bool"), ("bool",)),
    "is_finite": ((None,), ("bool",)),
    "nan_to_num forward": ((None,), (None,)),
    "nan_to_num backward": ((None, None), (None,)),
    "nanmean forward": ((None,), (None, None)),
    "nanmean backward": ((None, None, None), (None,)),
}


def translation_unit(name: str, header: str, code: str, dtype: str) -> str:
    inputs, outputs = INPUTS[name]
    lines = ["struct Data { double operator[](const char*) const { return 1; } };"]
    declared = []
    for prefix, types in (("in", inputs), ("out", outputs)):
        for k, kind in enumerate(types):
            lines.append(f"typedef {kind or dtype} {prefix}{k}_type;")
            declared.append(f"{prefix}{k}_type* __restrict__ {prefix}{k}_p")
            declared += [f"int {prefix}{k}_shape{axis}" for axis in range(4)]
    lines += [header, f"void launch(Data data, {', '.join(declared)}) {{ {code} }}"]
    return "\n".join(lines)


@pytest.mark.skipif(NVCC is None, reason="no nvcc: the CUDA sources are not compiled")
@pytest.mark.parametrize("dtype", ["float", "double"])
def test_cuda_sources_compile(dtype, tmp_path):
    # in a process of its own: importing Jittor turns on flush-to-zero for everything after it
    dump = "import json; from jittor_impl.kernels import cuda_sources; print(json.dumps(cuda_sources()))"
    result = subprocess.run([sys.executable, "-c", dump], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    sources = json.loads(result.stdout.splitlines()[-1])
    assert set(sources) == set(INPUTS)
    known = subprocess.run([NVCC, "--list-gpu-arch"], capture_output=True, text=True).stdout
    architectures = ["80", "90", *(a for a in NEWER if f"compute_{a}" in known)]
    flags = itertools.chain.from_iterable(
        ("-gencode", f"arch=compute_{a},code=sm_{a}") for a in architectures
    )
    flags = list(flags)
    for name, (header, code) in sources.items():
        file = tmp_path / f"{name.replace(' ', '_')}.cu"
        file.write_text(translation_unit(name, header, code, dtype))
        result = subprocess.run(
            [NVCC, "-std=c++17", *flags, "-c", str(file), "-o", str(file.with_suffix(".o"))],
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, f"{name}: {result.stdout}{result.stderr}"
