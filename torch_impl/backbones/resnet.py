"""ResNet (He et al. 2016) with torchvision's names, stride on the 3x3 convolution ("v1.5") or,
as caffe's models have it, on the first 1x1.

Frozen batch normalisation follows facebookresearch/detr models/backbone.py:19-55 (all four tensors
are buffers, eps inside the square root); dilation follows torchvision's
replace_stride_with_dilation on the last stage. Group normalisation is this project's addition for
training from random weights.

B batch, C channels, H and W height and width.
"""

from __future__ import annotations

from neutral.config import BLOCK_EXPANSION, RESNET_LAYOUTS, BackboneConfig
from torch_impl import ops
from torch_impl.runtime import nn


class FrozenBatchNorm2d(nn.Module):
    """Batch normalisation with fixed statistics and affine parameters: one multiply and one add."""

    def __init__(self, channels: int, eps: float):
        super().__init__()
        self.register_buffer("weight", ops.buffer(channels))
        self.register_buffer("bias", ops.buffer(channels))
        self.register_buffer("running_mean", ops.buffer(channels))
        self.register_buffer("running_var", ops.buffer(channels))
        self.eps = eps

    def forward(self, x):
        weight, bias = ops.frozen(self.weight), ops.frozen(self.bias)
        mean, variance = ops.frozen(self.running_mean), ops.frozen(self.running_var)
        scale = weight / (variance + ops.scalar(self.eps, x)).sqrt()
        shift = bias - mean * scale
        return x * scale.reshape(1, -1, 1, 1) + shift.reshape(1, -1, 1, 1)


class GroupNorm(nn.Module):
    """Group normalisation (Wu and He 2018)."""

    def __init__(self, channels: int, groups: int, eps: float):
        super().__init__()
        self.weight = ops.parameter(channels)
        self.bias = ops.parameter(channels)
        self.groups = groups
        self.eps = eps

    def forward(self, x):
        return ops.group_norm(x, self.groups, self.weight, self.bias, self.eps)


def make_norm(config: BackboneConfig, channels: int) -> nn.Module:
    if config.norm == "group":
        return GroupNorm(channels, config.norm_groups, config.norm_eps)
    return FrozenBatchNorm2d(channels, config.norm_eps)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(
        self,
        config: BackboneConfig,
        inputs: int,
        width: int,
        stride: int,
        dilation: int,
        downsample,
    ):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, dilation, dilation, bias=False)
        self.bn1 = make_norm(config, width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, dilation, dilation, bias=False)
        self.bn2 = make_norm(config, width)
        self.downsample = downsample

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        out = ops.relu(self.bn1(self.conv1(x)))
        return ops.relu(self.bn2(self.conv2(out)) + shortcut)


class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up, and a shortcut."""

    def __init__(
        self,
        config: BackboneConfig,
        inputs: int,
        width: int,
        stride: int,
        dilation: int,
        downsample,
    ):
        super().__init__()
        first, second = (1, stride) if config.stride_on == "3x3" else (stride, 1)
        self.conv1 = nn.Conv2d(inputs, width, 1, first, bias=False)
        self.bn1 = make_norm(config, width)
        self.conv2 = nn.Conv2d(width, width, 3, second, dilation, dilation, bias=False)
        self.bn2 = make_norm(config, width)
        self.conv3 = nn.Conv2d(width, width * BLOCK_EXPANSION["bottleneck"], 1, bias=False)
        self.bn3 = make_norm(config, width * BLOCK_EXPANSION["bottleneck"])
        self.downsample = downsample

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        out = ops.relu(self.bn1(self.conv1(x)))
        out = ops.relu(self.bn2(self.conv2(out)))
        return ops.relu(self.bn3(self.conv3(out)) + shortcut)


BLOCKS = {"basic": BasicBlock, "bottleneck": Bottleneck}


def stage_channels(config: BackboneConfig, stage: int) -> int:
    """Channels of the output of layer1 (stage 1) to layer4."""
    return config.width * 2 ** (stage - 1) * BLOCK_EXPANSION[RESNET_LAYOUTS[config.name][0]]


def make_stage(config: BackboneConfig, stage: int) -> nn.Sequential:
    """layer1 (stage 1) to layer4; a dilated one's first block still has the dilation of the stage before,
    as torchvision's."""
    kind, counts = RESNET_LAYOUTS[config.name]
    stride, dilation = (1, 1) if stage == 1 else (2, 1)
    if stage == 4:
        stride, dilation = (1, 2) if config.dilation else (config.layer4_stride, 1)
    inputs = config.width if stage == 1 else stage_channels(config, stage - 1)
    width, outputs = config.width * 2 ** (stage - 1), stage_channels(config, stage)
    downsample = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        downsample = nn.Sequential(shortcut, make_norm(config, outputs))
    blocks = [BLOCKS[kind](config, inputs, width, stride, 1, downsample)]
    for _ in range(1, counts[stage - 1]):
        blocks.append(BLOCKS[kind](config, outputs, width, 1, dilation, None))
    return nn.Sequential(*blocks)


class ResNet(nn.Module):
    """Images [B, 3, H, W] -> the outputs of the stages from `first` to `last`, strides 4, 8, 16, 32.

    Stage k is layer{k}; a dilated layer4 keeps stride 16. Stages after `last` do not exist.
    """

    def __init__(self, config: BackboneConfig, first: int, last: int):
        super().__init__()
        self.first = first
        self.conv1 = nn.Conv2d(3, config.width, 7, 2, 3, bias=False)
        self.bn1 = make_norm(config, config.width)
        self.stages = [f"layer{stage}" for stage in range(1, last + 1)]
        for stage, name in enumerate(self.stages, start=1):
            setattr(self, name, make_stage(config, stage))

    def forward(self, x):
        x = ops.relu(self.bn1(self.conv1(x)))
        x = ops.max_pool(x, 3, 2, 1)
        outputs = []
        for name in self.stages:
            x = getattr(self, name)(x)
            outputs.append(x)
        return outputs[self.first - 1 :]
