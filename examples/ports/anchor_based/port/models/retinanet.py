"""The model: a backbone with residual blocks to stride 8, a head for classes and one for boxes."""

from __future__ import annotations

import math

import jittor as jt
from jittor import nn

from models.anchors import AnchorGenerator
from models.loss import RetinaLoss
from models.post import PostProcess


class Block(nn.Module):
    """Two convolutions and a shortcut, stride 2."""

    def __init__(self, before, after):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.down = nn.Conv2d(before, after, 1, 2, bias=False)

    def execute(self, x):
        y = nn.relu(self.bn1(self.conv1(x)))
        return nn.relu(self.bn2(self.conv2(y)) + self.down(x))


class Head(nn.Module):
    def __init__(self, channels, outputs, bias=0.0):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.out = nn.Conv2d(channels, outputs, 3, padding=1)
        nn.init.gauss_(self.out.weight, 0.0, 0.01)
        nn.init.constant_(self.out.bias, bias)

    def execute(self, x, per_anchor):
        """[B, D, H, W] -> [B, H * W * A, per_anchor]."""
        x = self.out(nn.relu(self.conv(x)))
        return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, per_anchor)


class RetinaNet(nn.Module):
    def __init__(self, classes, channels=(8, 12, 16), prior=0.01):
        super().__init__()
        self.classes, self.anchors = classes, AnchorGenerator()
        self.blocks = nn.ModuleList(
            [Block(a, b) for a, b in zip((3, *channels), channels, strict=False)]
        )
        count = self.anchors.per_cell
        self.cls_head = Head(channels[-1], count * classes, -math.log((1 - prior) / prior))
        self.box_head = Head(channels[-1], count * 4)

    def freeze_norms(self):
        """Statistics stay, and are used; the affine part is trained."""
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.is_train = False

    def execute(self, images):
        """[B, 3, H, W] -> logits [B, N, C], deltas [B, N, 4], anchors [N, 4]."""
        x = images
        for block in self.blocks:
            x = block(x)
        anchors = self.anchors(*x.shape[-2:]).cast(images.dtype)
        return {
            "logits": self.cls_head(x, self.classes),
            "deltas": self.box_head(x, 4),
            "anchors": anchors,
        }


def build_model(classes=3):
    """The model, its losses, its post-processing."""
    return RetinaNet(classes), RetinaLoss(classes), PostProcess()


class Trainer:
    """A step of training: losses, gradients clipped, SGD; batch norm keeps its statistics."""

    def __init__(self, model, criterion):
        self.model, self.criterion = model, criterion
        self.optimiser = jt.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)

    def step(self, images, targets):
        self.model.train()
        self.model.freeze_norms()
        losses = self.criterion(self.model(images), targets)
        total = losses["loss_cls"] + losses["loss_box"]
        self.optimiser.backward(total)
        self.optimiser.clip_grad_norm(10.0, 2)
        self.optimiser.step()
        return {name: float(value.item()) for name, value in losses.items()}
