"""The one file where the two implementations may differ: Jittor's half.

Small functions with the same contracts as torch_impl/ops.py; model files use these and plain
operators only. `like` arguments give the dtype and device of new tensors. Each contract has a
parity case in parity/suite/test_ops.py. Comments say which behaviour of Jittor 1.3.11 a line is about;
docs/jittor.md collects them.
"""

from __future__ import annotations

import numpy as np

from jittor_impl import kernels
from jittor_impl.runtime import jt
from neutral.errors import InputError
from neutral.geometry import bilinear_weights, nearest_index

Tensor = jt.Var
MASKED = -(
    2.0**100
)  # added to attention logits of padding: exp gives exactly 0, and no infinity is involved


# creation and conversion


def parameter(*shape: int) -> Tensor:
    """A trainable tensor of zeros in the default dtype; values come from the weight layer."""
    return jt.array(np.zeros(shape, dtype=_default_dtype()))


def buffer(*shape: int) -> Tensor:
    """A tensor of zeros that is saved with the model and never trained."""
    return jt.array(np.zeros(shape, dtype=_default_dtype()))


def _default_dtype() -> str:
    return "float32" if jt.flags.auto_convert_64_to_32 else "float64"


def array(values: np.ndarray, like: Tensor | None = None) -> Tensor:
    """NumPy -> tensor on the default device; floats become `like.dtype` when it is given."""
    values = np.ascontiguousarray(values)
    if like is not None and values.dtype.kind == "f":
        values = values.astype(str(like.dtype))
    return jt.array(values)


def to_numpy(x: Tensor) -> np.ndarray:
    """Tensor -> a NumPy array of its own, same shape and dtype; a scalar has shape (1,) in Jittor."""
    return x.numpy().copy()


def scalar(value: float, like: Tensor) -> Tensor | float:
    """A Python number that takes part in arithmetic with `like` at the precision of `like`."""
    if str(like.dtype) != "float64":
        return value
    return jt.array(
        np.array([value], dtype=np.float64)
    )  # a bare Python float would pass through float32


def cast(x: Tensor, like: Tensor) -> Tensor:
    """`x` (any dtype, bool included) in the dtype of `like`."""
    cast = x.cast(str(like.dtype))
    return cast.stop_grad() if str(x.dtype) == "bool" else cast


def as_index(x: Tensor) -> Tensor:
    """Numbers or booleans as integers, cut toward zero."""
    return x.int32()


def as_float(x: Tensor) -> Tensor:
    """Integers or booleans in the default dtype."""
    return x.cast(_default_dtype()).stop_grad()


def as_float32(x: Tensor) -> Tensor:
    return x.float32()


def full_precision(x: Tensor) -> Tensor:
    """What mixed precision left in bfloat16 as float32; anything else as it is."""
    return x


def frozen(x: Tensor) -> Tensor:
    """`x` as a constant: no gradient flows to it."""
    return x.detach().stop_grad()


def identity(x: Tensor) -> Tensor:
    """A tensor of its own with the values of `x`; gradients pass."""
    return x.clone()


# shapes


def cat(tensors: list[Tensor], axis: int) -> Tensor:
    return jt.concat(tensors, dim=axis)


def stack(tensors: list[Tensor], axis: int) -> Tensor:
    return jt.stack(tensors, dim=axis)


def permute(x: Tensor, *axes: int) -> Tensor:
    return jt.core.ops.transpose(x, list(axes))  # Var.permute(0, 1) would swap the axes of a matrix


def expand(x: Tensor, *shape: int) -> Tensor:
    """`x` broadcast to `shape` (axes of length 1 repeat)."""
    return x.broadcast(list(shape))


def arange(count: int, like: Tensor) -> Tensor:
    """0, 1, ..., count - 1 in the dtype of `like`."""
    return jt.array(np.arange(count, dtype=str(like.dtype))).stop_grad()


# element-wise


def relu(x: Tensor) -> Tensor:
    return jt.nn.relu(x)


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + jt.exp(-x))  # Jittor's own has another gradient far from 0


def power(base: float, exponent: Tensor) -> Tensor:
    return (
        jt.array(np.array([base], dtype=str(exponent.dtype))).broadcast(exponent.shape) ** exponent
    )


def absolute(x: Tensor) -> Tensor:
    """|x| with gradient 0 at 0."""
    return x * _sign(x)  # Jittor's abs has gradient 1 at 0


def _sign(x: Tensor) -> Tensor:
    """-1, 0 or 1, a constant."""
    return ((x > 0).cast(str(x.dtype)) - (x < 0).cast(str(x.dtype))).stop_grad()


def maximum(a: Tensor, b: Tensor) -> Tensor:
    """Element-wise; at a tie each side gets half of the gradient."""
    share = (1 + _sign(a - b)) / 2  # Jittor's maximum gives the whole gradient to one side
    return a * share + b * (1 - share)


def minimum(a: Tensor, b: Tensor) -> Tensor:
    """Element-wise; at a tie each side gets half of the gradient."""
    share = (1 - _sign(a - b)) / 2
    return a * share + b * (1 - share)


def clamp_min(x: Tensor, low: float) -> Tensor:
    return jt.clamp(x, min_v=low)


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)), with gradient 1/2 at 0."""
    power = jt.exp(-absolute(x))
    # log(1 + p) = 2 artanh(p / (2 + p)), which keeps its digits where p is small
    return maximum(x, x * 0) + 2 * jt.arctanh(power / (power + 2))


def where(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """a where `condition` is True, else b; all of one shape."""
    return jt.ternary(condition, a, b)


def round_half_even(x: Tensor) -> Tensor:
    nearest = (x + 0.5).floor()  # Jittor's own rounds halves away from zero
    tie = (x + 0.5 == nearest).cast(str(x.dtype))
    return nearest - tie * (nearest - (nearest / 2).floor() * 2)


def logical_not(mask: Tensor) -> Tensor:
    return mask.logical_not()  # ~ is missing on bool


def logical_and(a: Tensor, b: Tensor) -> Tensor:
    """Of two bool tensors, which may broadcast."""
    return a.logical_and(b)


def logical_or(a: Tensor, b: Tensor) -> Tensor:
    """Of two bool tensors, which may broadcast."""
    return a.logical_or(b)


# reductions, sorting, indexing


def cumsum(x: Tensor, axis: int) -> Tensor:
    """Running sum of a float tensor. Cast masks first: a bool's cumsum differs between frameworks."""
    return jt.cumsum(x, dim=axis)


def argmax(x: Tensor, axis: int) -> Tensor:
    """Index of the greatest value; which one at a tie is not defined."""
    return jt.argmax(x, dim=axis)[0]  # a pair in Jittor


def max_with_index(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    index, values = jt.argmax(x, dim=axis)
    return values, index


def max_first(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Greatest value and the first index that has it, both constants. NaN is not allowed."""
    x, axis = frozen(x), axis % x.ndim
    values = x.max(axis, keepdims=True)
    positions = jt.arange(x.shape[axis]).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    positions = positions.broadcast(x.shape)
    first = jt.ternary(x == values, positions, positions * 0 + x.shape[axis]).min(axis)
    return values.reshape(first.shape).stop_grad(), first


def sort_descending(x: Tensor) -> tuple[Tensor, Tensor]:
    """Along the last axis: values, and where they were; equal values keep their order, NaN comes last."""
    order = kernels.order_descending(x.reshape(-1, x.shape[-1])).reshape(x.shape)
    return jt.gather(x, x.ndim - 1, order), order  # Jittor's own sort is not stable


def ranks(x: Tensor) -> Tensor:
    """Place of every element in the ascending order of the last axis; equal values keep their order."""
    order = kernels.order_descending(-x.reshape(-1, x.shape[-1]))
    return kernels.order_descending(-as_float(order)).reshape(x.shape)


def one_hot(index: Tensor, count: int, like: Tensor) -> Tensor:
    """int [...] -> [..., count] in the dtype of `like`; an index outside 0..count-1 gives zeros."""
    return (index.unsqueeze(-1) == jt.arange(count)).cast(str(like.dtype)).stop_grad()


def take(x: Tensor, index: Tensor) -> Tensor:
    """x [B, N, ...], index int [B, K] within 0..N-1 -> x[b, index[b, k]] [B, K, ...]."""
    rows = index + (jt.arange(x.shape[0]) * x.shape[1]).unsqueeze(1)
    found = x.reshape(-1, *x.shape[2:])[rows.reshape(-1)]
    return found.reshape(*index.shape, *x.shape[2:])


def take_rows(x: Tensor, index: Tensor) -> Tensor:
    """x [N, ...], index int [K] within 0..N-1 -> x[index] [K, ...]."""
    return x[index]


def gather_pairs(x: Tensor, first: np.ndarray, second: np.ndarray) -> Tensor:
    """x[first[k], second[k]] for all k; indices are NumPy and checked, negative ones refused."""
    check_index(first, x.shape[0])
    check_index(second, x.shape[1])
    return x[array(first), array(second)]


def take_last(x: Tensor, index: np.ndarray) -> Tensor:
    """x[..., index[...]]: one value of the last axis per position; shape of `index`."""
    check_index(index, x.shape[-1])
    flat = x.reshape(-1, x.shape[-1])
    rows = np.arange(index.size, dtype=index.dtype)
    return flat[array(rows), array(index.reshape(-1))].reshape(index.shape)


def check_index(index: np.ndarray, length: int) -> None:
    """IndexError unless all are in 0..length-1 (Jittor would read foreign memory)."""
    if index.size and (index.min() < 0 or index.max() >= length):
        raise IndexError(f"index {index.min()}..{index.max()} outside 0..{length - 1}")


# layers


def softmax(x: Tensor, axis: int) -> Tensor:
    powers = jt.exp(x - x.max(axis, keepdims=True).stop_grad())
    return powers / powers.sum(axis, keepdims=True)


def log_softmax(x: Tensor, axis: int) -> Tensor:
    shifted = x - x.max(axis, keepdims=True).stop_grad()
    return shifted - jt.log(jt.exp(shifted).sum(axis, keepdims=True))


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Over the last axis, biased variance."""
    centred = x - _mean_last(x)  # two passes: Jittor's own subtracts squares and cancels
    variance = _mean_last(centred * centred)
    return centred / (variance + scalar(eps, x)).sqrt() * weight + bias


def group_norm(x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """x [B, C, H, W], biased variance over each group of channels."""
    grouped = x.reshape(x.shape[0], groups, -1, x.shape[3])
    centred = grouped - _mean_rows(grouped)
    variance = _mean_rows(centred * centred)
    normed = (centred / (variance + scalar(eps, x)).sqrt()).reshape(x.shape)
    return normed * weight.reshape(1, -1, 1, 1) + bias.reshape(1, -1, 1, 1)


def _mean_last(x: Tensor) -> Tensor:
    """Mean over the last axis, kept. Jittor's mean has a backward that passes through float32."""
    return x.sum(-1, keepdims=True) / x.shape[-1]


def _mean_rows(x: Tensor) -> Tensor:
    """Mean over the last two axes, the last but one repeated: [..., R, C] -> [..., R, 1].

    Row by row first, and spread in two steps so that the backward sums row by row too: one long float32
    sum loses digits.
    """
    mean = x.sum(-1, keepdims=True).sum(-2, keepdims=True) / (x.shape[-1] * x.shape[-2])
    return mean.broadcast([*x.shape[:-1], 1])


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x [..., I], weight [O, I], bias [O] -> [..., O]."""
    return jt.nn.linear(x, weight, bias)


def max_pool(x: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """x [B, C, H, W]; padding never wins."""
    height, width = x.shape[2:]
    if min(height, width) > kernel:
        return jt.nn.max_pool2d(x, kernel, stride, padding)
    # Jittor refuses maps that are no larger than the window: they are filled up with what does not win
    rows, columns = ((n + 2 * padding - kernel) // stride + 1 for n in (height, width))
    for axis in (2, 3):
        shape = list(x.shape)
        shape[axis] = max(0, kernel + 1 - shape[axis])
        if shape[axis]:
            x = jt.concat([x, jt.full(shape, MASKED).cast(x.dtype)], dim=axis)
    return jt.nn.max_pool2d(x, kernel, stride, padding)[:, :, :rows, :columns]


def resize_mask(mask: Tensor, height: int, width: int) -> Tensor:
    """bool [B, H, W] -> bool [B, height, width], nearest as F.interpolate: source = floor(i * H / height)."""
    rows, columns = (_nearest_index(n, m) for n, m in zip(mask.shape[1:], (height, width)))
    return mask[:, rows[:, None], columns[None]]  # jt.nn.interpolate would be bilinear


def upsample_nearest(x: Tensor, height: int, width: int) -> Tensor:
    """x [B, C, H, W] -> [B, C, height, width], nearest as F.interpolate: source = floor(i * H / height)."""
    rows, columns = (_nearest_index(n, m) for n, m in zip(x.shape[2:], (height, width)))
    return x[:, :, rows[:, None], columns[None]]


def _nearest_index(length: int, resized: int) -> Tensor:
    return jt.array(nearest_index(length, resized).astype(np.int32))


def resize_bilinear(x: Tensor, height: int, width: int) -> Tensor:
    """x [B, C, H, W] -> [B, C, height, width], as F.interpolate's bilinear without aligned corners."""
    rows, columns = (
        array(bilinear_weights(n, m), like=x).stop_grad()
        for n, m in zip(x.shape[2:], (height, width))
    )
    flat = jt.matmul(rows, x.reshape(-1, x.shape[2], x.shape[3]))  # [BC, height, W]
    return jt.matmul(flat, columns.transpose()).reshape(*x.shape[:2], height, width)


def attention_bias(mask: Tensor, like: Tensor) -> Tensor:
    """bool [B, S], True on padding -> [B, 1, 1, S] to add to attention logits."""
    return (cast(mask, like) * MASKED)[:, None, None, :].stop_grad()


def random_keep(x: Tensor, rate: float) -> Tensor:
    """The framework's own dropout mask for `x`: 1 where kept (probability 1 - rate), else 0."""
    return (jt.rand(x.shape) >= rate).cast(str(x.dtype))


# regions: boxes are xyxy [N, 4] in the pixels of the image, images int [N] says whose; no gradient
# flows to boxes


def nms(boxes: Tensor, groups: Tensor, allowed: Tensor, threshold: float) -> Tensor:
    """Greedy suppression among boxes [N, 4] that lie in order of score, best first -> bool [N], those kept.

    A box goes when its IoU with a kept one of its group (int [N]) is greater than `threshold`; boxes that
    are not `allowed` (bool [N]) neither stay nor suppress.
    """
    return kernels.nms(boxes, groups, allowed, threshold)


def roi_align(
    x: Tensor,
    boxes: Tensor,
    images: Tensor,
    size: int,
    scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """x [B, C, H, W] -> [N, C, size, size]: means of bilinear samples (He et al. 2017).

    `scale` is that of the map (1/16, ...); sampling_ratio 0 takes as many samples as a bin is wide; without
    `aligned` boxes are shifted by half a pixel and at least 1 wide, as in the first publication.
    """
    options = {"size": size, "scale": scale, "ratio": sampling_ratio, "aligned": int(aligned)}
    return kernels.BilinearPool.apply(x, boxes, images.int32(), options | {"crop": 0})


def roi_pool(
    x: Tensor, boxes: Tensor, images: Tensor, size: int, scale: float
) -> tuple[Tensor, Tensor]:
    """x [B, C, H, W] -> [N, C, size, size]: the greatest value of each bin, 0 for an empty one (Girshick 2015),
    and its cell, row * W + column, -1 for an empty one; the first of equals.
    """
    options = {"size": size, "scale": scale}
    return kernels.RoiPool.apply(x, boxes, images.int32(), options)


def crop_and_resize(x: Tensor, boxes: Tensor, images: Tensor, size: int, scale: float) -> Tensor:
    """x [B, C, H, W] -> [N, C, size, size]: one bilinear sample per point of a grid from corner to corner.

    As tf.image.crop_and_resize: samples outside the map are 0.
    """
    options = {"size": size, "scale": scale, "ratio": 1, "aligned": 0}
    return kernels.BilinearPool.apply(x, boxes, images.int32(), options | {"crop": 1})


# NaN, which Jittor's own kernels do not see


def is_finite(x: Tensor) -> Tensor:
    """bool of the shape of `x`: neither NaN nor infinite."""
    return kernels.is_finite(x)


def nan_to_num(x: Tensor, value: float) -> Tensor:
    """`x` with `value` for NaN; no gradient flows there."""
    return kernels.NanToNum.apply(x, value)


def nanmean(x: Tensor) -> Tensor:
    """x [..., N] -> [...]: the mean over the last axis of what is not NaN; NaN where there is nothing else."""
    return kernels.NanMean.apply(x)


# gradients, parameters, modules


def grad(loss: Tensor, tensors: list[Tensor]) -> list[Tensor | None]:
    """d loss / d each; zeros, not None, where the loss does not depend on it."""
    return vjp([loss], [None], tensors)


def vjp(
    outputs: list[Tensor], cotangents: list[Tensor | None], tensors: list[Tensor]
) -> list[Tensor | None]:
    """d (sum of outputs times cotangents) / d each, as `grad`; None stands for 1 and needs a scalar."""
    total = None
    for output, cotangent in zip(outputs, cotangents):
        part = output if cotangent is None else (output * cotangent).sum()
        total = part if total is None else total + part
    return list(jt.grad(total, tensors))


def no_grad():
    """Context manager: nothing inside is recorded for gradients."""
    return jt.no_grad()


def update(x: Tensor, value: Tensor) -> None:
    """Writes `value` into the parameter, buffer or optimiser state `x`, which stays what it was."""
    fixed = x.is_stop_grad()
    with jt.enable_grad():  # under no_grad the parameter would be frozen for good
        x.update(value.detach())
    if fixed:
        x.stop_grad()


def finish(tensors: list[Tensor]) -> None:
    """Waits until the tensors are computed; errors of lazily run kernels surface here."""
    jt.sync(tensors, device_sync=bool(jt.flags.use_cuda))


def named_tensors(model) -> dict[str, Tensor]:
    """Every parameter and buffer by its canonical name, live."""
    return dict(model.named_parameters())


def set_trainable(tensors: dict[str, Tensor], names: set[str]) -> None:
    """Gradients flow to the named tensors and to no other."""
    for (
        name,
        tensor,
    ) in tensors.items():  # Vars start trainable; start_grad() would mark them as scalars
        if name not in names:
            tensor.stop_grad()


def surround(module, around):
    """Replaces what a call of `module` runs by around(what it ran before); returns a function that undoes it."""
    before = vars(module).get("execute")
    module.execute = around(module.execute)
    if before is None:
        return lambda: delattr(module, "execute")
    return lambda: setattr(module, "execute", before)


def set_mode(model, training: bool) -> None:
    """Whether batch statistics are computed and dropout drops, in the framework's own layers."""
    for part in model.modules():  # its own eval() would freeze every parameter
        part.is_train = training


def is_tensor(x) -> bool:
    return isinstance(x, Tensor)


def total_norm(tensors: list[Tensor]) -> Tensor:
    """Euclidean norm of all elements of all tensors, shape (1,) in Jittor."""
    # row by row: one long float32 sum loses digits
    squares = jt.concat([(t * t).reshape(t.shape[0], -1).sum(1).sum() for t in tensors])
    return squares.sum().sqrt()


def load_array(x: Tensor, values: np.ndarray, name: str) -> None:
    """Writes a NumPy array into a parameter or buffer; InputError on another shape."""
    if tuple(x.shape) != values.shape:
        raise InputError(
            f"{name}: the model has shape {tuple(x.shape)}, the weights {values.shape}"
        )
    update(x, array(values, like=x))


def is_differentiable(x: Tensor) -> bool:
    """Whether a gradient can be asked for at this node."""
    return not x.is_stop_grad() and str(x.dtype).startswith("float")
