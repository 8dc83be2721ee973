"""An encoder and a decoder with skip connections; sizes need not be even."""

import torch
from torch import nn
from torch.nn import functional as F


class ConvBlock(nn.Module):
    def __init__(self, inputs, width, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.norm = nn.GroupNorm(4, width)
        self.act = nn.LeakyReLU(0.1)

    def forward(self, x):
        return self.act(self.norm(self.conv(x)))


class Up(nn.Module):
    def __init__(self, inputs, skip, width):
        super().__init__()
        self.fuse = ConvBlock(inputs + skip, width)
        self.gate = nn.Linear(inputs, skip)

    def forward(self, x, skip):
        weight = torch.sigmoid(self.gate(x.mean((2, 3))))
        skip = skip * weight[:, :, None, None]
        x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
        return self.fuse(torch.cat([skip, x], dim=1))


class UNet(nn.Module):
    def __init__(self, classes, width=8):
        super().__init__()
        self.stem = ConvBlock(3, width)
        self.down1 = ConvBlock(width, 2 * width, stride=2)
        self.down2 = ConvBlock(2 * width, 2 * width, stride=2)
        self.up1 = Up(2 * width, 2 * width, 2 * width)
        self.up0 = Up(2 * width, width, width)
        self.head = nn.Conv2d(width, classes, 1)
        self.log_scale = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        fine = self.stem(x)
        middle = self.down1(fine)
        x = self.up1(self.down2(middle), middle)
        logits = self.head(self.up0(x, fine))
        return logits * self.log_scale.exp().clamp(max=100.0)
