"""The CUDA half of our kernels, compiled by nvcc where there is one; nothing is run, so no GPU is needed.

Jittor defines in0_p, in0_shape0, in0_type and so on around a kernel; cuda_programs.py does here. What the kernels
compute: test_emulated_cuda.py.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib import util
from pathlib import Path

import pytest

from jittor_impl.kernel_sources import COMMON, NMS, ROI_POOL
from jittor_impl.kernel_table import cuda_sources
from jittor_setup import repairs
from jittor_setup.float64_forms import convolution_form, product_form
from tests.cuda_programs import TOP, unit
from tests.test_emulated_cuda import SHAPES, of_form, of_table

NVCC = shutil.which("nvcc") or next(
    (str(p) for p in Path("/usr/local").glob("cuda*/bin/nvcc") if p.is_file()), None
)
# what is stored was a float32 just before
FROM_FLOAT32 = r"cvt\.(?:ftz\.)?f64\.f32\s+(%fd\d+), %f\d+;(?:\s+cvta[^;]*;)?\s+st\.global\.f64\s+\[%rd\d+\], \1;"
FROM_FLOAT32 += r"|cvt\.rzi\.(?:ftz\.)?s32\.f32"
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


def unfolded(text: str) -> str:
    """Jittor's @if(@strcmp(A,B)==0,THEN,ELSE), as it unfolds them."""
    while "@if(" in text:
        begin = text.rindex("@if(")
        parts, start, depth = [], begin + 4, 0
        for end in range(start, len(text)):
            if depth == 0 and text[end] in ",)":
                parts.append(text[start:end])
                start = end + 1
            if depth == 0 and text[end] == ")":
                break
            depth += (text[end] == "(") - (text[end] == ")")
        a, b = re.fullmatch(r"@strcmp\((.*),(.*)\)==0", parts[0]).groups()
        text = text[:begin] + parts[1 if a == b else 2] + text[end + 1 :]
    return text


def functions(text: str) -> dict[str, str]:
    """Jittor's CUDA functions of numbers, as common_op_type.cc has them, by name."""
    table = text[text.index("common_op_type_cuda_map") : text.index("struct CommonOpType")]
    rows = re.findall(r'\{"(\w+)", "(.*)"\},', table)
    return {name: row for name, row in rows if re.search(r"::\w+f\b", row) and name != "mod"}


@pytest.mark.skipif(NVCC is None, reason="no nvcc: the CUDA sources are not compiled")
def test_functions_of_float64_do_not_pass_through_float32(tmp_path):
    """As Jittor has them they do; as repaired they do not (jittor_setup/repairs.py)."""
    file = "jittor/src/type/common_op_type.cc"
    installed = Path(util.find_spec("jittor").submodule_search_locations[0]).parent
    before = after = (installed / file).read_text()
    for repair in repairs.REPAIRS:
        if repair.file == file:
            after = re.sub(repair.wrong, repair.right, after)
    lines = [
        "#include <cmath>",
        "typedef double float64; typedef float float32; typedef int int32;",
    ]
    for state, text in (("before", before), ("after", after)):
        for name, row in functions(text).items():
            result = "int32" if name.endswith("_int") else ""
            for kind in ("float64", "float32", *(() if result else ("int32",))):
                out = result or ("float32" if kind == "int32" else kind)
                code = row.replace("$1", out).replace("$2", "x[0]").replace("$3", kind)
                head = f"__global__ void {state}_{name}_{kind}({out}* y, {kind}* x)"
                lines.append(f"{head} {{ y[0] = {unfolded(code)}; }}")
    (tmp_path / "functions.cu").write_text("\n".join(lines))
    command = [NVCC, "-std=c++14", "-arch=sm_90", "--use_fast_math", "-ptx", "functions.cu"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
    compiled = (tmp_path / "functions.ptx").read_text()
    names = re.findall(r"\.entry _Z\d+(before|after)_(\w+?)_float64P", compiled)
    assert len(names) == 2 * len(functions(after)) > 40
    for entry in compiled.split(".entry ")[1:]:
        state, name = re.match(r"_Z\d+(before|after)_(\w+)P", entry).groups()
        if name.endswith("_float64"):
            narrowed = re.search(FROM_FLOAT32, entry)
            assert bool(narrowed) is (state == "before"), name


@pytest.mark.skipif(NVCC is None, reason="no nvcc: what fast math makes of a division is not seen")
def test_choices_hang_on_exact_quotients(tmp_path):
    """Cells of RoIPool, boxes that NMS drops: a quotient one unit off would choose otherwise than torchvision."""
    window = ROI_POOL[: ROI_POOL.index("template <class T, class I> ITEM void forward")]
    overlap = NMS[: NMS.index("#ifdef __CUDACC__")]
    text = f"#include <cmath>\n#define ITEM __device__ static inline\n{COMMON}{window}{overlap}"
    text += "__global__ void cells(float* box, int* out, int size) {\n"
    text += "    window<float>(box, 0, threadIdx.x, size, 0.0625f, 40, out, out + 1);\n}\n"
    text += "__global__ void overlap(float* box, int* group, bool* out, float threshold) {\n"
    text += "    out[0] = suppresses<float>(box, group, 0, 1, threshold);\n}\n"
    (tmp_path / "cells.cu").write_text(text)
    command = [NVCC, "-std=c++14", "-arch=sm_90", "--use_fast_math", "-ptx", "cells.cu"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
    divisions = re.findall(r"\bdiv\.\S+", (tmp_path / "cells.ptx").read_text())
    assert divisions == ["div.rn.f64"] * 2
