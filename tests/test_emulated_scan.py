"""Running sums on CUDA: Jittor's own kernel, as repaired, emulated on the CPU; as it is installed it is refused.

On an H200 the installed one gave wrong sums of float64 for rows of 6 (logs/gpu, 2026-11-28).
"""

from __future__ import annotations

import re
import shutil
from importlib import util
from pathlib import Path

import numpy as np
import pytest

from door.randomness import stream
from jittor_setup.repairs import REPAIRS
from scripts.gpu.emulated import FOLDER
from tests.cuda_programs import Program, Source

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")
FILE = "jittor/extern/cuda/cub/ops/cub_cumsum_op.cc"
KERNEL = "BlockScanKernel"
CUB = FOLDER / "cub" / "cub.cuh"


def kernel(repaired: bool) -> str:
    installed = Path(util.find_spec("jittor").submodule_search_locations[0]).parent
    text = (installed / FILE).read_text()
    for repair in REPAIRS if repaired else ():
        if repair.file == FILE:
            text, count = re.subn(repair.wrong, repair.right, text)
            assert count == 1
    return text[text.index("__global__ void " + KERNEL) : text.index("void CubCumsumOp::jit_run")]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    header = f'}}\n#include <iterator>\ntypedef int cudaError_t; enum {{ cudaSuccess }};\n#include "{CUB}"\n'
    header += "namespace kernel0 {\n#define ITEMS_PER_THREAD 4\n#define BLOCK_THREADS 1024\n"
    header += "#define Tx double\n#define Ty double\n"
    names, code = {}, ""
    for repaired in (True, False):
        for reverse in (0, 1):
            name = f"{'repaired' if repaired else 'installed'} {reverse}"
            names[name] = f"{KERNEL}{len(names)}"
            header += f"#define reverse {reverse}\n"
            header += kernel(repaired).replace(KERNEL, names[name]) + "\n#undef reverse\n"
    sizes = "in0_shape0, BLOCK_THREADS>>>(in0_p, out0_p, in0_shape0, in0_shape1);"
    for number, entry in enumerate(names.values()):
        code += f'if (data["kernel"] == {number}) {entry}<<<{sizes}\n'
    source = Source("scan", header, code, ("float64",), ("float64",))
    made = Program(tmp_path_factory.mktemp("scan"), [], [source])
    yield lambda name, x, order="": made(
        "cuda",
        "scan",
        [x],
        [(x.shape, "float64")],
        {"kernel": float(list(names).index(name))},
        order=order,
    )[0]
    made.close()


@pytest.mark.parametrize("items", [1, 6, 33, 4095, 4096, 4097, 9000])
@pytest.mark.parametrize("order", ["", "reversed"])
def test_running_sums(program, items, order):
    x = stream("scan", items).standard_normal((2, items))
    np.testing.assert_allclose(program("repaired 0", x, order), x.cumsum(1), atol=1e-11)
    wanted = x[:, ::-1].cumsum(1)[:, ::-1]
    np.testing.assert_allclose(program("repaired 1", x, order), wanted, atol=1e-11)


def test_a_sum_of_the_block_with_threads_missing_is_refused(program):
    x = np.ones((2, 6))
    for name in ("installed 0", "installed 1"):
        with pytest.raises(AssertionError, match="threads that are missing"):
            program(name, x)
    np.testing.assert_array_equal(program("installed 0", np.ones((1, 4096)))[0, -1], 4096.0)
