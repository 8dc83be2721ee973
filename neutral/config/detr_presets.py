"""DETR's presets: the published ones, and one that two CPU cores train. Sources are named by file and line."""

from __future__ import annotations

from neutral.config.detr import DetrConfig, MaskConfig, TransformerConfig
from neutral.config.shared import (
    BackboneConfig,
    DataConfig,
    OptimiserConfig,
    ScenesConfig,
    TransformConfig,
)


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
