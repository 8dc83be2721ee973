"""MobileNet (Howard et al. 2017), version 1, as ruotianluo/pytorch-faster-rcnn has it (lib/nets/mobilenet_v1.py).

Names are its own: Conv2d_0, then pairs of a depthwise and a pointwise convolution, Conv2d_1 to Conv2d_13. The first
twelve are the backbone, stride 16; the last two, there with stride 1, run on the regions.
"""

from __future__ import annotations

from neutral.config import MOBILENET_LAYERS, BackboneConfig
from neutral.parameters import mobilenet_channels
from torch_impl import ops
from torch_impl.backbones.resnet import make_norm
from torch_impl.runtime import nn


def relu6(x):
    """x between 0 and 6; above 6, the result is 6 but for the rounding of x - 6."""
    return ops.relu(x) - ops.relu(x - 6)


class Separable(nn.Module):
    """A 3x3 convolution of each channel by itself, a 1x1 convolution of all, each normalised and cut at 0 and 6."""

    def __init__(self, config: BackboneConfig, inputs: int, outputs: int, stride: int):
        super().__init__()
        depthwise = nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False)
        self.depthwise = nn.Sequential(depthwise, make_norm(config, inputs))
        pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.pointwise = nn.Sequential(pointwise, make_norm(config, outputs))

    def forward(self, x):
        return relu6(self.pointwise(relu6(self.depthwise(x))))


class Layers(nn.Module):
    """Has Conv2d_{first} to Conv2d_{last}, `first` at least 1."""

    def __init__(self, config: BackboneConfig, first: int, last: int):
        super().__init__()
        self.names = [f"Conv2d_{k}" for k in range(first, last + 1)]
        for k, name in enumerate(self.names, start=first):
            inputs, outputs = mobilenet_channels(config, k - 1), mobilenet_channels(config, k)
            setattr(self, name, Separable(config, inputs, outputs, MOBILENET_LAYERS[k][1]))

    def follow(self, x):
        for name in self.names:
            x = getattr(self, name)(x)
        return x


class MobileNet(Layers):
    """Images [B, 3, H, W] -> one map [B, C, H / 16, W / 16], in a list as ResNet's."""

    def __init__(self, config: BackboneConfig):
        super().__init__(config, 1, 11)
        width, stride = mobilenet_channels(config, 0), MOBILENET_LAYERS[0][1]
        first = nn.Conv2d(3, width, 3, stride, 1, bias=False)
        self.Conv2d_0 = nn.Sequential(first, make_norm(config, width))

    def forward(self, x):
        return [self.follow(relu6(self.Conv2d_0(x)))]
