"""The three faces of products and convolutions: shapes, C++ for the CPU and for CUDA, and what it reads.

float64.py runs them; no framework here. float32: products on the CPU only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from jittor_setup import gemm, products_cuda

PLACES = ("batch", "row", "column")
REAL = {"float64": "#define PRODUCTS_REAL double", "float32": "#define PRODUCTS_REAL float"}
SHAPE = """
    auto n = [&](const char* name) { return (products::Index)data[name]; };
    products::Shape shape = {n("batch"), n("channels"), n("height"), n("width"), n("outputs"), n("groups"),
        {n("size0"), n("size1")}, {n("out0"), n("out1")}, {n("stride0"), n("stride1")},
        {n("padding0"), n("padding1")}, {n("dilation0"), n("dilation1")}};
"""
CONVOLVE = tuple(
    SHAPE + f"products::{call};"
    for call in (
        "to_input(shape, in1_p, in0_p, out0_p)",  # from w and dy
        "to_weights(shape, in0_p, in1_p, out0_p)",  # from x and dy
        "forward(shape, in0_p, in1_p, out0_p)",  # from x and w
    )
)
MULTIPLY = """
    auto n = [&](const char* name) { return (products::Index)data[name]; };
    products::Matrices factors = {in0_p, in1_p, out0_p, {n("a_batch"), n("a_row"), n("a_column")},
        {n("b_batch"), n("b_row"), n("b_column")}, {n("c_batch"), n("c_row"), n("c_column")}};
    products::multiply(factors, n("batches"), n("rows"), n("columns"), n("depth"));
"""


@dataclass(frozen=True)
class Form:
    """Three tensors' shapes; of face k, which gives tensor k from the two others in their order, the C++ source
    (for the CPU, for CUDA) and the numbers that it reads."""

    shapes: tuple[list[int], list[int], list[int]]
    header: str
    sources: tuple[str, str, str]
    cuda_header: str
    cuda_sources: tuple[str, str, str]
    dtype: str
    data: tuple[dict, dict, dict] = field(repr=False)


def strides(rows: int, columns: int, transposed: bool) -> tuple[int, int, int]:
    """How far apart batches, rows and columns of a matrix [rows, columns] lie that may be kept transposed."""
    return rows * columns, *((1, rows) if transposed else (columns, 1))


def product_form(
    batch: int, rows: int, columns: int, depth: int, transposed: bool, dtype: str = "float64"
) -> Form:
    """c [batch, rows, columns] = a [batch, rows, depth] b [batch, depth, columns], b kept as [..., columns, depth]
    when it is `transposed`."""
    at = {
        "a": strides(rows, depth, False),
        "b": strides(depth, columns, transposed),
        "c": strides(rows, columns, False),
    }
    at |= {f"{k}T": (batches, across, down) for k, (batches, down, across) in at.items()}

    def numbers(left: str, right: str, out: str, sizes: tuple[int, int, int]) -> dict:
        found = dict(zip(("rows", "columns", "depth"), sizes)) | {"batches": batch}
        for name, places in zip("abc", (left, right, out)):
            found |= {f"{name}_{place}": n for place, n in zip(PLACES, at[places])}
        return found

    stored_b = (columns, depth) if transposed else (depth, columns)
    shapes = [batch, rows, depth], [batch, *stored_b], [batch, rows, columns]
    data = (
        # from b and c: a = c b', its transpose b c' has b on the left
        numbers("b", "cT", "aT", (depth, rows, columns)),
        numbers("aT", "c", "b", (depth, columns, rows)),
        numbers("a", "b", "c", (rows, columns, depth)),
    )
    header = REAL[dtype] + gemm.ENGINE + gemm.MATRICES + gemm.END
    cuda = products_cuda.PRODUCT, (products_cuda.MULTIPLY,) * 3
    return Form(shapes, header, (MULTIPLY,) * 3, *cuda, dtype, data)


def both(n: int | tuple[int, int]) -> tuple[int, int]:
    """One number for each axis."""
    return tuple(n) if isinstance(n, (tuple, list)) else (n, n)


def convolution_form(x, weight, out, stride, padding, dilation, groups: int) -> Form:
    """Of the shapes x [B, C, H, W], weight [O, C / groups, R, S], out [B, O, P, Q], and two numbers per axis."""
    names = ("batch", "channels", "height", "width", "outputs")
    numbers = dict(zip(names, (*x, out[1]))) | {"groups": groups}
    pairs = {
        "size": weight[2:],
        "out": out[2:],
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
    }
    numbers |= {f"{name}{axis}": pair[axis] for name, pair in pairs.items() for axis in (0, 1)}
    header = (
        REAL["float64"] + gemm.ENGINE + gemm.MATRICES + gemm.CONVOLUTION + gemm.WEIGHTS + gemm.END
    )
    cuda = products_cuda.CONVOLVE, CONVOLVE
    return Form(
        (list(x), list(weight), list(out)), header, CONVOLVE, *cuda, "float64", (numbers,) * 3
    )
