"""Feature pyramid (Lin et al. 2017) with torchvision's names: 1x1 laterals, nearest upsampling, 3x3 outputs."""

from __future__ import annotations

from jittor_impl import ops
from jittor_impl.runtime import nn
from neutral.config.faster_rcnn import FpnConfig


class FeaturePyramid(nn.Module):
    """Maps of the backbone, finest first -> as many with `channels`, and one of half the size with max_pool."""

    def __init__(self, config: FpnConfig, inputs: list[int]):
        super().__init__()
        width = config.channels
        self.extra = config.extra
        self.inner_blocks = nn.ModuleList([nn.Sequential(nn.Conv2d(n, width, 1)) for n in inputs])
        self.layer_blocks = nn.ModuleList(
            [nn.Sequential(nn.Conv2d(width, width, 3, 1, 1)) for _ in inputs]
        )

    def execute(self, features):
        inner, outputs = None, []
        for level in range(len(features) - 1, -1, -1):
            lateral = self.inner_blocks[level](features[level])
            if inner is not None:
                inner = ops.upsample_nearest(inner, lateral.shape[2], lateral.shape[3])
            inner = lateral if inner is None else lateral + inner
            outputs.insert(0, self.layer_blocks[level](inner))
        if self.extra == "max_pool":
            outputs.append(ops.max_pool(outputs[-1], 1, 2, 0))
        return outputs
