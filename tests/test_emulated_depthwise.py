"""Depthwise convolutions on CUDA: Jittor's own kernels, as repaired, emulated on the CPU against PyTorch.

MobileNet runs on them in float32. What Jittor hands to its code operator is caught by a module in its place.
"""

from __future__ import annotations

import re
import shutil
import sys
from importlib import util
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from door.randomness import stream
from jittor_setup import repairs
from tests.cuda_programs import Program, Source

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")
FILE = "jittor/depthwise_conv.py"
SIZE = "sizeof(out1_type) * out1_shape0 * out1_shape1 * out1_shape2 * out1_shape3"
CASES = {  # x, kernel, stride, padding, dilation
    "MobileNet's": ([2, 5, 11, 9], (3, 3), 1, 1, 1),
    "stride 2": ([2, 5, 11, 9], (3, 3), 2, 1, 1),
    "one warp and a bit": ([1, 3, 4, 11], (3, 3), 1, 1, 1),
    "rectangular": ([2, 4, 9, 14], (2, 5), (2, 1), (0, 2), 1),
    "dilated": ([1, 2, 13, 12], (3, 2), (3, 2), (1, 4), (2, 5)),
    "one cell": ([1, 1, 1, 1], (1, 1), 1, 0, 1),
    "wider than a block": ([1, 2, 2, 700], (3, 3), 1, 1, 1),
}


def repaired() -> str:
    installed = Path(util.find_spec("jittor").submodule_search_locations[0]).parent
    text = (installed / FILE).read_text()
    for repair in repairs.REPAIRS:
        if repair.file == FILE:
            text = re.sub(repair.wrong, repair.right, text)
    return text


class Shape(list):
    """An array that has a shape and a dtype."""

    shape = property(lambda self: list(self))
    dtype = "float64"


def caught(case: str) -> list[tuple[list, str, str]]:
    """(shapes of what comes out, header, code) of the operator and of its gradient."""
    x, kernel, stride, padding, dilation = CASES[case]
    text, found = repaired(), []

    def code(shapes, dtypes, inputs, cuda_header, cuda_src):
        found.append((shapes, cuda_header.partition("\n")[2], cuda_src))
        return Shape(shapes)

    jittor = ModuleType("jittor")
    jittor.flags = SimpleNamespace(use_cuda=1)
    jittor.compiler = SimpleNamespace(is_cuda=True)
    jittor.compile_extern = SimpleNamespace(cub_home="")
    jittor.code, jittor.Function, jittor.nn, jittor.init = code, object, None, None
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "jittor", jittor)
        names: dict = {}
        exec(compile(text, FILE, "exec", dont_inherit=True), names)
    operator = names["DepthwiseConv"](stride, padding, dilation)
    y = operator.execute(Shape(x), Shape([x[1], 1, *kernel]))
    operator.grad(y)
    return found


def unfolded(code: str) -> str:
    """Without Jittor's @alias(name, in0)."""
    for name, real in re.findall(r"@alias\((\w+), (\w+)\)", code):
        real = "out0" if real == "out" else real
        code = re.sub(rf"\b{name}_(p|type|shape\d)\b", rf"{real}_\1", code)
    code = code.replace("filter_grad->size", SIZE).replace("cudaMemsetAsync", "memset")
    return re.sub(r"@alias\(.*\)", "", code)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    sources = []
    for case in CASES:
        for number, (_, header, code) in enumerate(caught(case)):
            kinds = ("float64",) * (2 + number), ("float64",) * (1 + number)
            sources.append(Source(f"{case} {number}", header, unfolded(code), *kinds))
    made = Program(tmp_path_factory.mktemp("depthwise"), [], sources)
    yield made
    made.close()


@pytest.mark.parametrize("case", CASES)
def test_depthwise_convolutions(program, case):
    shape, kernel, stride, padding, dilation = CASES[case]
    draw = stream("depthwise", case)
    x = torch.from_numpy(draw.standard_normal(shape)).requires_grad_()
    weight = torch.from_numpy(draw.standard_normal((shape[1], 1, *kernel))).requires_grad_()
    y = torch.nn.functional.conv2d(x, weight, None, stride, padding, dilation, shape[1])
    dy = draw.standard_normal(y.shape)
    y.backward(torch.from_numpy(dy))
    arrays = [x.detach().numpy(), weight.detach().numpy()]
    for order in ("", "reversed"):
        (ours,) = program("cuda", f"{case} 0", arrays, [(y.shape, "float64")], order=order)
        outputs = [(shape, "float64"), (weight.shape, "float64")]
        dx, dw = program("cuda", f"{case} 1", [*arrays, dy], outputs, order=order)
        for found, wanted in ((ours, y.detach()), (dx, x.grad), (dw, weight.grad)):
            np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-12, atol=1e-12)
