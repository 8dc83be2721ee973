import numpy as np


def torch_side():
    from torch import nn

    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())


def jittor_side():
    from jittor import nn

    return nn.Sequential(nn.Conv(3, 8, 3, 2, 1), nn.BatchNorm(8, eps=1e-3), nn.ReLU())


def inputs():
    return (np.random.default_rng(0).standard_normal((2, 3, 32, 40)),)
