"""Faster R-CNN: backbone, region proposal network, RoI heads, under torchvision's names.

One class for the whole family; config.FasterRcnnConfig says which member it is.
"""

from __future__ import annotations

from neutral.config.faster_rcnn import FasterRcnnConfig
from neutral.parameters import mobilenet_channels
from torch_impl.backbones.fpn import FeaturePyramid
from torch_impl.backbones.mobilenet import MobileNet
from torch_impl.backbones.resnet import ResNet, stage_channels
from torch_impl.backbones.vgg import VGG16
from torch_impl.faster_rcnn.roi_heads import RoiHeads
from torch_impl.faster_rcnn.rpn import RegionProposalNetwork
from torch_impl.runtime import nn


class Backbone(nn.Module):
    """Images [B, 3, H, W] -> the maps that RPN and RoI heads look at, finest first."""

    def __init__(self, config: FasterRcnnConfig):
        super().__init__()
        self.has_fpn = config.fpn.channels > 0
        if config.backbone.name == "vgg16":
            self.body = VGG16()
            self.channels = 512
        elif config.backbone.name == "mobilenet_v1":
            self.body = MobileNet(config.backbone)
            self.channels = mobilenet_channels(config.backbone, 11)
        elif self.has_fpn:
            first, last = config.fpn.first_level - 1, config.fpn.last_level - 1  # p2 is layer1's
            self.body = ResNet(config.backbone, first, last)
            inputs = [stage_channels(config.backbone, k) for k in range(first, last + 1)]
            self.fpn = FeaturePyramid(config.fpn, inputs)
            self.channels = config.fpn.channels
        else:
            self.body = ResNet(config.backbone, 3, 3)
            self.channels = stage_channels(config.backbone, 3)

    def forward(self, images):
        features = self.body(images)
        return self.fpn(features) if self.has_fpn else features


class FasterRCNN(nn.Module):
    def __init__(self, config: FasterRcnnConfig):
        super().__init__()
        self.backbone = Backbone(config)
        self.rpn = RegionProposalNetwork(config, self.backbone.channels)
        is_layer4 = config.roi.head == "layer4"
        layer4 = stage_channels(config.backbone, 4) if is_layer4 else 0
        self.roi_heads = RoiHeads(config, self.backbone.channels, layer4)
