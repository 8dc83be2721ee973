"""Products and convolutions of float64 on the CPU, in the place of Jittor's own (gemm.py says why, and how).

`install` puts them behind jt.nn's functions and modules, so that a user's own module has them too; any other
dtype, CUDA and every form that is not here go on to what was there before.

A product and a convolution alike are linear in each of two tensors. Call the third tensor their result: then
the gradient of either of the two is linear in the other and in the third's gradient, and the gradients of
that are again of these three kinds. `Face` is all three, so it can be differentiated as often as one likes,
and a transposed convolution is a convolution's second face.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import wraps

import jittor as jt

from jittor_setup import gemm
from jittor_setup.computed import computed

Tensor = jt.Var
PLACES = ("batch", "row", "column")
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
    and the numbers that it reads."""

    shapes: tuple[list[int], list[int], list[int]]
    header: str
    sources: tuple[str, str, str]
    data: tuple[dict, dict, dict] = field(repr=False)


class Face(jt.Function):
    """Tensor `wanted` of a form from the other two; `find` makes and calls it."""

    def __init__(self, *saved):
        # what is handed to `execute` has no past: through it no second gradient would reach the tensors
        self.saved = saved

    def execute(self, first: Tensor, second: Tensor, form: Form, wanted: int):
        return jt.code(
            form.shapes[wanted],
            "float64",
            [computed(first), computed(second)],
            cpu_header=form.header,
            cpu_src=form.sources[wanted],
            data=form.data[wanted],
        )

    def grad(self, cotangent):
        first, second, form, wanted = self.saved
        given = [k for k in range(3) if k != wanted]
        tensors = {wanted: cotangent, given[0]: first, given[1]: second}
        gradients = []
        for k in given:
            others = [tensors[j] for j in range(3) if j != k]
            gradients.append(find(*others, form, k))  # computed only if somebody asks for it
        return (*gradients, None, None)


def find(first: Tensor, second: Tensor, form: Form, wanted: int) -> Tensor:
    """Tensor `wanted` of the form from the other two, in their order."""
    return Face(first, second, form, wanted)(first, second, form, wanted)


def takes(*tensors) -> bool:
    """Whether this is for the kernels here."""
    return not jt.flags.use_cuda and all(
        isinstance(x, Tensor) and str(x.dtype) == "float64" for x in tensors
    )


# products


def strides(rows: int, columns: int, transposed: bool) -> tuple[int, int, int]:
    """How far apart batches, rows and columns of a matrix [rows, columns] lie that may be kept transposed."""
    return rows * columns, *((1, rows) if transposed else (columns, 1))


def product_form(batch: int, rows: int, columns: int, depth: int, transposed: bool) -> Form:
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
    header = gemm.ENGINE + gemm.MATRICES + gemm.END
    return Form(shapes, header, (MULTIPLY,) * 3, data)


def product(a: Tensor, b: Tensor, transposed: bool) -> Tensor:
    """a [B, M, K], b [B, K, N] or, `transposed`, [B, N, K] -> [B, M, N]."""
    columns = b.shape[1 if transposed else 2]
    return find(a, b, product_form(*a.shape[:2], columns, a.shape[2], transposed), 2)


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """a [..., M, K], b [..., K, N] -> [..., M, N], the axes in front broadcast."""
    if b.ndim == 2:
        rows = a.reshape(1, a.numel() // a.shape[-1], a.shape[-1])
        return product(rows, b.unsqueeze(0), False).reshape(*a.shape[:-1], b.shape[1])
    front = [1] * (max(a.ndim, b.ndim) - 2)
    for x in (a, b):
        own = [1] * (len(front) + 2 - x.ndim) + list(x.shape[:-2])
        front = [n if m == 1 else m for n, m in zip(own, front)]
    a, b = (x.broadcast([*front, *x.shape[-2:]]) for x in (a, b))
    batch = 1
    for n in front:
        batch *= n
    flat = (x.reshape(batch, *x.shape[-2:]) for x in (a, b))
    return product(*flat, False).reshape(*front, a.shape[-2], b.shape[-1])


def can_multiply(a, b) -> bool:
    if not (takes(a, b) and a.ndim >= 2 and b.ndim >= 2 and a.shape[-1] == b.shape[-2]):
        return False
    front = zip(a.shape[-3::-1], b.shape[-3::-1])
    return a.shape[-1] > 0 and all(n == m or 1 in (n, m) for n, m in front)


def matmul_transpose(a: Tensor, b: Tensor) -> Tensor:
    """a [..., K], b [N, K] -> [..., N]."""
    rows = a.numel() // a.shape[-1]
    y = product(a.reshape(1, rows, a.shape[-1]), b.unsqueeze(0), True)
    return y.reshape(*a.shape[:-1], b.shape[0])


def can_multiply_transposed(a, b) -> bool:
    return takes(a, b) and b.ndim == 2 and a.ndim > 1 and a.shape[-1] == b.shape[-1] > 0


# convolutions


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
    header = gemm.ENGINE + gemm.MATRICES + gemm.CONVOLUTION + gemm.WEIGHTS + gemm.END
    return Form((list(x), list(weight), list(out)), header, CONVOLVE, (numbers,) * 3)


def with_bias(y: Tensor, bias: Tensor | None) -> Tensor:
    return y if bias is None else y + bias.broadcast(y.shape, [0, 2, 3])


def out_size(x, weight, stride, padding, dilation) -> list[int]:
    sizes = zip(x.shape[2:], weight.shape[2:], both(stride), both(padding), both(dilation))
    return [(n + 2 * p - (k - 1) * d - 1) // s + 1 for n, k, s, p, d in sizes]


def can_convolve(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1) -> bool:
    if not (takes(x, weight) and x.ndim == weight.ndim == 4 and groups > 0):
        return False
    fits = x.shape[1] == weight.shape[1] * groups and weight.shape[0] % groups == 0
    return fits and min(out_size(x, weight, stride, padding, dilation)) > 0


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1) -> Tensor:
    """x [B, C, H, W], weight [O, C / groups, R, S], bias [O] -> [B, O, P, Q]."""
    out = x.shape[0], weight.shape[0], *out_size(x, weight, stride, padding, dilation)
    pairs = map(both, (stride, padding, dilation))
    form = convolution_form(x.shape, weight.shape, out, *pairs, groups)
    return with_bias(find(x, weight, form, 2), bias)


def can_convolve_transposed(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
) -> bool:
    # with groups Jittor's reads its weights in another order than PyTorch's: left as it is
    if not (takes(x, weight) and x.ndim == weight.ndim == 4 and groups == 1):
        return False
    extra = zip(both(output_padding), both(stride), both(dilation))
    return x.shape[1] == weight.shape[0] and all(n < max(s, d) for n, s, d in extra)


def conv_transpose(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
) -> Tensor:
    """x [B, O, P, Q], weight [O, C, R, S], bias [C] -> [B, C, H, W]: how a convolution's gradient reaches its input."""
    pairs = [*map(both, (stride, padding, dilation))]
    sizes = zip(x.shape[2:], weight.shape[2:], both(output_padding), *pairs)
    size = [(n - 1) * s + extra - 2 * p + 1 + (k - 1) * d for n, k, extra, s, p, d in sizes]
    form = convolution_form(
        (x.shape[0], weight.shape[1], *size), weight.shape, x.shape, *pairs, groups
    )
    return with_bias(find(weight, x, form, 0), bias)


# in Jittor's place


def prefer(own, accepts, before):
    """`own` for the arguments that it accepts, `before` for others."""

    @wraps(before)
    def chosen(*args, **named):
        return (own if accepts(*args, **named) else before)(*args, **named)

    return chosen


def prefer_in_module(own, accepts, module: type, options: tuple[str, ...]) -> None:
    """As `prefer` for what `module` executes; `options` are the attributes that `own` takes by these names."""
    before = module.execute

    @wraps(before)
    def execute(self, x):
        named = {name: getattr(self, name) for name in options}
        if accepts(x, self.weight, self.bias, **named):
            return own(x, self.weight, self.bias, **named)
        return before(self, x)

    module.execute = execute


def install() -> None:
    """Once for a process; again does nothing."""
    nn = jt.nn
    if hasattr(nn.matmul, "__wrapped__"):
        return
    nn.matmul = jt.matmul = prefer(matmul, can_multiply, nn.matmul)
    Tensor.matmul = Tensor.__matmul__ = nn.matmul
    nn.matmul_transpose = prefer(matmul_transpose, can_multiply_transposed, nn.matmul_transpose)
    nn.conv2d = nn.conv = prefer(conv2d, can_convolve, nn.conv2d)
    nn.conv_transpose = nn.conv_transpose2d = prefer(
        conv_transpose, can_convolve_transposed, nn.conv_transpose
    )
    options = ("stride", "padding", "dilation", "groups")
    prefer_in_module(conv2d, can_convolve, nn.Conv, options)
    options = (*options, "output_padding")
    prefer_in_module(conv_transpose, can_convolve_transposed, nn.ConvTranspose, options)
