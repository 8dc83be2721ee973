"""A small backbone in both frameworks: `pytest parity run docs/example_pair.py`."""

import numpy as np


def torch_side():
    from torch import nn

    stem = [nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU()]
    return nn.Sequential(*stem, nn.MaxPool2d(2, 2), nn.Conv2d(8, 4, 1))


def jittor_side():
    from jittor import nn

    stem = [nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU()]
    return nn.Sequential(*stem, nn.MaxPool2d(2, 2), nn.Conv2d(8, 4, 1))


def inputs():
    return (np.random.default_rng(0).standard_normal((2, 3, 32, 40)),)
