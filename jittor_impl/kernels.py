"""Kernels that Jittor lacks, or has with another meaning: C++ for the CPU and CUDA from one source (kernel_table.py).

The arithmetic is that of torchvision's operators (roi_align, roi_pool, nms) and of
tf.image.crop_and_resize.

B images, C channels, H and W the map's size, R regions, S the pooled size, N boxes.
"""

from __future__ import annotations

from jittor_impl.kernel_table import cpu_sources, cuda_sources
from jittor_impl.runtime import jt
from jittor_setup.computed import computed

Tensor = jt.Var
CPU, CUDA = cpu_sources(), cuda_sources()


def run(name: str, shapes: list, dtypes: list[str], inputs: list[Tensor], data: dict):
    """Runs a kernel: one output per shape and dtype; its code reads the numbers in `data` by name."""
    (cpu_header, cpu_src), (cuda_header, cuda_src) = CPU[name], CUDA.get(name, ("", ""))
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


def _pooled_shape(x: Tensor, boxes: Tensor, options: dict) -> list[int]:
    return [boxes.shape[0], x.shape[1], options["size"], options["size"]]


class BilinearPool(jt.Function):
    """x [B, C, H, W], boxes [R, 4], images int32 [R] -> [R, C, S, S]; `options`: size, scale, ratio, aligned, crop."""

    def execute(self, x, boxes, images, options: dict):
        self.saved = x.shape, boxes, images, options
        inputs = [x, boxes, images]
        shape = _pooled_shape(x, boxes, options)
        return run("bilinear forward", [shape], [x.dtype], inputs, options)[0]

    def grad(self, dy):
        shape, boxes, images, options = self.saved
        inputs = [dy, boxes, images]
        (dx,) = run("bilinear backward", [shape], [dy.dtype], inputs, options)
        return dx, None, None, None


class RoiPool(jt.Function):
    """x [B, C, H, W], boxes [R, 4], images int32 [R] -> [R, C, S, S] and the cells; `options`: size, scale."""

    def execute(self, x, boxes, images, options: dict):
        shapes = [_pooled_shape(x, boxes, options)] * 2
        inputs = [x, boxes, images]
        y, where = run("roi_pool forward", shapes, [x.dtype, "int32"], inputs, options)
        self.saved = x.shape, boxes, images, where, options
        return y, where

    def grad(self, dy, _):
        shape, boxes, images, where, options = self.saved
        inputs = [dy, boxes, images, where]
        (dx,) = run("roi_pool backward", [shape], [dy.dtype], inputs, options)
        return dx, None, None, None


class NanToNum(jt.Function):
    """x of any shape -> the same with `value` for NaN, through which no gradient flows."""

    def execute(self, x, value: float):
        self.saved = x.reshape(-1)
        shape = self.saved.shape
        (y,) = run("nan_to_num forward", [shape], [x.dtype], [self.saved], {"value": value})
        return y.reshape(x.shape)

    def grad(self, dy):
        inputs = [dy.reshape(-1), self.saved]
        (dx,) = run("nan_to_num backward", [self.saved.shape], [dy.dtype], inputs, {})
        return dx.reshape(dy.shape), None


class NanMean(jt.Function):
    """x [..., N] -> [...]: the mean of what is not NaN, NaN where there is nothing else; a vector gives [1]."""

    def execute(self, x):
        rows = x.reshape(-1, x.shape[-1])
        shapes = [[rows.shape[0]]] * 2
        y, count = run("nanmean forward", shapes, [x.dtype] * 2, [rows], {})
        self.saved = x.shape, rows, count
        return y.reshape(x.shape[:-1] or [1])

    def grad(self, dy):
        shape, rows, count = self.saved
        inputs = [dy.reshape(-1), rows, count]
        (dx,) = run("nanmean backward", [rows.shape], [dy.dtype], inputs, {})
        return dx.reshape(shape)


def is_finite(x: Tensor) -> Tensor:
    """bool of the shape of `x`."""
    flat = x.reshape(-1)
    return run("is_finite", [flat.shape], ["bool"], [flat], {})[0].reshape(x.shape)


def nms(boxes: Tensor, groups: Tensor, allowed: Tensor, threshold: float) -> Tensor:
    """See ops.nms: boxes [N, 4] in order of score, groups int [N], allowed bool [N] -> bool [N]."""
    inputs = [boxes, groups, allowed]
    return run("nms", [allowed.shape], ["bool"], inputs, {"threshold": threshold})[0]


def order_descending(x: Tensor) -> Tensor:
    """x [R, N] -> int32 [R, N], the stable descending order of every row, NaN last."""
    if not jt.flags.use_cuda:
        return run("sort", [x.shape], ["int32"], [x], {})[0]
    # CUB's radix sort is stable, and takes NaN for the greatest: it is given integers in the order that is wanted
    kind = "int64" if str(x.dtype) == "float64" else "int32"
    (key,) = run("sort_key", [[x.numel()]], [kind], [x.reshape(-1)], {})
    return jt.argsort(key.reshape(x.shape), dim=1, descending=True)[0].int32()
