"""The one file where the two implementations may differ: PyTorch's half.

Small functions with the same contracts as jittor_impl/ops.py; model files use these and plain
operators only. `like` arguments give the dtype and device of new tensors. Each contract has a
parity case in parity/suite/test_ops.py.
"""

from __future__ import annotations

import importlib

import numpy as np
import torch.nn.functional as F

from neutral.errors import InputError
from torch_impl.runtime import torch

Tensor = torch.Tensor
MASKED = -(
    2.0**100
)  # added to attention logits of padding: exp gives exactly 0, and no infinity is involved


# creation and conversion


def parameter(*shape: int) -> Tensor:
    """A trainable tensor of zeros in the default dtype; values come from the weight layer."""
    return torch.nn.Parameter(torch.zeros(*shape))


def buffer(*shape: int) -> Tensor:
    """A tensor of zeros that is saved with the model and never trained."""
    return torch.zeros(*shape)


def array(values: np.ndarray, like: Tensor | None = None) -> Tensor:
    """NumPy -> tensor on the default device; floats become `like.dtype` when it is given."""
    tensor = torch.as_tensor(np.ascontiguousarray(values), device=torch.get_default_device())
    return tensor.to(like.dtype) if like is not None and tensor.is_floating_point() else tensor


def to_numpy(x: Tensor) -> np.ndarray:
    """Tensor -> a NumPy array of its own, same shape and dtype; a scalar has shape ()."""
    return x.detach().cpu().numpy().copy()


def scalar(value: float, like: Tensor) -> float:
    """A Python number that takes part in arithmetic with `like` at the precision of `like`."""
    return value


def cast(x: Tensor, like: Tensor) -> Tensor:
    """`x` (any dtype, bool included) in the dtype of `like`."""
    return x.to(like.dtype)


def as_index(x: Tensor) -> Tensor:
    """Numbers or booleans as integers, cut toward zero."""
    return x.long()


def as_float(x: Tensor) -> Tensor:
    """Integers or booleans in the default dtype."""
    return x.to(torch.get_default_dtype())


def as_float32(x: Tensor) -> Tensor:
    return x.to(torch.float32)


def full_precision(x: Tensor) -> Tensor:
    """What mixed precision left in bfloat16 as float32; anything else as it is."""
    return x.float() if x.dtype == torch.bfloat16 else x


def frozen(x: Tensor) -> Tensor:
    """`x` as a constant: no gradient flows to it."""
    return x.detach()


def identity(x: Tensor) -> Tensor:
    """A tensor of its own with the values of `x`; gradients pass."""
    return x.clone()


# shapes


def cat(tensors: list[Tensor], axis: int) -> Tensor:
    return torch.cat(tensors, dim=axis)


def stack(tensors: list[Tensor], axis: int) -> Tensor:
    return torch.stack(tensors, dim=axis)


def permute(x: Tensor, *axes: int) -> Tensor:
    return x.permute(*axes)


def expand(x: Tensor, *shape: int) -> Tensor:
    """`x` broadcast to `shape` (axes of length 1 repeat)."""
    return x.expand(*shape)


def arange(count: int, like: Tensor) -> Tensor:
    """0, 1, ..., count - 1 in the dtype of `like`."""
    return torch.arange(count, dtype=like.dtype)


# element-wise


def relu(x: Tensor) -> Tensor:
    return F.relu(x)


def sigmoid(x: Tensor) -> Tensor:
    return x.sigmoid()


def power(base: float, exponent: Tensor) -> Tensor:
    return base**exponent


def absolute(x: Tensor) -> Tensor:
    """|x| with gradient 0 at 0."""
    return x.abs()


def maximum(a: Tensor, b: Tensor) -> Tensor:
    """Element-wise; at a tie each side gets half of the gradient."""
    return torch.maximum(a, b)


def minimum(a: Tensor, b: Tensor) -> Tensor:
    """Element-wise; at a tie each side gets half of the gradient."""
    return torch.minimum(a, b)


def clamp_min(x: Tensor, low: float) -> Tensor:
    return x.clamp(min=low)


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)), with gradient 1/2 at 0."""
    return -F.logsigmoid(-x)  # F.softplus itself is x from 20 on


def where(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """a where `condition` is True, else b; all of one shape."""
    return torch.where(condition, a, b)


def round_half_even(x: Tensor) -> Tensor:
    return x.round()


def logical_not(mask: Tensor) -> Tensor:
    return ~mask


def logical_and(a: Tensor, b: Tensor) -> Tensor:
    """Of two bool tensors, which may broadcast."""
    return a & b


def logical_or(a: Tensor, b: Tensor) -> Tensor:
    """Of two bool tensors, which may broadcast."""
    return a | b


# reductions, sorting, indexing


def cumsum(x: Tensor, axis: int) -> Tensor:
    """Running sum of a float tensor. Cast masks first: a bool's cumsum differs between frameworks."""
    return torch.cumsum(x, dim=axis)


def argmax(x: Tensor, axis: int) -> Tensor:
    """Index of the greatest value; which one at a tie is not defined."""
    return x.argmax(dim=axis)


def max_with_index(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    return tuple(x.max(dim=axis))


def max_first(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Greatest value and the first index that has it, both constants. NaN is not allowed."""
    x = x.detach()
    values = x.amax(axis, keepdim=True)
    shape = [-1 if a == axis % x.dim() else 1 for a in range(x.dim())]
    positions = torch.arange(x.shape[axis]).reshape(shape)
    return values.squeeze(axis), torch.where(x == values, positions, x.shape[axis]).amin(axis)


def sort_descending(x: Tensor) -> tuple[Tensor, Tensor]:
    """Along the last axis: values, and where they were; equal values keep their order, NaN comes last."""
    order = torch.where(x.isnan(), -torch.inf, x).argsort(dim=-1, descending=True, stable=True)
    return x.gather(-1, order), order


def ranks(x: Tensor) -> Tensor:
    """Place of every element in the ascending order of the last axis; equal values keep their order."""
    return x.argsort(dim=-1, stable=True).argsort(dim=-1, stable=True)


def one_hot(index: Tensor, count: int, like: Tensor) -> Tensor:
    """int [...] -> [..., count] in the dtype of `like`; an index outside 0..count-1 gives zeros."""
    return (index[..., None] == torch.arange(count)).to(like.dtype)


def take(x: Tensor, index: Tensor) -> Tensor:
    """x [B, N, ...], index int [B, K] within 0..N-1 -> x[b, index[b, k]] [B, K, ...]."""
    return x[torch.arange(x.shape[0])[:, None], index]


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
    return x.gather(-1, array(index)[..., None])[..., 0]


def check_index(index: np.ndarray, length: int) -> None:
    """IndexError unless all are in 0..length-1 (Jittor would read foreign memory)."""
    if index.size and (index.min() < 0 or index.max() >= length):
        raise IndexError(f"index {index.min()}..{index.max()} outside 0..{length - 1}")


# layers


def softmax(x: Tensor, axis: int) -> Tensor:
    return x.softmax(dim=axis)


def log_softmax(x: Tensor, axis: int) -> Tensor:
    return x.log_softmax(dim=axis)


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Over the last axis, biased variance."""
    return F.layer_norm(x, weight.shape, weight, bias, eps)


def group_norm(x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """x [B, C, H, W], biased variance over each group of channels."""
    return F.group_norm(x, groups, weight, bias, eps)


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x [..., I], weight [O, I], bias [O] -> [..., O]."""
    return F.linear(x, weight, bias)


def max_pool(x: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """x [B, C, H, W]; padding never wins."""
    return F.max_pool2d(x, kernel, stride, padding)


def resize_mask(mask: Tensor, height: int, width: int) -> Tensor:
    """bool [B, H, W] -> bool [B, height, width], nearest as F.interpolate: source = floor(i * H / height)."""
    return F.interpolate(mask[:, None].float(), size=(height, width), mode="nearest")[:, 0].to(
        torch.bool
    )


def upsample_nearest(x: Tensor, height: int, width: int) -> Tensor:
    """x [B, C, H, W] -> [B, C, height, width], nearest as F.interpolate: source = floor(i * H / height)."""
    return F.interpolate(x, size=(height, width), mode="nearest")


def resize_bilinear(x: Tensor, height: int, width: int) -> Tensor:
    """x [B, C, H, W] -> [B, C, height, width], as F.interpolate's bilinear without aligned corners."""
    return F.interpolate(x, size=(height, width), mode="bilinear", align_corners=False)


def attention_bias(mask: Tensor, like: Tensor) -> Tensor:
    """bool [B, S], True on padding -> [B, 1, 1, S] to add to attention logits."""
    return (mask.to(like.dtype) * MASKED)[:, None, None, :]


def random_keep(x: Tensor, rate: float) -> Tensor:
    """The framework's own dropout mask for `x`: 1 where kept (probability 1 - rate), else 0."""
    return (torch.rand(x.shape) >= rate).to(x.dtype)


# regions: boxes are xyxy [N, 4] in the pixels of the image, images int [N] says whose; no gradient
# flows to boxes


def _vision():
    """torchvision, imported when it is first needed: it brings PyTorch's compiler along, which takes seconds."""
    return importlib.import_module("torchvision")


def nms(boxes: Tensor, groups: Tensor, allowed: Tensor, threshold: float) -> Tensor:
    """Greedy suppression among boxes [N, 4] that lie in order of score, best first -> bool [N], those kept.

    A box goes when its IoU with a kept one of its group (int [N]) is greater than `threshold`; boxes that
    are not `allowed` (bool [N]) neither stay nor suppress.
    """
    keep = torch.zeros_like(allowed)
    for group in groups[allowed].unique():
        members = torch.nonzero(allowed & (groups == group))[:, 0]
        order = torch.arange(len(members), 0, -1, dtype=boxes.dtype)  # scores that keep the order
        keep[members[_vision().ops.nms(boxes[members], order, threshold)]] = True
    return keep


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
    align = _vision().ops.roi_align
    return align(x, _regions(boxes, images), size, scale, sampling_ratio, aligned)


def roi_pool(
    x: Tensor, boxes: Tensor, images: Tensor, size: int, scale: float
) -> tuple[Tensor, Tensor]:
    """x [B, C, H, W] -> [N, C, size, size]: the greatest value of each bin, 0 for an empty one (Girshick 2015),
    and its cell, row * W + column, -1 for an empty one; the first of equals.
    """
    _vision()
    return torch.ops.torchvision.roi_pool(x, _regions(boxes, images), scale, size, size)


def crop_and_resize(x: Tensor, boxes: Tensor, images: Tensor, size: int, scale: float) -> Tensor:
    """x [B, C, H, W] -> [N, C, size, size]: one bilinear sample per point of a grid from corner to corner.

    As tf.image.crop_and_resize: samples outside the map are 0. torchvision has no such operator.
    """
    corners = boxes * scale
    steps = torch.arange(size, dtype=x.dtype) / max(size - 1, 1)
    columns, rows = (
        corners[:, a, None] + steps * (corners[:, a + 2] - corners[:, a])[:, None] for a in (0, 1)
    )
    crops = 0
    for row, row_weight in _bilinear(rows, x.shape[2]):
        for column, column_weight in _bilinear(columns, x.shape[3]):
            values = x[images[:, None, None], :, row[:, :, None], column[:, None, :]]
            weight = row_weight[:, :, None] * column_weight[:, None, :]
            crops = crops + values.permute(0, 3, 1, 2) * weight[:, None]
    return crops


def _bilinear(position: Tensor, length: int) -> list[tuple[Tensor, Tensor]]:
    """The two neighbours of each position and their weights, both 0 outside 0..length-1."""
    inside = ((position >= 0) & (position <= length - 1)).to(position.dtype)
    low = position.floor().clamp(0, length - 1)
    share = position - low
    high = (low + 1).clamp(max=length - 1)
    return [(low.long(), (1 - share) * inside), (high.long(), share * inside)]


def _regions(boxes: Tensor, images: Tensor) -> Tensor:
    return torch.cat([images.to(boxes.dtype)[:, None], boxes], dim=1)


# NaN, which Jittor's own kernels do not see


def is_finite(x: Tensor) -> Tensor:
    """bool of the shape of `x`: neither NaN nor infinite."""
    return torch.isfinite(x)


def nan_to_num(x: Tensor, value: float) -> Tensor:
    """`x` with `value` for NaN; no gradient flows there."""
    return torch.where(x.isnan(), torch.full_like(x, value), x)


def nanmean(x: Tensor) -> Tensor:
    """x [..., N] -> [...]: the mean over the last axis of what is not NaN; NaN where there is nothing else."""
    return torch.nanmean(x, dim=-1)


# gradients, parameters, modules


def grad(loss: Tensor, tensors: list[Tensor]) -> list[Tensor | None]:
    """d loss / d each; None where the loss does not depend on it."""
    return vjp([loss], [None], tensors)


def vjp(
    outputs: list[Tensor], cotangents: list[Tensor | None], tensors: list[Tensor]
) -> list[Tensor | None]:
    """d (sum of outputs times cotangents) / d each, as `grad`; None stands for 1 and needs a scalar."""
    return list(torch.autograd.grad(outputs, tensors, cotangents, allow_unused=True))


def no_grad():
    """Context manager: nothing inside is recorded for gradients."""
    return torch.no_grad()


def update(x: Tensor, value: Tensor) -> None:
    """Writes `value` into the parameter, buffer or optimiser state `x`, which stays what it was."""
    with torch.no_grad():
        x.copy_(value)


def finish(tensors: list[Tensor]) -> None:
    """Waits until the tensors are computed; errors of lazily run kernels surface here."""
    if tensors and tensors[0].is_cuda:
        torch.cuda.synchronize()


def named_tensors(model) -> dict[str, Tensor]:
    """Every parameter and buffer by its canonical name, live."""
    return model.state_dict(keep_vars=True)


def set_trainable(tensors: dict[str, Tensor], names: set[str]) -> None:
    """Gradients flow to the named tensors and to no other."""
    for name, tensor in tensors.items():
        tensor.requires_grad_(name in names)


def surround(module, around):
    """Replaces what a call of `module` runs by around(what it ran before); returns a function that undoes it."""
    before = vars(module).get("forward")
    module.forward = around(module.forward)
    if before is None:
        return lambda: delattr(module, "forward")
    return lambda: setattr(module, "forward", before)


def set_mode(model, training: bool) -> None:
    """Whether batch statistics are computed and dropout drops, in the framework's own layers."""
    model.train(training)


def is_tensor(x) -> bool:
    return isinstance(x, Tensor)


def total_norm(tensors: list[Tensor]) -> Tensor:
    """Euclidean norm of all elements of all tensors, shape ()."""
    return torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(t) for t in tensors]))


def load_array(x: Tensor, values: np.ndarray, name: str) -> None:
    """Writes a NumPy array into a parameter or buffer; InputError on another shape."""
    if tuple(x.shape) != values.shape:
        raise InputError(
            f"{name}: the model has shape {tuple(x.shape)}, the weights {values.shape}"
        )
    update(x, array(values, like=x))


def is_differentiable(x: Tensor) -> bool:
    """Whether a gradient can be asked for at this node."""
    return x.requires_grad
