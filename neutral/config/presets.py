"""The presets: which system has which numbers. Sources are named by REFERENCE (README) and line."""

from __future__ import annotations

import math
from dataclasses import replace

from neutral.config.detr import DetrConfig, MaskConfig, TransformerConfig
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
from neutral.config.shared import (
    BackboneConfig,
    DataConfig,
    OptimiserConfig,
    ScenesConfig,
    TransformConfig,
)

# what caffe's models see: B, G, R from 0 to 255, no division by a standard deviation
CAFFE = {"channels": "bgr", "pixel_range": 255.0, "std": (1.0, 1.0, 1.0)}
CAFFE_BGR = (102.9801, 115.9465, 122.7717)  # Detectron's pixel means, in the order B, G, R


def detr(backbone: str, dilation: bool) -> dict:
    return {"model": DetrConfig(backbone=BackboneConfig(name=backbone, dilation=dilation))}


def detr_panoptic(backbone: str, dilation: bool) -> dict:
    """The mask head's training on a detector of 250 classes that is done (README, "Training", second step)."""
    return {
        "model": DetrConfig(
            num_classes=250,  # detr.py:307-310
            backbone=BackboneConfig(name=backbone, dilation=dilation),
            masks=MaskConfig(enabled=True, freeze_detr=True, panoptic=True),
        ),
        "optimiser": OptimiserConfig(epochs=25, lr_drop=15, batch_size=1),
        "data": DataConfig(kind="coco_panoptic"),
    }


def scenes_detr() -> dict:
    """DETR small enough for two CPU cores, from random weights.

    Hence group normalisation, pre-norm and a warm-up, which let it learn at ten times the usual rate, a map at stride
    16 (at 32 the smallest objects are smaller than a cell), and many images instead of many epochs.
    """
    return {
        "model": DetrConfig(
            num_classes=8,
            num_queries=12,
            backbone=BackboneConfig(
                name="resnet10", norm="group", width=16, frozen_stages=0, layer4_stride=1
            ),
            transformer=TransformerConfig(
                pre_norm=True,
                hidden_dim=64,
                heads=4,
                encoder_layers=2,
                decoder_layers=3,
                feedforward_dim=128,
                dropout=0.0,
            ),
        ),
        "optimiser": OptimiserConfig(
            lr=1e-3, lr_backbone=1e-3, epochs=16, lr_drop=13, warmup_steps=400, batch_size=8
        ),
        "transform": TransformConfig(
            train_sizes=(128,),
            max_size=160,
            crop_resize_sizes=(128, 144),
            crop_min=96,
            crop_max=144,
            crop_probability=0.0,
            val_size=128,
        ),
        "data": DataConfig(kind="scenes", scenes=ScenesConfig(train_images=4000)),
    }


def transform(short: int, longest: int, **changes) -> TransformConfig:
    """Resize and flip, boxes in pixels: what every Faster R-CNN here does."""
    sizes = {"train_sizes": (short,), "val_size": short, "max_size": longest}
    return TransformConfig(
        **(sizes | {"crop_probability": 0.0, "boxes": "absolute_xyxy"} | changes)
    )


def sgd(lr: float, **changes) -> OptimiserConfig:
    values = {"kind": "sgd", "lr": lr, "weight_decay": 5e-4, "clip_max_norm": 0.0, "batch_size": 1}
    return OptimiserConfig(**(values | changes))


VOC = DataConfig(kind="voc")


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
