"""What the emulation of CUDA must not let pass: launches that a driver refuses, and reads beside an array."""

from __future__ import annotations

import shutil
import signal

import numpy as np
import pytest

from scripts.gpu.emulated import without_launches
from tests.cuda_programs import Program, Source

HEADER = """
template <class T, int ADDED> __global__ void add(T* y, const T* x, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i] + ADDED;
}
__global__ void last(float* y, int n) { y[0] = threadIdx.x; }
"""
CODES = {
    "sound": "add<float, 1><<<(out0_shape0 + 31) / 32, 32>>>(out0_p, in0_p, out0_shape0);",
    "empty": "add<float, 1><<<in0_shape1, 32>>>(out0_p, in0_p, 0);",
    "wide": "add<float, 1><<<1, dim3(64, 32)>>>(out0_p, in0_p, 0);",
    "high": "add<float, 1><<<dim3(1, 70000), 32>>>(out0_p, in0_p, 0);",
    "beside": "add<float, 1><<<2, 32>>>(out0_p, in0_p, out0_shape0 + 1);",
    "racing": "last<<<1, 32>>>(out0_p, 1);",
}


def test_launches_become_calls():
    source = "a::k<T, 2>\n <<<dim3(f(x, 1), 2), 256, 0>>>(p[i], g(1, 2)); after(1);"
    wanted = (
        "emulated::launch(dim3(f(x, 1), 2),  256, [&] { a::k<T, 2>\n(p[i], g(1, 2)); }); after(1);"
    )
    assert "".join(without_launches(source).split()) == "".join(wanted.split())
    assert without_launches("x << 3 >> 2;") == "x << 3 >> 2;"


def made(folder, sanitised: bool) -> Program:
    if shutil.which("g++") is None:
        pytest.skip("no g++")
    sources = [Source(k, HEADER, code, ("float32",), ("float32",)) for k, code in CODES.items()]
    return Program(folder, [], sources, sanitised)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    program = made(tmp_path_factory.mktemp("faults"), sanitised=True)
    yield program
    program.close()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("empty", "an empty grid"),
        ("wide", "too many threads in a block"),
        ("high", "too many blocks"),
        ("beside", "heap-buffer-overflow"),
    ],
)
def test_faults_are_seen(program, name, told):
    x, outputs = np.ones((33, 0), "float32"), [((33,), "float32")]
    x = x if name == "empty" else np.ones(33, "float32")
    with pytest.raises(AssertionError, match=told):
        program("cuda", name, [x], outputs)
    (y,) = program("cuda", "sound", [np.ones(33, "float32")], outputs)
    assert (y == 2).all(), "and the next call is answered"


def test_the_order_of_threads_shows(program):
    given = "cuda", "racing", [np.ones(1, "float32")], [((1,), "float32")]
    assert program(*given)[0][0] == 31 and program(*given, order="reversed")[0][0] == 0


def test_without_the_sanitiser_too_what_lies_behind_an_array_is_seen(tmp_path):
    program = made(tmp_path, sanitised=False)
    for count in (1, 33, 63):
        x, outputs = np.ones(count, "float32"), [((count,), "float32")]
        with pytest.raises(AssertionError, match=f"beside on cuda: {-signal.SIGSEGV}"):
            program("cuda", "beside", [x], outputs)
        (y,) = program("cuda", "sound", [x], outputs)
        assert (y == 2).all(), "and the next call is answered"
    program.close()
