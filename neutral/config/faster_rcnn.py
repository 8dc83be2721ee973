"""Faster R-CNN's fields: every knob by which the public systems differ.

The systems are trzy/FasterRCNN, chenyuntc/simple-faster-rcnn-pytorch ("simple"), ruotianluo's port
of tf-faster-rcnn ("tf"), torchvision's fasterrcnn_resnet50_fpn, detectron2, and the EECS 498
exercise A5-2 ("a5"). presets.py and pyramid_presets.py say who has which value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from door.ranges import (
    Above0,
    Any,
    Channels,
    Channels0,
    Count,
    Count0,
    Least0,
    Part,
    Range,
    Share,
)
from neutral.config.shared import BackboneConfig


@dataclass(frozen=True)
class FpnConfig:
    channels: Channels0 = 0  # 0: no pyramid, one map at stride 16 ("C4", or VGG16's conv5_3)
    first_level: Annotated[int, Range(2, 5)] = 2  # the finest level: 2 is p2, at stride 4
    last_level: Annotated[int, Range(2, 5)] = 5
    extra: Literal["none", "max_pool"] = "max_pool"  # p6, for the RPN only


@dataclass(frozen=True)
class AnchorConfig:
    """Sizes per level: sides in pixels, or multiples of the stride, or areas; ratios are height / width."""

    sizes: tuple[tuple[Above0, ...], ...] = ((8.0, 16.0, 32.0),)
    unit: Literal["pixels", "strides", "areas"] = "strides"
    ratios: tuple[Above0, ...] = (0.5, 1.0, 2.0)
    order: Literal["ratio_major", "size_major"] = "ratio_major"
    # "corners": torchvision's rounding of the corners; "window": the integer windows of py-faster-rcnn
    rounding: Literal["none", "corners", "window"] = "none"
    offset: Any = 0.5  # of the first centre, in strides
    # "measured": image size // map size, as torchvision; of p6, 53 where 160 pixels give 3 cells
    stride: Literal["nominal", "measured"] = "nominal"


@dataclass(frozen=True)
class CoderConfig:
    """Deltas are (centre shift / size, log of the size ratio), times `weights` or divided by `stds`."""

    scale: tuple[Above0, Above0, Above0, Above0] = (1.0, 1.0, 1.0, 1.0)  # for x, y, w, h
    scale_is: Literal["weights", "stds"] = "weights"
    clamp: Least0 = 0.0  # greatest log of a size ratio when decoding; 0: none


@dataclass(frozen=True)
class LabelConfig:
    """Which boxes are positive (IoU >= high) and negative (low <= IoU < high, or IoU < low)."""

    positive: Share = 0.7
    negative: Share = 0.3  # IoU below it is negative
    negative_from: Share = 0.0  # IoU below this is neither: "hard" background only
    negative_inclusive: bool = False  # a5: IoU equal to `negative` counts too
    low_quality: bool = True  # the best anchors of every object are positive, ties included


@dataclass(frozen=True)
class SamplerConfig:
    count: Count = 256  # per image
    positive_fraction: Share = 0.5
    rounding: Literal["floor", "round"] = "floor"  # of the greatest number of positives
    # "available": the fraction is of min(count, candidates), and a side without any leaves none (trzy)
    fraction_of: Literal["count", "available"] = "count"
    refill: bool = False  # tf: too few candidates are drawn again until `count` is full
    scope: Literal["image", "batch"] = "image"  # a5 samples over the whole batch


@dataclass(frozen=True)
class BoxLossConfig:
    kind: Literal["smooth_l1", "l1"] = "smooth_l1"
    beta: Least0 = 1.0  # where smooth L1 turns linear: 1 / sigma^2


@dataclass(frozen=True)
class ProposalConfig:
    pre_nms_train: Count = 12000
    post_nms_train: Count = 2000
    pre_nms_test: Count = 6000
    post_nms_test: Count = 300
    nms_threshold: Share = 0.7
    per_level: bool = False  # the limit before NMS, and NMS itself, within each pyramid level
    min_size: Least0 = 0.0  # pixels; smaller boxes are dropped
    min_size_scaled: bool = False  # simple: in pixels of the original image
    filter_first: bool = False  # simple: small boxes go before the pre-NMS limit, not after it
    inside_only: bool = False  # trzy --exclude-edge-proposals
    test_mode: Literal["nms", "top"] = "nms"  # tf TEST.MODE: "top" takes the best, without NMS
    top_count: Count = 5000

    def counts(self, training: bool) -> tuple[int, int]:
        """How many candidates enter NMS, and how many leave it."""
        if training:
            return self.pre_nms_train, self.post_nms_train
        return self.pre_nms_test, self.post_nms_test


@dataclass(frozen=True)
class RpnConfig:
    channels: Channels0 = 0  # of the 3x3 convolution; 0: as many as the features have
    scores: Literal["sigmoid", "softmax"] = "sigmoid"
    softmax_layout: Literal["anchor_major", "class_major"] = "anchor_major"  # of the 2A channels
    train_inside_only: bool = True  # anchors that leave the image are not trained
    inside_strict: bool = False  # tf: the far side must stay below the size, not at it
    # anchors centred on a batch's padding take no part; torchvision lets them
    exclude_padding: bool = True
    anchors: AnchorConfig = field(default_factory=AnchorConfig)
    coder: CoderConfig = field(default_factory=CoderConfig)
    labels: LabelConfig = field(default_factory=LabelConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    box_loss: BoxLossConfig = field(default_factory=lambda: BoxLossConfig(beta=1 / 9))
    proposals: ProposalConfig = field(default_factory=ProposalConfig)
    init_std: Least0 = 0.01


@dataclass(frozen=True)
class DetectionConfig:
    score_threshold: Share = 0.05
    nms_threshold: Share = 0.3
    max_count: Count0 = 0  # per image; 0: no limit
    min_size: Least0 = 0.0
    clip_offset: Least0 = 0.0  # boxes are clipped to [0, size - offset]


@dataclass(frozen=True)
class RoiConfig:
    pool: Literal["roi_pool", "roi_align", "crop_and_resize"] = "roi_pool"
    size: Annotated[int, Range(1, 1000)] = 7
    sampling_ratio: Annotated[int, Range(0, 1000)] = (
        0  # RoIAlign samples per bin and axis; 0: as many as the bin is wide
    )
    aligned: bool = False  # RoIAlign shifts by half a pixel
    canonical_size: Above0 = 224.0  # FPN paper, equation 1: such a box belongs to canonical_level
    canonical_level: Annotated[int, Range(0, 10)] = 4
    level_eps: Least0 = 1e-6
    head: Literal["two_fc", "layer4", "mobilenet"] = "two_fc"
    hidden: Channels = 4096
    layer4_pool: Literal["mean", "max"] = "mean"
    dropout: Part = 0.0  # after each of two_fc's layers
    regress: bool = True  # a5 has no second regression
    background_slot: bool = True  # whether the box head has four outputs for the background too
    append_gt: bool = True  # objects join the proposals in training
    coder: CoderConfig = field(
        default_factory=lambda: CoderConfig(scale=(0.1, 0.1, 0.2, 0.2), scale_is="stds")
    )
    labels: LabelConfig = field(
        default_factory=lambda: LabelConfig(positive=0.5, negative=0.5, low_quality=False)
    )
    sampler: SamplerConfig = field(
        default_factory=lambda: SamplerConfig(count=128, positive_fraction=0.25, rounding="round")
    )
    box_loss: BoxLossConfig = field(default_factory=BoxLossConfig)
    class_loss_eps: Least0 = 0.0  # trzy: added to the probability inside the logarithm
    detections: DetectionConfig = field(default_factory=DetectionConfig)
    class_init_std: Least0 = 0.01  # 0: torch.nn.Linear's default
    box_init_std: Least0 = 0.001


@dataclass(frozen=True)
class FasterRcnnConfig:
    detector: Literal["faster_rcnn"] = "faster_rcnn"
    # outputs of the class head: foreground labels 1 .. num_classes - 1, and the background
    num_classes: Count = 91
    background: Literal["first", "last"] = "first"  # its column; "last" is detectron2's and a5's
    box_order: Literal["xy", "yx"] = "xy"  # of deltas: (x, y, w, h) or (y, x, h, w)
    pixel_offset: Least0 = 0.0  # 1: the legacy convention, a box from 0 to 9 is 10 wide
    dropout_source: Literal["shared", "native"] = "shared"  # see neutral/randomness.py
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    fpn: FpnConfig = field(default_factory=FpnConfig)
    rpn: RpnConfig = field(default_factory=RpnConfig)
    roi: RoiConfig = field(default_factory=RoiConfig)

    def loss_weights(self) -> dict[str, float]:
        """Weight of every loss in the total: all systems add them plainly."""
        names = ("loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg")
        return dict.fromkeys(names if self.roi.regress else names[:3], 1.0)

    def strides(self) -> tuple[int, ...]:
        """Stride of every map that the RPN looks at, finest first."""
        if not self.fpn.channels:
            return (16,)
        extra = self.fpn.extra != "none"
        return tuple(2**k for k in range(self.fpn.first_level, self.fpn.last_level + 1 + extra))
