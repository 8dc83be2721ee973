"""DETR's fields and presets: facebookresearch/detr main.py:20-102 and datasets/coco.py:115-142."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from door.ranges import Above0, Channels, Count, Count0, Layers, Least0, Part, Range, Share
from neutral.config.shared import BackboneConfig


@dataclass(frozen=True)
class PositionConfig:
    kind: Literal["sine", "learned"] = "sine"
    temperature: Above0 = 10000.0
    eps: Least0 = 1e-6
    scale: Above0 = 6.283185307179586  # 2 pi
    learned_rows: Count = 50
    # the reference computes sines in float32 whatever the model's dtype (position_encoding.py:31);
    # "model" lets a float64 comparison of the frameworks see more than float32 rounding
    dtype: Literal["float32", "model"] = "float32"


@dataclass(frozen=True)
class TransformerConfig:
    hidden_dim: Channels = 256
    heads: Layers = 8
    encoder_layers: Annotated[int, Range(0, 1000)] = 6
    decoder_layers: Layers = 6
    feedforward_dim: Channels = 2048
    dropout: Part = 0.1
    pre_norm: bool = False
    norm_eps: Least0 = 1e-5


@dataclass(frozen=True)
class MatcherConfig:
    cost_class: Least0 = 1.0
    cost_bbox: Least0 = 5.0
    cost_giou: Least0 = 2.0


@dataclass(frozen=True)
class CriterionConfig:
    loss_ce: Least0 = 1.0
    loss_bbox: Least0 = 5.0
    loss_giou: Least0 = 2.0
    eos_coef: Least0 = 0.1  # class weight of "no object"
    loss_mask: Least0 = 1.0
    loss_dice: Least0 = 1.0
    focal_alpha: Share = 0.25  # of loss_mask (segmentation.py:191-216)
    focal_gamma: Annotated[int, Range(0, 100)] = 2
    dice_smooth: Least0 = 1.0  # added above and below


@dataclass(frozen=True)
class MaskConfig:
    """Segmentation: `--masks`, models/segmentation.py."""

    enabled: bool = False
    freeze_detr: bool = (
        False  # `--frozen_weights`: only the mask head and its attention are trained
    )
    norm_groups: Channels = 8
    norm_eps: Least0 = 1e-5
    threshold: Share = 0.5  # of a pixel's probability
    panoptic: bool = False  # also one segment for every pixel, `--dataset_file coco_panoptic`
    things_below: Count0 = 91  # category ids below it are things, the others stuff (detr.py:357)
    panoptic_threshold: Share = 0.85  # least score of a segment
    panoptic_min_area: Count0 = 5  # pixels of a segment


@dataclass(frozen=True)
class DetrConfig:
    detector: Literal["detr"] = "detr"
    num_classes: Count = 91  # greatest category id + 1: labels are COCO ids, no remapping
    num_queries: Count = 100
    box_layers: Layers = 3
    aux_loss: bool = True
    dropout_source: Literal["shared", "native"] = "shared"  # see neutral/randomness.py
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    position: PositionConfig = field(default_factory=PositionConfig)
    transformer: TransformerConfig = field(default_factory=TransformerConfig)
    matcher: MatcherConfig = field(default_factory=MatcherConfig)
    criterion: CriterionConfig = field(default_factory=CriterionConfig)
    masks: MaskConfig = field(default_factory=MaskConfig)

    def loss_weights(self) -> dict[str, float]:
        """Weight of every loss in the total, by name without the layer's number."""
        names = ["loss_ce", "loss_bbox", "loss_giou"]
        names += ["loss_mask", "loss_dice"] if self.masks.enabled else []
        return {name: getattr(self.criterion, name) for name in names}
