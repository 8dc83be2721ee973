"""Three convolutions to stride 8, with frozen batch norm, and the positions of what they give."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn


class FrozenBatchNorm2d(nn.Module):
    """Batch norm with fixed statistics and affine part."""

    def __init__(self, channels):
        super().__init__()
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x):
        scale = self.weight * (self.running_var + 1e-5).rsqrt()
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

    def forward(self, samples):
        """NestedTensor -> features [B, C, H/8, W/8], mask bool [B, H/8, W/8]."""
        x = samples.tensors
        for conv, norm in zip(self.convs, self.norms):
            x = F.relu(norm(conv(x)))
        mask = F.interpolate(samples.mask[None].float(), size=x.shape[-2:]).to(torch.bool)[0]
        return x, mask


class PositionEmbeddingSine(nn.Module):
    """Sines and cosines of the place within the image, padding not counted."""

    def __init__(self, features, temperature=10000):
        super().__init__()
        self.features, self.temperature, self.scale = features, temperature, 2 * math.pi

    def forward(self, x, mask):
        """features x, mask [B, H, W] -> [B, 2 * features, H, W]."""
        inside = (~mask).to(x.dtype)
        y, x = inside.cumsum(1), inside.cumsum(2)
        y = y / (y[:, -1:, :] + 1e-6) * self.scale
        x = x / (x[:, :, -1:] + 1e-6) * self.scale
        powers = torch.arange(self.features, dtype=x.dtype)
        powers = self.temperature ** (
            2 * torch.div(powers, 2, rounding_mode="floor") / self.features
        )
        waves = []
        for place in (y, x):
            place = place[..., None] / powers
            wave = torch.stack([place[..., 0::2].sin(), place[..., 1::2].cos()], -1)
            waves.append(wave.flatten(3))
        return torch.cat(waves, 3).permute(0, 3, 1, 2)
