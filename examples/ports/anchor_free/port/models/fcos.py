"""The model: towers shared by all levels, which predict classes, distances to the four sides, centreness."""

from __future__ import annotations

import math

import jittor as jt
from jittor import nn

from models.backbone import Backbone, Pyramid
from models.loss import FCOSLoss
from models.post import PostProcess

STRIDES = (8, 16)


class Scale(nn.Module):
    """A factor of its own for each level."""

    def __init__(self, value=1.0):
        super().__init__()
        self.scale = jt.array([value])

    def execute(self, x):
        return x * self.scale


class Tower(nn.Sequential):
    def __init__(self, channels, depth=2):
        layers = []
        for _ in range(depth):
            layers += [
                nn.Conv2d(channels, channels, 3, padding=1),
                nn.GroupNorm(4, channels),
                nn.ReLU(),
            ]
        super().__init__(*layers)


class Head(nn.Module):
    def __init__(self, channels=16, classes=3, prior=0.01):
        super().__init__()
        self.cls_tower, self.box_tower = Tower(channels), Tower(channels)
        self.cls_logits = nn.Conv2d(channels, classes, 3, padding=1)
        self.bbox_pred = nn.Conv2d(channels, 4, 3, padding=1)
        self.centerness = nn.Conv2d(channels, 1, 3, padding=1)
        self.scales = nn.ModuleList([Scale() for _ in STRIDES])
        for conv in (self.cls_logits, self.bbox_pred, self.centerness):
            nn.init.gauss_(conv.weight, 0.0, 0.01)
            nn.init.constant_(conv.bias, 0.0)
        nn.init.constant_(self.cls_logits.bias, -math.log((1 - prior) / prior))

    def execute(self, features):
        """Maps of each level -> logits [B, N, C], distances [B, N, 4] in pixels, centreness [B, N]."""
        logits, distances, centerness = [], [], []
        for x, scale, stride in zip(features, self.scales, STRIDES, strict=True):
            cls, box = self.cls_tower(x), self.box_tower(x)
            logits.append(self.cls_logits(cls).flatten(2))
            distances.append((scale(self.bbox_pred(box)).exp() * stride).flatten(2))
            centerness.append(self.centerness(box).flatten(2))
        logits, distances, centerness = (jt.concat(x, 2) for x in (logits, distances, centerness))
        return logits.transpose(1, 2), distances.transpose(1, 2), centerness[:, 0]


def locations(height, width):
    """Centres (x, y) of all cells of an image of that size, and their strides: [N, 2], [N]."""
    points, strides = [], []
    for stride in STRIDES:
        rows, columns = math.ceil(height / stride), math.ceil(width / stride)
        y = (jt.arange(rows) * stride + stride // 2)[:, None].expand(rows, columns)
        x = (jt.arange(columns) * stride + stride // 2)[None].expand(rows, columns)
        points.append(jt.stack([x, y], -1).reshape(-1, 2))
        strides.append(jt.full((rows * columns,), stride))
    return jt.concat(points), jt.concat(strides)


class FCOS(nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.backbone, self.pyramid, self.head = Backbone(), Pyramid(), Head(classes=classes)

    def execute(self, images):
        """[B, 3, H, W] -> logits [B, N, C], distances [B, N, 4], centerness [B, N], points [N, 2], strides [N]."""
        logits, distances, centerness = self.head(self.pyramid(self.backbone(images)))
        points, strides = (x.cast(images.dtype) for x in locations(*images.shape[-2:]))
        return {
            "logits": logits,
            "distances": distances,
            "centerness": centerness,
            "points": points,
            "strides": strides,
        }


def build_model(classes=3):
    """The model, its losses, its post-processing."""
    return FCOS(classes), FCOSLoss(classes), PostProcess()
