"""Boxes and what lies in them: boxes are xyxy [N, 4] in the pixels of the image, images int [N] says whose.

No gradient flows to boxes.
"""

from __future__ import annotations

from jittor_impl import kernels
from jittor_impl.runtime import jt

Tensor = jt.Var


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
