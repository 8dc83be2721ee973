"""The CUDA half of our kernels, emulated on the CPU thread after thread, against the CPU's half.

On hostile inputs, in two orders of threads; what is read or written beside an array ends the program. What nvcc makes
of them: test_cuda_sources.py.
"""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from door.randomness import stream
from jittor_impl.kernel_table import cpu_sources, cuda_sources
from jittor_setup.float64_forms import convolution_form, product_form
from tests.cuda_programs import Program, Source

FLOATS = ("float32", "float64")
SHAPES = {  # of inputs and outputs: None is the kernel's floating-point type, "key" the integer of its width
    "bilinear forward": ((None, None, "int32"), (None,)),
    "bilinear backward": ((None, None, "int32"), (None,)),
    "roi_pool forward": ((None, None, "int32"), (None, "int32")),
    "roi_pool backward": ((None, None, "int32", "int32"), (None,)),
    "nms": ((None, "int32", "bool"), ("bool",)),
    "is_finite": ((None,), ("bool",)),
    "nan_to_num forward": ((None,), (None,)),
    "nan_to_num backward": ((None, None), (None,)),
    "nanmean forward": ((None,), (None, None)),
    "nanmean backward": ((None, None, None), (None,)),
    "sort_key": ((None,), ("key",)),
    "sort": ((None,), ("int32",)),
}
CONVOLUTIONS = {  # x, weight, stride, padding, dilation, groups
    "3x3": ([2, 6, 11, 9], [8, 6, 3, 3], (1, 1), (1, 1), (1, 1), 1),
    "more than a run": ([2, 40, 7, 9], [8, 40, 3, 3], (1, 1), (1, 1), (1, 1), 1),
    "7x7, stride 2": ([2, 3, 21, 26], [6, 3, 7, 7], (2, 2), (3, 3), (1, 1), 1),
    "stride above the kernel": ([2, 4, 11, 12], [5, 4, 2, 2], (3, 3), (0, 0), (1, 1), 1),
    "rectangular": ([2, 4, 9, 14], [6, 4, 2, 5], (2, 1), (0, 2), (1, 1), 1),
    "dilated unevenly": ([1, 4, 13, 12], [6, 4, 3, 2], (3, 2), (1, 4), (2, 5), 1),
    "groups": ([2, 6, 9, 9], [12, 2, 3, 3], (2, 2), (1, 1), (1, 1), 3),
    "depthwise, two each": ([1, 5, 8, 9], [10, 1, 3, 3], (2, 2), (0, 0), (1, 1), 5),
    "padding beyond the kernel": ([1, 2, 3, 3], [2, 2, 2, 2], (1, 1), (4, 4), (1, 1), 1),
    "one of everything": ([1, 1, 1, 1], [1, 1, 1, 1], (1, 1), (0, 0), (1, 1), 1),
    "empty batch": ([0, 4, 6, 6], [5, 4, 3, 3], (1, 1), (1, 1), (1, 1), 1),
}
PRODUCTS = [  # batch, rows, columns, depth, whether b is kept transposed
    (1, 1, 1, 1, False),
    (3, 7, 5, 300, False),
    (3, 7, 5, 300, True),
    (0, 3, 4, 5, False),
    (2, 0, 4, 5, True),
    (2, 3, 4, 0, False),
    (1, 40, 30, 2, False),
]
pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")


def kind_of(kind: str | None, dtype: str) -> str:
    return {None: dtype, "key": dtype.replace("float", "int")}.get(kind, kind)


def of_table(found: dict, names: set[str]) -> list[Source]:
    return [
        Source(
            f"{name} {dtype}",
            *found[name],
            *(tuple(kind_of(k, dtype) for k in s) for s in SHAPES[name]),
        )
        for name in found
        if name in names
        for dtype in FLOATS
    ]


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    names = set(SHAPES) - {"nms"}
    assert set(SHAPES) == set(cpu_sources()), "a kernel is not emulated here"
    sources = of_table(cpu_sources(), names), of_table(cuda_sources(), names)
    program = Program(tmp_path_factory.mktemp("kernels"), *sources)
    yield program
    program.close()


@pytest.fixture(scope="module")
def waiting(tmp_path_factory):
    """Kernels whose threads wait for each other: each has a stack of its own, which the sanitiser does not follow."""
    sources = of_table(cpu_sources(), {"nms"}), of_table(cuda_sources(), {"nms"})
    program = Program(tmp_path_factory.mktemp("waiting"), *sources, sanitised=False)
    yield program
    program.close()


def of_form(kind: str, form) -> tuple[list[Source], list[Source]]:
    two = ("float64",) * 2, ("float64",)
    return tuple(
        [Source(f"{kind} {k}", header, code, *two) for k, code in enumerate(codes)]
        for header, codes in ((form.header, form.sources), (form.cuda_header, form.cuda_sources))
    )


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    convolved = of_form("convolution", convolution_form(*[(1, 1, 1, 1)] * 3, *[(1, 1)] * 3, 1))
    multiplied = of_form("product", product_form(1, 1, 1, 1, False))
    sources = (a + b for a, b in zip(convolved, multiplied, strict=True))
    program = Program(tmp_path_factory.mktemp("products"), *sources)
    yield program
    program.close()


def compared(program, name, dtype, inputs, outputs, data=None) -> list[np.ndarray]:
    """CUDA's results, that do not depend on the order of threads, and are the CPU's to the bit."""
    label = f"{name} {dtype}"
    found = [
        program(where, label, inputs, outputs, data, order)
        for where, order in (("cuda", ""), ("cuda", "reversed"), ("cpu", ""))
    ]
    for ours, again, cpu in zip(*found, strict=True):
        np.testing.assert_array_equal(
            again, ours, err_msg=f"{label}: depends on the order of threads"
        )
        np.testing.assert_array_equal(ours, cpu, err_msg=label)
    return found[0]


def boxes_of(kind: str, count: int, height: int, width: int, dtype: str) -> np.ndarray:
    """[count, 4]; "wild": outside of the map, turned round, of no size, larger than the map."""
    draw = stream("boxes", kind, count)
    corners = draw.uniform(-3, max(height, width) * 2 + 3, (count, 4))
    if kind == "sound":
        corners = np.sort(corners.reshape(count, 2, 2), axis=1).reshape(count, 4)
    else:
        corners[::3, 2:] = corners[::3, :2]
        corners[1::7] *= 20
    return corners.astype(dtype)


REGIONS = {  # map [B, C, H, W], regions, size, options
    "no regions": ((2, 3, 5, 7), 0, 3, {"ratio": 2}),
    "no images, no regions": ((0, 3, 5, 7), 0, 3, {"ratio": 2}),
    "one cell": ((1, 1, 1, 1), 3, 2, {"ratio": 2}),
    "one row": ((1, 2, 1, 9), 4, 3, {"ratio": 0}),
    "more than a block": ((2, 5, 11, 8), 23, 7, {"ratio": 2, "aligned": 1}),
    "as many samples as it takes": ((2, 3, 13, 9), 9, 4, {"ratio": 0, "aligned": 1}),
    "first publication": ((2, 3, 13, 9), 9, 4, {"ratio": 3}),
    "crop": ((2, 3, 9, 13), 9, 5, {"ratio": 1, "crop": 1}),
    "crop to a point": ((1, 3, 9, 13), 5, 1, {"ratio": 1, "crop": 1}),
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("kind", ["sound", "wild"])
@pytest.mark.parametrize("case", REGIONS)
def test_regions(kernels, case, kind, dtype):
    shape, count, size, options = REGIONS[case]
    draw = stream("regions", case)
    x = draw.standard_normal(shape).astype(dtype)
    boxes = boxes_of(kind, count, *shape[2:], dtype)
    images = draw.integers(0, max(shape[0], 1), count).astype("int32")
    data = {"size": size, "scale": 0.5, "aligned": 0, "crop": 0} | options
    pooled = (count, shape[1], size, size)
    dy = draw.standard_normal(pooled).astype(dtype)
    compared(kernels, "bilinear forward", dtype, [x, boxes, images], [(pooled, dtype)], data)
    compared(kernels, "bilinear backward", dtype, [dy, boxes, images], [(shape, dtype)], data)
    x[..., ::4] = np.round(x[..., ::4])  # ties
    outputs = [(pooled, dtype), (pooled, "int32")]
    _, cells = compared(kernels, "roi_pool forward", dtype, [x, boxes, images], outputs, data)
    given = [dy, boxes, images, cells]
    compared(kernels, "roi_pool backward", dtype, given, [(shape, dtype)], data)


def special(count: int, dtype: str) -> np.ndarray:
    """Numbers, ties, NaN of both signs, infinities, both zeros, the smallest ones."""
    draw = stream("special", count)
    x = np.round(draw.standard_normal(count), 1).astype(dtype)
    chosen = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, np.finfo(dtype).smallest_subnormal]
    x[draw.random(count) < 0.4] = 0
    places = draw.random(count) < 0.3
    x[places] = draw.choice(np.array(chosen, dtype), places.sum())
    return x


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 5000])
def test_elements(kernels, count, dtype):
    x, dy = special(count, dtype), special(count, dtype)[::-1]
    one = [((count,), dtype)]
    (finite,) = compared(kernels, "is_finite", dtype, [x], [((count,), "bool")])
    np.testing.assert_array_equal(finite, np.isfinite(x))
    (filled,) = compared(kernels, "nan_to_num forward", dtype, [x], one, {"value": -7.5})
    np.testing.assert_array_equal(filled, np.where(np.isnan(x), -7.5, x))
    compared(kernels, "nan_to_num backward", dtype, [dy, x], one)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (3, 0), (1, 1), (300, 5), (2, 700)])
def test_rows(kernels, rows, columns, dtype):
    x = special(rows * columns, dtype).reshape(rows, columns)
    x[np.isinf(x)] = 1
    outputs = [((rows,), dtype)] * 2
    mean, count = compared(kernels, "nanmean forward", dtype, [x], outputs)
    np.testing.assert_array_equal(count, (~np.isnan(x)).sum(1))
    compared(kernels, "nanmean backward", dtype, [mean, x, count], [((rows, columns), dtype)])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (3, 0), (1, 1), (4, 700)])
def test_order(kernels, rows, columns, dtype):
    """CUDA sorts integer keys where the CPU compares values: stable, NaN last, -0 as 0."""
    x = special(rows * columns, dtype).reshape(rows, columns)
    keys = [((x.size,), dtype.replace("float", "int"))]
    (key,) = compared(kernels, "sort_key", dtype, [x.reshape(-1)], keys)
    order = np.argsort(-key.astype(object).reshape(rows, columns), axis=1, kind="stable")
    cpu = kernels("cpu", f"sort {dtype}", [x], [((rows, columns), "int32")])
    np.testing.assert_array_equal(order, cpu[0])


def test_more_items_than_a_grid_has_threads(kernels):
    x = np.zeros(65535 * 256 + 300, "float32")
    x[[0, -1, -300]] = np.nan
    (finite,) = kernels("cuda", "is_finite float32", [x], [(x.shape, "bool")])
    assert np.flatnonzero(~finite).tolist() == [0, x.size - 300, x.size - 1]


@pytest.mark.parametrize(
    ("count", "dtype"),
    [(0, "float32"), (1, "float32"), (2, "float64"), (300, "float64"), (1030, "float32")],
)
def test_suppression(waiting, count, dtype):
    draw = stream("nms", count)
    boxes = draw.uniform(0, 60, (count, 4))
    boxes[:, 2:] = boxes[:, :2] + draw.uniform(0, 30, (count, 2))
    boxes[::9, 2:] = boxes[::9, :2]  # of no size
    boxes[5::50] = np.nan
    boxes[3::4] = boxes[: len(boxes[3::4])]  # the same again
    given = [
        boxes.astype(dtype),
        draw.integers(0, 3, count).astype("int32"),
        draw.random(count) < 0.9,
    ]
    (kept,) = compared(waiting, "nms", dtype, given, [((count,), "bool")], {"threshold": 0.4})
    assert kept.sum() < max(count, 3)


def check_faces(program, kind: str, form) -> None:
    """Every face of the form against the CPU's, which PyTorch's results have proved (test_float64.py)."""
    draw = stream(kind, str(form.shapes))
    tensors = [draw.standard_normal(shape) for shape in form.shapes]
    for wanted, shape in enumerate(form.shapes):
        inputs = [x for k, x in enumerate(tensors) if k != wanted]
        more = [(tuple(shape), "float64")], form.data[wanted]
        name = f"{kind} {wanted}"
        (ours,) = program("cuda", name, inputs, *more)
        (again,) = program("cuda", name, inputs, *more, order="reversed")
        (cpu,) = program("cpu", name, inputs, *more)
        np.testing.assert_array_equal(again, ours)
        assert np.linalg.norm(ours - cpu) <= 1e-15 * np.linalg.norm(cpu), name
        assert not cpu.size or not all(x.size for x in inputs) or np.abs(cpu).max() > 0


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolutions_of_float64(products, case):
    x, weight, stride, padding, dilation, groups = CONVOLUTIONS[case]
    sizes = zip(x[2:], weight[2:], stride, padding, dilation, strict=True)
    out = [(n + 2 * p - (k - 1) * d - 1) // s + 1 for n, k, s, p, d in sizes]
    out = x[0], weight[0], *out
    check_faces(
        products, "convolution", convolution_form(x, weight, out, stride, padding, dilation, groups)
    )


@pytest.mark.parametrize("case", PRODUCTS)
def test_products_of_float64(products, case):
    check_faces(products, "product", product_form(*case))
