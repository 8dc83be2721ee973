"""An encoder and a decoder with skip connections; sizes need not be even."""

import jittor as jt
from jittor import nn

from .ops import resize


class GroupNorm(nn.Module):
    def __init__(self, num_groups, num_channels, eps=1e-5):
        super().__init__()
        self.num_groups, self.eps = num_groups, eps
        self.weight = jt.ones((num_channels,))
        self.bias = jt.zeros((num_channels,))

    def execute(self, x):
        parts = x.reshape(x.shape[0], self.num_groups, -1)
        centred = parts - parts.mean(2, keepdims=True)
        var = (centred * centred).mean(2, keepdims=True)
        x = (centred / jt.sqrt(var + self.eps)).reshape(x.shape)
        return x * self.weight.reshape(1, -1, 1, 1) + self.bias.reshape(1, -1, 1, 1)


class ConvBlock(nn.Module):
    def __init__(self, inputs, width, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.norm = GroupNorm(4, width)
        self.act = nn.LeakyReLU(0.1)

    def execute(self, x):
        return self.act(self.norm(self.conv(x)))


class Up(nn.Module):
    def __init__(self, inputs, skip, width):
        super().__init__()
        self.fuse = ConvBlock(inputs + skip, width)
        self.gate = nn.Linear(inputs, skip)

    def execute(self, x, skip):
        weight = jt.sigmoid(self.gate(x.mean((2, 3))))
        skip = skip * weight.reshape(*weight.shape, 1, 1)
        x = resize(x, skip.shape[-2:])
        return self.fuse(jt.concat([skip, x], dim=1))


class UNet(nn.Module):
    def __init__(self, classes, width=8):
        super().__init__()
        self.stem = ConvBlock(3, width)
        self.down1 = ConvBlock(width, 2 * width, stride=2)
        self.down2 = ConvBlock(2 * width, 2 * width, stride=2)
        self.up1 = Up(2 * width, 2 * width, 2 * width)
        self.up0 = Up(2 * width, width, width)
        self.head = nn.Conv2d(width, classes, 1)
        self.log_scale = jt.zeros((1,))

    def execute(self, x):
        fine = self.stem(x)
        middle = self.down1(fine)
        x = self.up1(self.down2(middle), middle)
        logits = self.head(self.up0(x, fine))
        return logits * jt.minimum(self.log_scale.exp(), 100.0)
