"""Three convolutions to stride 8, with frozen batch norm, and the positions of what they give."""

from __future__ import annotations

import math

import jittor as jt
from jittor import nn


class FrozenBatchNorm2d(nn.Module):
    """Batch norm with fixed statistics and affine part."""

    def __init__(self, channels):
        super().__init__()
        self.weight = jt.ones(channels).stop_grad()
        self.bias = jt.zeros(channels).stop_grad()
        self.running_mean = jt.zeros(channels).stop_grad()
        self.running_var = jt.ones(channels).stop_grad()

    def execute(self, x):
        scale = self.weight / (self.running_var + 1e-5).sqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale[:, None, None] + shift[:, None, None]


class Backbone(nn.Module):
    def __init__(self, channels=(8, 16, 16)):
        super().__init__()
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        for before, after in zip((3, *channels), channels):
            self.convs.append(nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False))
            self.norms.append(FrozenBatchNorm2d(after))
        self.num_channels = channels[-1]

    def execute(self, samples):
        """NestedTensor -> features [B, C, H/8, W/8], mask bool [B, H/8, W/8]."""
        x = samples.tensors
        for conv, norm in zip(self.convs, self.norms):
            x = nn.relu(norm(conv(x)))
        mask = nn.interpolate(samples.mask[None].float(), x.shape[-2:], mode="nearest").bool()[0]
        return x, mask


class PositionEmbeddingSine(nn.Module):
    """Sines and cosines of the place within the image, padding not counted."""

    def __init__(self, features, temperature=10000):
        super().__init__()
        self.features, self.temperature, self.scale = features, temperature, 2 * math.pi

    def execute(self, x, mask):
        """features x, mask [B, H, W] -> [B, 2 * features, H, W]."""
        inside = mask.logical_not().cast(x.dtype)
        y, x = jt.cumsum(inside, 1), jt.cumsum(inside, 2)
        y = y / (y[:, -1:, :] + 1e-6) * self.scale
        x = x / (x[:, :, -1:] + 1e-6) * self.scale
        powers = jt.arange(self.features)
        powers = self.temperature ** (2 * (powers // 2).cast(x.dtype) / self.features)
        waves = []
        for place in (y, x):
            place = place[..., None] / powers
            wave = jt.stack([place[..., 0::2].sin(), place[..., 1::2].cos()], -1)
            waves.append(wave.flatten(3))
        return jt.cat(waves, 3).permute(0, 3, 1, 2)
