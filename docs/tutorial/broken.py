"""A small detector in PyTorch, and a port of it to Jittor with two mistakes: docs/tutorial.md mends them."""

import numpy as np


def torch_side():
    import torch
    from torch import nn

    class Detector(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU())
            self.body = nn.Sequential(nn.Conv2d(16, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU())
            self.scores = nn.Conv2d(32, 8, 1)
            self.boxes = nn.Conv2d(32, 4, 1)

        def forward(self, images):
            features = self.body(self.stem(images))
            return {"scores": self.scores(features), "boxes": torch.sigmoid(self.boxes(features))}

    return Detector()


def jittor_side():
    from jittor import nn

    class Detector(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential(nn.Conv(3, 16, 3, 2, 1), nn.BatchNorm(16), nn.ReLU())
            self.body = nn.Sequential(
                nn.Conv(16, 32, 3, 2, 1), nn.BatchNorm(32, eps=1e-3), nn.ReLU()
            )
            self.scores = nn.Conv(32, 8, 1)
            self.boxes = nn.Conv(32, 4, 1)

        def execute(self, images):
            features = self.body(self.stem(images))
            boxes = self.boxes(features.stop_grad()).sigmoid()
            return {"scores": self.scores(features), "boxes": boxes}

    return Detector()


def inputs():
    return (np.random.default_rng(0).standard_normal((2, 3, 64, 96)),)
