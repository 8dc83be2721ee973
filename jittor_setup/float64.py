"""Products and convolutions of float64, in the place of Jittor's own (gemm.py and products_cuda.py say why, and how).

`install` puts them behind jt.nn's functions and modules, so that a user's own module has them too; any other
dtype and every form that is not here go on to what was there before. `install_batched` does it for float32's
products of many matrices on the CPU, which only this project's own models ask for.

A product and a convolution alike are linear in each of two tensors. Call the third tensor their result: then
the gradient of either of the two is linear in the other and in the third's gradient, and the gradients of
that are again of these three kinds. `Face` is all three, so it can be differentiated as often as one likes,
and a transposed convolution is a convolution's second face.
"""

from __future__ import annotations

from functools import cache, wraps

import jittor as jt

from jittor_setup.computed import computed
from jittor_setup.float64_forms import Form, both, convolution_form, product_form

Tensor = jt.Var


class Face(jt.Function):
    """Tensor `wanted` of a form from the other two; `find` makes and calls it."""

    def __init__(self, *saved):
        # what is handed to `execute` has no past: through it no second gradient would reach the tensors
        self.saved = saved

    def execute(self, first: Tensor, second: Tensor, form: Form, wanted: int):
        return jt.code(
            form.shapes[wanted],
            form.dtype,
            [computed(first), computed(second)],
            cpu_header=form.header,
            cpu_src=form.sources[wanted],
            cuda_header=form.cuda_header,
            cuda_src=form.cuda_sources[wanted],
            data=form.data[wanted],
        )

    def grad(self, cotangent):
        first, second, form, wanted = self.saved
        # behind a whole number as a factor Jittor's gradients are float32
        cotangent = cotangent if str(cotangent.dtype) == form.dtype else cotangent.cast(form.dtype)
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


def takes(*tensors, dtype: str = "float64") -> bool:
    """Whether this is for the kernels here."""
    return all(isinstance(x, Tensor) and str(x.dtype) == dtype for x in tensors)


# products


def product(a: Tensor, b: Tensor, transposed: bool) -> Tensor:
    """a [B, M, K], b [B, K, N] or, `transposed`, [B, N, K] -> [B, M, N]."""
    columns = b.shape[1 if transposed else 2]
    form = product_form(*a.shape[:2], columns, a.shape[2], transposed, str(a.dtype))
    return find(a, b, form, 2)


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


def fit(a: Tensor, b: Tensor) -> bool:
    """Whether these are matrices that can be multiplied."""
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
        return False
    front = zip(a.shape[-3::-1], b.shape[-3::-1])
    return a.shape[-1] > 0 and all(n == m or 1 in (n, m) for n, m in front)


def can_multiply(a, b) -> bool:
    return takes(a, b) and fit(a, b)


def can_multiply_batched(a, b) -> bool:
    # one right factor for all is oneDNN's, and everything cuBLAS's
    return takes(a, b, dtype="float32") and b.ndim > 2 and fit(a, b) and not jt.flags.use_cuda


def matmul_transpose(a: Tensor, b: Tensor) -> Tensor:
    """a [..., K], b [N, K] -> [..., N]."""
    rows = a.numel() // a.shape[-1]
    y = product(a.reshape(1, rows, a.shape[-1]), b.unsqueeze(0), True)
    return y.reshape(*a.shape[:-1], b.shape[0])


def can_multiply_transposed(a, b) -> bool:
    return takes(a, b) and b.ndim == 2 and a.ndim > 1 and a.shape[-1] == b.shape[-1] > 0


# convolutions


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


def are_mixed(*args, **named) -> bool:
    """Whether tensors of both widths come together in a float64 run: oneDNN's products take float32 alone, and raise.
    In a float32 run that is the code's own mistake."""
    if jt.flags.auto_convert_64_to_32:
        return False
    tensors = [x for x in (*args, *named.values()) if isinstance(x, Tensor)]
    return {"float32", "float64"} <= {str(x.dtype) for x in tensors}


def in_float64(function):
    """The same of tensors of which some are float32: these are made float64 first."""

    def wide(x):
        narrow = isinstance(x, Tensor) and str(x.dtype) == "float32"
        return x.float64() if narrow else x

    @wraps(function)
    def called(*args, **named):
        return function(*map(wide, args), **{k: wide(x) for k, x in named.items()})

    return called


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


def prefer_product(accepts) -> None:
    nn = jt.nn
    nn.matmul = jt.matmul = prefer(matmul, accepts, nn.matmul)
    Tensor.matmul = Tensor.__matmul__ = nn.matmul


@cache
def install_batched() -> None:
    """Once for a process; again does nothing."""
    prefer_product(can_multiply_batched)


@cache
def install() -> None:
    """Once for a process; again does nothing."""
    nn = jt.nn
    prefer_product(can_multiply)
    nn.matmul_transpose = prefer(matmul_transpose, can_multiply_transposed, nn.matmul_transpose)
    nn.conv2d = nn.conv = prefer(conv2d, can_convolve, nn.conv2d)
    nn.conv_transpose = nn.conv_transpose2d = prefer(
        conv_transpose, can_convolve_transposed, nn.conv_transpose
    )
    options = ("stride", "padding", "dilation", "groups")
    prefer_in_module(conv2d, can_convolve, nn.Conv, options)
    several = (*options, "output_padding")
    prefer_in_module(conv_transpose, can_convolve_transposed, nn.ConvTranspose, several)
    install_mixed()
    prefer_in_module(nn.conv2d, are_mixed, nn.Conv, options)
    prefer_in_module(nn.conv_transpose, are_mixed, nn.ConvTranspose, several)


def install_mixed() -> None:
    nn = jt.nn
    nn.matmul = jt.matmul = prefer(in_float64(nn.matmul), are_mixed, nn.matmul)
    Tensor.matmul = Tensor.__matmul__ = nn.matmul
    for name in ("matmul_transpose", "conv2d", "conv_transpose"):
        before = getattr(nn, name)
        setattr(nn, name, prefer(in_float64(before), are_mixed, before))
    nn.conv, nn.conv_transpose2d = nn.conv2d, nn.conv_transpose
