"""DETR's fields and presets: facebookresearch/detr main.py:20-102 and datasets/coco.py:115-142."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from neutral.config.shared import BackboneConfig


@dataclass(frozen=True)
class PositionConfig:
    kind: Literal["sine", "learned"] = "sine"
    temperature: float = 10000.0
    eps: float = 1e-6
    scale: float = 6.283185307179586  # 2 pi
    learned_rows: int = 50
    # the reference computes sines in float32 whatever the model's dtype (position_encoding.py:31);
    # "model" lets a float64 comparison of the frameworks see more than float32 rounding
    dtype: Literal["float32", "model"] = "float32"


@dataclass(frozen=True)
class TransformerConfig:
    hidden_dim: int = 256
    heads: int = 8
    encoder_layers: int = 6
    decoder_layers: int = 6
    feedforward_dim: int = 2048
    dropout: float = 0.1
    pre_norm: bool = False
    norm_eps: float = 1e-5


@dataclass(frozen=True)
class MatcherConfig:
    cost_class: float = 1.0
    cost_bbox: float = 5.0
    cost_giou: float = 2.0


@dataclass(frozen=True)
class CriterionConfig:
    loss_ce: float = 1.0
    loss_bbox: float = 5.0
    loss_giou: float = 2.0
    eos_coef: float = 0.1  # class weight of "no object"
    loss_mask: float = 1.0
    loss_dice: float = 1.0
    focal_alpha: float = 0.25  # of loss_mask (segmentation.py:191-216)
    focal_gamma: int = 2
    dice_smooth: float = 1.0  # added above and below


@dataclass(frozen=True)
class MaskConfig:
    """Segmentation: `--masks`, models/segmentation.py."""

    enabled: bool = False
    freeze_detr: bool = (
        False  # `--frozen_weights`: only the mask head and its attention are trained
    )
    norm_groups: int = 8
    norm_eps: float = 1e-5
    threshold: float = 0.5  # of a pixel's probability
    panoptic: bool = False  # also one segment for every pixel, `--dataset_file coco_panoptic`
    things_below: int = 91  # category ids below it are things, the others stuff (detr.py:357)
    panoptic_threshold: float = 0.85  # least score of a segment
    panoptic_min_area: int = 5  # pixels of a segment


@dataclass(frozen=True)
class DetrConfig:
    detector: Literal["detr"] = "detr"
    num_classes: int = 91  # greatest category id + 1: labels are COCO ids, no remapping
    num_queries: int = 100
    box_layers: int = 3
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
