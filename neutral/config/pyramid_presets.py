"""Presets of Faster R-CNN with torchvision's heads: torchvision's, detectron2's, a5's, and one for two CPU cores.

Sources are named by REFERENCE (README) and line.
"""

from __future__ import annotations

import math
from dataclasses import replace

from neutral.config.faster_rcnn import (
    AnchorConfig,
    BoxLossConfig,
    CoderConfig,
    DetectionConfig,
    FasterRcnnConfig,
    FpnConfig,
    LabelConfig,
    ProposalConfig,
    RoiConfig,
    RpnConfig,
    SamplerConfig,
)
from neutral.config.preset_parts import CAFFE, VOC, sgd, transform
from neutral.config.shared import (
    BackboneConfig,
    DataConfig,
    OptimiserConfig,
)

TORCHVISION_CLAMP = math.log(1000 / 16)


def torchvision_r50_fpn() -> dict:
    """torchvision.models.detection.fasterrcnn_resnet50_fpn, with its reference's COCO schedule."""
    return {
        "model": FasterRcnnConfig(
            backbone=BackboneConfig(name="resnet50", norm_eps=0.0),
            fpn=FpnConfig(channels=256),
            rpn=RpnConfig(
                train_inside_only=False,
                exclude_padding=False,
                anchors=AnchorConfig(
                    sizes=((32.0,), (64.0,), (128.0,), (256.0,), (512.0,)),
                    unit="pixels",
                    rounding="corners",
                    offset=0.0,
                    stride="measured",
                ),
                coder=CoderConfig(clamp=TORCHVISION_CLAMP),
                proposals=ProposalConfig(
                    pre_nms_train=2000,
                    pre_nms_test=1000,
                    post_nms_train=2000,
                    post_nms_test=1000,
                    per_level=True,
                    min_size=1e-3,
                ),
            ),
            roi=RoiConfig(
                pool="roi_align",
                sampling_ratio=2,
                hidden=1024,
                coder=CoderConfig(scale=(10.0, 10.0, 5.0, 5.0), clamp=TORCHVISION_CLAMP),
                sampler=SamplerConfig(count=512, positive_fraction=0.25),
                box_loss=BoxLossConfig(beta=1 / 9),
                detections=DetectionConfig(nms_threshold=0.5, max_count=100, min_size=1e-2),
                class_init_std=0.0,
                box_init_std=0.0,
            ),
        ),
        "optimiser": sgd(
            0.02 / 8, weight_decay=1e-4, epochs=26, lr_milestones=(16, 22), batch_size=2
        ),
        "transform": transform(800, 1333, size_divisor=32),
    }


def _detectron2(**model) -> dict:
    """detectron2's Base-RCNN on COCO: background last, no slot for its boxes, L1 losses, aligned RoIAlign.

    Its RPN loss is divided by 256 per image, here by the anchors sampled; its classes 0 to 79 are labels 1 to 80.
    """
    coder = CoderConfig(scale=(10.0, 10.0, 5.0, 5.0), clamp=TORCHVISION_CLAMP)
    roi = RoiConfig(
        pool="roi_align",
        aligned=True,
        level_eps=1e-8,
        hidden=1024,
        background_slot=False,
        coder=coder,
        sampler=SamplerConfig(count=512, positive_fraction=0.25),
        box_loss=BoxLossConfig(kind="l1"),
        detections=DetectionConfig(nms_threshold=0.5, max_count=100),
    )
    rpn = RpnConfig(
        train_inside_only=False,
        coder=CoderConfig(clamp=TORCHVISION_CLAMP),
        box_loss=BoxLossConfig(kind="l1"),
    )
    return {
        "model": FasterRcnnConfig(
            num_classes=81,
            background="last",
            backbone=BackboneConfig(name="resnet50", stride_on="1x1"),
            rpn=replace(rpn, **model.pop("rpn")),
            roi=replace(roi, **model.pop("roi")),
            **model,
        ),
        # 1x: 90000 steps of 16 images, drops at 60000 and 80000; here epochs of 117266 images
        "optimiser": sgd(
            0.02 / 8, weight_decay=1e-4, epochs=12, lr_milestones=(8, 11), batch_size=2
        ),
        "transform": transform(
            800,
            1333,
            train_sizes=(640, 672, 704, 736, 768, 800),
            size_divisor=32,
            mean=(103.53, 116.28, 123.675),
            **CAFFE,
        ),
        "data": DataConfig(labels="contiguous"),
    }


SIDES = (32.0, 64.0, 128.0, 256.0, 512.0)


def d2_r50_fpn() -> dict:
    """detectron2 COCO-Detection/faster_rcnn_R_50_FPN."""
    return _detectron2(
        fpn=FpnConfig(channels=256),
        rpn={
            "anchors": AnchorConfig(
                sizes=tuple((side,) for side in SIDES), unit="pixels", offset=0.0
            ),
            "proposals": ProposalConfig(2000, 1000, 1000, 1000, per_level=True),
        },
        roi={},
    )


def d2_r50_c4() -> dict:
    """detectron2 COCO-Detection/faster_rcnn_R_50_C4: res5 on regions of 14x14."""
    return _detectron2(
        rpn={
            "anchors": AnchorConfig(sizes=(SIDES,), unit="pixels", order="size_major", offset=0.0),
            "proposals": ProposalConfig(post_nms_test=1000),
        },
        roi={"size": 14, "head": "layer4"},
    )


def a5_fpn() -> dict:
    """EECS 498 A5-2: p3 to p5, no second regression; ResNet-18 stands in for its RegNetX-400MF."""
    return {
        "model": FasterRcnnConfig(
            num_classes=21,
            background="last",
            backbone=BackboneConfig(name="resnet18"),
            fpn=FpnConfig(channels=64, first_level=3, extra="none"),
            rpn=RpnConfig(
                train_inside_only=False,
                anchors=AnchorConfig(sizes=((8.0,), (8.0,), (8.0,))),
                coder=CoderConfig(clamp=math.log(224 / 8)),
                labels=LabelConfig(positive=0.6, negative_inclusive=True, low_quality=False),
                sampler=SamplerConfig(count=16, scope="batch"),
                box_loss=BoxLossConfig(kind="l1"),
                proposals=ProposalConfig(
                    pre_nms_train=500,
                    pre_nms_test=500,
                    post_nms_train=200,
                    post_nms_test=200,
                    per_level=True,
                ),
            ),
            roi=RoiConfig(
                pool="roi_align",
                sampling_ratio=2,
                aligned=True,
                level_eps=0.0,
                hidden=128,
                regress=False,
                sampler=SamplerConfig(count=32, positive_fraction=0.25, scope="batch"),
                detections=DetectionConfig(score_threshold=0.2, nms_threshold=0.5),
            ),
        ),
        "optimiser": sgd(0.01, weight_decay=1e-4, epochs=60, lr_milestones=(40, 54), batch_size=16),
        "transform": transform(
            224,
            0,
            crop_probability=1.0,
            crop_resize_sizes=(224,),
            crop_min=224,
            crop_max=224,
        ),
        "data": VOC,
    }


def scenes_frcnn() -> dict:
    """Faster R-CNN with a small pyramid, from random weights, for two CPU cores."""
    base = torchvision_r50_fpn()["model"]
    proposals = replace(
        base.rpn.proposals,
        pre_nms_train=256,
        pre_nms_test=128,
        post_nms_train=128,
        post_nms_test=64,
    )
    return {
        "model": replace(
            base,
            num_classes=8,
            backbone=BackboneConfig(name="resnet10", norm="group", width=16, frozen_stages=0),
            fpn=FpnConfig(channels=32, first_level=2, last_level=4, extra="none"),
            rpn=replace(
                base.rpn,
                exclude_padding=True,
                anchors=AnchorConfig(sizes=((16.0,), (32.0,), (64.0,)), unit="pixels", offset=0.5),
                sampler=SamplerConfig(count=64),
                proposals=proposals,
            ),
            roi=replace(
                base.roi,
                hidden=128,
                size=5,
                canonical_size=64.0,
                sampler=SamplerConfig(count=32, positive_fraction=0.25),
            ),
        ),
        "optimiser": OptimiserConfig(
            lr=1e-3, weight_decay=1e-4, clip_max_norm=5.0, epochs=10, lr_drop=8, batch_size=4
        ),
        "transform": transform(128, 160, train_sizes=(112, 128), size_divisor=16),
        "data": DataConfig(kind="scenes"),
    }
