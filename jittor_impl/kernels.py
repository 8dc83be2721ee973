"""Kernels that Jittor lacks, or has with another meaning: C++ for the CPU and CUDA from one source.

Every kernel is a function of one work item that writes what no other item writes, so results do not
depend on the number of threads, and gradients need no atomics: a backward item owns some rows of the
gradient and adds what falls on them, region by region. The CPU runs the items in an OpenMP loop, CUDA in
a grid. float32 and float64; empty inputs are fine.

The arithmetic is that of torchvision's operators (roi_align, roi_pool, nms) and of
tf.image.crop_and_resize.

B images, C channels, H and W the map's size, R regions, S the pooled size, N boxes.
"""

from __future__ import annotations

from dataclasses import dataclass

from jittor_impl.kernel_sources import (
    BILINEAR,
    COMMON,
    INCLUDES,
    NMS,
    NMS_CPU,
    NMS_CUDA,
    ROI_POOL,
    SORT_CPU,
    SPECIAL,
)
from jittor_impl.runtime import jt
from jittor_setup.computed import computed

Tensor = jt.Var


def _header(source: str) -> str:
    """In a namespace of its own: Jittor's operator class has methods called forward and backward."""
    return f"{INCLUDES}namespace regions {{{COMMON}{source}}}\nusing regions::Index;\n"


@dataclass(frozen=True)
class Kernel:
    """`function` of `source` for every item from 0 to `items` - 1.

    `items` and `arguments` are C++ expressions over what Jittor's code operator defines: in0_p,
    in0_shape0, in0_type, ..., out0_p, ..., and data["name"].
    """

    source: str
    function: str
    items: str
    arguments: str

    def cpu(self) -> tuple[str, str]:
        """Header and code."""
        loop = f"""
    Index items = {self.items};
    #pragma omp parallel for
    for (Index item = 0; item < items; item++) regions::{self.function}(item, {self.arguments});
    """
        return _header(self.source), loop

    def cuda(self) -> tuple[str, str]:
        """Header and code; what `data` holds is read on the host and passed by value."""
        kernel = f"""
    template <class... A> __global__ void run(Index items, A... a) {{
        Index step = (Index)blockDim.x * gridDim.x;
        for (Index item = (Index)blockIdx.x * blockDim.x + threadIdx.x; item < items; item += step)
            {self.function}(item, a...);
    }}
    """
        launch = f"""
    Index items = {self.items};
    Index blocks = (items + 255) / 256;
    if (items) regions::run<<<blocks < 65535 ? (int)blocks : 65535, 256>>>(items, {self.arguments});
    """
        return _header(self.source + kernel), launch

    def __call__(self, shapes: list, dtypes: list[str], inputs: list[Tensor], data: dict):
        """Runs it: one output per shape and dtype."""
        (cpu_header, cpu_src), (cuda_header, cuda_src) = self.cpu(), self.cuda()
        return jt.code(
            shapes,
            dtypes,
            [computed(x) for x in inputs],
            cpu_header=cpu_header,
            cpu_src=cpu_src,
            cuda_header=cuda_header,
            cuda_src=cuda_src,
            data=data,
        )


REGIONS = "regions::items_of(out0_shape0, (Index)out0_shape1 * out0_shape2 * out0_shape3)"
POOLED = "(Index)out0_shape0 * out0_shape1 * out0_shape2 * out0_shape3"
BAND = "regions::band_of(out0_shape2)"  # of the gradient of a map
BANDS = f"(Index)out0_shape0 * out0_shape1 * ((out0_shape2 + {BAND} - 1) / {BAND})"
MAP = "(int)in0_shape1, (int)in0_shape2, (int)in0_shape3"  # channels, height, width
GRADIENT = "(int)in1_shape0, (int)out0_shape1, (int)out0_shape2, (int)out0_shape3"  # regions first
SCALE = '(int)data["size"], (in0_type)data["scale"]'
GRID = '(int)data["ratio"], data["aligned"] != 0, data["crop"] != 0'
KERNELS = {
    "bilinear forward": Kernel(
        BILINEAR, "forward", REGIONS, f"in0_p, in1_p, in2_p, out0_p, {MAP}, {SCALE}, {GRID}"
    ),
    "bilinear backward": Kernel(
        BILINEAR, "backward", BANDS, f"in0_p, in1_p, in2_p, out0_p, {GRADIENT}, {SCALE}, {GRID}"
    ),
    "roi_pool forward": Kernel(
        ROI_POOL, "forward", POOLED, f"in0_p, in1_p, in2_p, out0_p, out1_p, {MAP}, {SCALE}"
    ),
    "roi_pool backward": Kernel(
        ROI_POOL, "backward", BANDS, f"in0_p, in1_p, in2_p, in3_p, out0_p, {GRADIENT}, {SCALE}"
    ),
    "is_finite": Kernel(SPECIAL, "finite", "(Index)out0_shape0", "in0_p, out0_p"),
    "nan_to_num forward": Kernel(
        SPECIAL, "replace", "(Index)out0_shape0", 'in0_p, out0_p, (in0_type)data["value"]'
    ),
    "nan_to_num backward": Kernel(SPECIAL, "passed", "(Index)out0_shape0", "in0_p, in1_p, out0_p"),
    "nanmean forward": Kernel(
        SPECIAL, "mean", "(Index)out0_shape0", "in0_p, out0_p, out1_p, (Index)in0_shape1"
    ),
    "nanmean backward": Kernel(
        SPECIAL,
        "shared",
        "(Index)out0_shape0 * out0_shape1",
        "in0_p, in1_p, in2_p, out0_p, (Index)out0_shape1",
    ),
}


def _pooled_shape(x: Tensor, boxes: Tensor, options: dict) -> list[int]:
    return [boxes.shape[0], x.shape[1], options["size"], options["size"]]


class BilinearPool(jt.Function):
    """x [B, C, H, W], boxes [R, 4], images int32 [R] -> [R, C, S, S]; `options`: size, scale, ratio, aligned, crop."""

    def execute(self, x, boxes, images, options: dict):
        self.saved = x.shape, boxes, images, options
        inputs = [x, boxes, images]
        shape = _pooled_shape(x, boxes, options)
        return KERNELS["bilinear forward"]([shape], [x.dtype], inputs, options)[0]

    def grad(self, dy):
        shape, boxes, images, options = self.saved
        inputs = [dy, boxes, images]
        (dx,) = KERNELS["bilinear backward"]([shape], [dy.dtype], inputs, options)
        return dx, None, None, None


class RoiPool(jt.Function):
    """x [B, C, H, W], boxes [R, 4], images int32 [R] -> [R, C, S, S] and the cells; `options`: size, scale."""

    def execute(self, x, boxes, images, options: dict):
        shapes = [_pooled_shape(x, boxes, options)] * 2
        y, where = KERNELS["roi_pool forward"](
            shapes, [x.dtype, "int32"], [x, boxes, images], options
        )
        self.saved = x.shape, boxes, images, where, options
        return y, where

    def grad(self, dy, _):
        shape, boxes, images, where, options = self.saved
        inputs = [dy, boxes, images, where]
        (dx,) = KERNELS["roi_pool backward"]([shape], [dy.dtype], inputs, options)
        return dx, None, None, None


class NanToNum(jt.Function):
    """x of any shape -> the same with `value` for NaN, through which no gradient flows."""

    def execute(self, x, value: float):
        self.saved = x.reshape(-1)
        shape = self.saved.shape
        (y,) = KERNELS["nan_to_num forward"]([shape], [x.dtype], [self.saved], {"value": value})
        return y.reshape(x.shape)

    def grad(self, dy):
        inputs = [dy.reshape(-1), self.saved]
        (dx,) = KERNELS["nan_to_num backward"]([self.saved.shape], [dy.dtype], inputs, {})
        return dx.reshape(dy.shape), None


class NanMean(jt.Function):
    """x [..., N] -> [...]: the mean of what is not NaN, NaN where there is nothing else; a vector gives [1]."""

    def execute(self, x):
        rows = x.reshape(-1, x.shape[-1])
        shapes = [[rows.shape[0]]] * 2
        y, count = KERNELS["nanmean forward"](shapes, [x.dtype] * 2, [rows], {})
        self.saved = x.shape, rows, count
        return y.reshape(x.shape[:-1] or [1])

    def grad(self, dy):
        shape, rows, count = self.saved
        inputs = [dy.reshape(-1), rows, count]
        (dx,) = KERNELS["nanmean backward"]([rows.shape], [dy.dtype], inputs, {})
        return dx.reshape(shape)


def is_finite(x: Tensor) -> Tensor:
    """bool of the shape of `x`."""
    flat = x.reshape(-1)
    return KERNELS["is_finite"]([flat.shape], ["bool"], [flat], {})[0].reshape(x.shape)


def nms(boxes: Tensor, groups: Tensor, allowed: Tensor, threshold: float) -> Tensor:
    """See ops.nms: boxes [N, 4] in order of score, groups int [N], allowed bool [N] -> bool [N]."""
    return jt.code(
        allowed.shape,
        "bool",
        [boxes, groups, allowed],
        cpu_header=_header(NMS),
        cpu_src=NMS_CPU,
        cuda_header=_header(NMS),
        cuda_src=NMS_CUDA,
        data={"threshold": threshold},
    )


def order_descending(x: Tensor) -> Tensor:
    """x [R, N] -> int32 [R, N], the stable descending order of every row, NaN last."""
    if jt.flags.use_cuda:  # CUB's radix sort, which is stable; NaN is not looked for
        return jt.argsort(x, dim=1, descending=True)[0].int32()
    return jt.code(x.shape, "int32", [x], cpu_header=_header(SPECIAL), cpu_src=SORT_CPU)


def cuda_sources() -> dict[str, tuple[str, str]]:
    """Header and code of every CUDA kernel by name, for compilation without a GPU."""
    sources = {name: kernel.cuda() for name, kernel in KERNELS.items()}
    return sources | {"nms": (_header(NMS), NMS_CUDA)}
