"""Batch norm whose running variance is the unbiased one."""

import jittor as jt
from jittor import nn


class BatchNorm2d(nn.Module):
    def __init__(self, channels, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps = eps
        self.momentum = momentum
        self.weight = jt.ones((channels,))
        self.bias = jt.zeros((channels,))
        self.running_mean = jt.zeros((channels,)).stop_grad()
        self.running_var = jt.ones((channels,)).stop_grad()

    def execute(self, x):
        if self.is_train:
            mean = x.mean((0, 2, 3))
            centred = x - mean.reshape(1, -1, 1, 1)
            var = (centred * centred).mean((0, 2, 3))
            count = x.shape[0] * x.shape[2] * x.shape[3]
            self.follow(self.running_mean, mean)
            self.follow(self.running_var, var * count / (count - 1))
        else:
            mean, var = self.running_mean, self.running_var
        scale = self.weight / jt.sqrt(var + self.eps)
        shift = self.bias - mean * scale
        return x * scale.reshape(1, -1, 1, 1) + shift.reshape(1, -1, 1, 1)

    def follow(self, running, value):
        running.update((running + (value - running) * self.momentum).detach())
