"""Presets of Faster R-CNN on one map, from caffe's weights: trzy's, chenyuntc's, ruotianluo's.

Which system has which numbers; sources are named by REFERENCE (README) and line.
"""

from __future__ import annotations

from neutral.config.faster_rcnn import (
    AnchorConfig,
    DetectionConfig,
    FasterRcnnConfig,
    ProposalConfig,
    RoiConfig,
    RpnConfig,
    SamplerConfig,
)
from neutral.config.preset_parts import CAFFE, CAFFE_BGR, VOC, sgd, transform
from neutral.config.shared import (
    BackboneConfig,
)


def trzy(backbone: str) -> dict:
    """trzy/FasterRCNN: areas, yx boxes, RoIPool, no cap on the long side, 10 epochs and 4 more at a tenth.

    Its biases are not trained (a defect, __main__.py:98-105): bias_lr_factor=0 repeats that.
    """
    is_vgg = backbone == "vgg16"
    changes = {"flip_offset": 1.0}
    if is_vgg:  # vgg16.py:146
        changes |= CAFFE | {"mean": (103.939, 116.779, 123.680)}
    areas = ((128.0**2, 256.0**2, 512.0**2),)
    return {
        "model": FasterRcnnConfig(
            num_classes=21,
            box_order="yx",
            backbone=BackboneConfig(name=backbone),
            rpn=RpnConfig(
                anchors=AnchorConfig(sizes=areas, unit="areas", order="size_major"),
                proposals=ProposalConfig(min_size=16.0),
            ),
            roi=RoiConfig(
                head="two_fc" if is_vgg else "layer4",
                background_slot=False,
                class_loss_eps=1e-7,
                sampler=SamplerConfig(
                    count=128, positive_fraction=0.25, rounding="round", fraction_of="available"
                ),
                detections=DetectionConfig(clip_offset=1.0),
            ),
        ),
        "optimiser": sgd(1e-3, epochs=14, lr_milestones=(10,)),
        "transform": transform(600, 0, **changes),
        "data": VOC,
    }


def simple_vgg16() -> dict:
    """chenyuntc/simple-faster-rcnn-pytorch, caffe weights: its mean is R's on B, as published."""
    return {
        "model": FasterRcnnConfig(
            num_classes=21,
            box_order="yx",
            backbone=BackboneConfig(name="vgg16"),
            rpn=RpnConfig(
                scores="softmax",
                proposals=ProposalConfig(min_size=16.0, min_size_scaled=True, filter_first=True),
            ),
            roi=RoiConfig(),
        ),
        "optimiser": sgd(
            1e-3,
            epochs=14,
            lr_milestones=(9,),
            restart_epochs=(9,),
            bias_lr_factor=2.0,
            bias_decay=False,
        ),
        "transform": transform(600, 1000, mean=CAFFE_BGR[::-1], **CAFFE),
        "data": VOC,
    }


# cfg.MOBILENET: the first five layers are fixed
BACKBONES = {"mobilenet_v1": BackboneConfig(name="mobilenet_v1", width=32, frozen_stages=5)}


def tf(backbone: str) -> dict:
    """ruotianluo/pytorch-faster-rcnn: +1 pixels, window anchors, no objects among the proposals."""
    is_vgg = backbone == "vgg16"
    return {
        "model": FasterRcnnConfig(
            num_classes=21,
            pixel_offset=1.0,
            backbone=BACKBONES.get(
                backbone, BackboneConfig(name=backbone, stride_on="1x1", layer4_stride=1)
            ),
            rpn=RpnConfig(
                channels=512,
                scores="softmax",
                softmax_layout="class_major",
                inside_strict=True,
                anchors=AnchorConfig(rounding="window", offset=0.46875),  # centre 7.5 of 16
            ),
            roi=RoiConfig(
                pool="roi_align",
                head={"vgg16": "two_fc", "mobilenet_v1": "mobilenet"}.get(backbone, "layer4"),
                append_gt=False,
                dropout=0.5 if is_vgg else 0.0,
                sampler=SamplerConfig(
                    count=256, positive_fraction=0.25, rounding="round", refill=True
                ),
                detections=DetectionConfig(score_threshold=0.0, max_count=100, clip_offset=1.0),
            ),
        ),
        "optimiser": sgd(
            1e-3,
            weight_decay=1e-4,
            bias_lr_factor=2.0 if is_vgg else 1.0,
            bias_decay=False,
            epochs=14,
            lr_milestones=(10,),  # 70000 steps, drop at 50000, on VOC 2007
        ),
        "transform": transform(600, 1000, mean=CAFFE_BGR, flip_offset=1.0, **CAFFE),
        "data": VOC,
    }
