"""Convolutions to strides 8 and 16, and a pyramid of the two."""

from __future__ import annotations

import torch.nn.functional as F
from torch import nn


class ConvNorm(nn.Sequential):
    def __init__(self, before, after, stride):
        super().__init__(
            nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()
        )


class Backbone(nn.Module):
    def __init__(self, channels=(8, 16, 16, 24), freeze_at=1):
        super().__init__()
        self.stages = nn.ModuleList(
            [ConvNorm(a, b, 2) for a, b in zip((3, *channels), channels, strict=False)]
        )
        for stage in self.stages[:freeze_at]:
            for parameter in stage.parameters():
                parameter.requires_grad_(False)

    def forward(self, x):
        """[B, 3, H, W] -> [B, 16, H/8, W/8], [B, 24, H/16, W/16]."""
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found[2:]


class Pyramid(nn.Module):
    def __init__(self, channels=(16, 24), out=16):
        super().__init__()
        self.inner = nn.ModuleList([nn.Conv2d(c, out, 1) for c in channels])
        self.outer = nn.ModuleList([nn.Conv2d(out, out, 3, padding=1) for _ in channels])

    def forward(self, features):
        fine, coarse = (inner(x) for inner, x in zip(self.inner, features, strict=True))
        fine = fine + F.interpolate(coarse, size=fine.shape[-2:], mode="nearest")
        return [outer(x) for outer, x in zip(self.outer, (fine, coarse), strict=True)]
