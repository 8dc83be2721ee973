"""Fields that both detectors have: backbone, optimiser, transforms, data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from door.ranges import (
    Above0,
    Any,
    Channels,
    Count,
    Epochs,
    Least0,
    Part,
    Range,
    Rate,
    Seed,
    Share,
    Side,
)

# block kind and blocks per stage, as torchvision names them; resnet10 has one block per stage
RESNET_LAYOUTS = {
    "resnet10": ("basic", (1, 1, 1, 1)),
    "resnet18": ("basic", (2, 2, 2, 2)),
    "resnet50": ("bottleneck", (3, 4, 6, 3)),
    "resnet101": ("bottleneck", (3, 4, 23, 3)),
    "resnet152": ("bottleneck", (3, 8, 36, 3)),
}
BLOCK_EXPANSION = {"basic": 1, "bottleneck": 4}
# MobileNet's layers: channels as a multiple of the first's, and stride (mobilenet_v1.py:29-46)
MOBILENET_LAYERS = (
    *((1, 2), (2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2)),
    *[(16, 1)] * 5,
    *((32, 1), (32, 1)),
)
# channels of the 3x3 convolutions of each block of VGG16 ("D"); a 2x2 pool lies between the blocks
VGG16_BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
CROWD_SIZE = (60, 40)  # width and height, in pixels, of the region where a scene's crowd lies


@dataclass(frozen=True)
class BackboneConfig:
    name: str = "resnet50"  # or "vgg16", "mobilenet_v1"
    dilation: bool = False  # DC5: the last stage keeps its stride and dilates instead
    norm: Literal["frozen_batch", "group"] = "frozen_batch"
    norm_eps: Least0 = 1e-5
    norm_groups: Channels = 8  # of group normalisation
    width: Annotated[int, Range(1, 4096)] = (
        64  # channels of the stem; stages have 1, 2, 4, 8 times as many
    )
    frozen_stages: Annotated[int, Range(0, 13)] = (
        2  # DETR backbone.py:62-64: stem and layer1; of VGG16: its first blocks
    )
    stride_on: Literal["3x3", "1x1"] = "3x3"  # of a strided bottleneck; "1x1" is caffe's placement
    # of MobileNet's convolutions, instead of the optimiser's; whether the depthwise ones are decayed
    mobilenet_weight_decay: Least0 = 4e-5
    mobilenet_decay_depthwise: bool = False
    layer4_stride: Annotated[int, Range(1, 2)] = (
        2  # 1 in ruotianluo's port, where layer4 runs on the RoIs
    )


@dataclass(frozen=True)
class OptimiserConfig:
    kind: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: Rate = 1e-4
    lr_backbone: Rate = 1e-5  # DETR only; 0: the backbone is frozen
    weight_decay: Least0 = 1e-4
    betas: tuple[Part, Part] = (0.9, 0.999)  # AdamW, Adam
    eps: Least0 = 1e-8  # AdamW, Adam
    momentum: Share = 0.9  # SGD
    bias_lr_factor: Least0 = 1.0  # 2 in caffe's habit; 0: biases are not trained (trzy's defect)
    bias_decay: bool = True  # whether biases are decayed
    clip_max_norm: Least0 = 0.1  # 0: no clipping
    clip_eps: Least0 = 1e-6
    epochs: Count = 300
    lr_drop: Count = 200  # epochs between drops
    lr_milestones: tuple[Epochs, ...] = ()  # epochs of the drops, instead of every `lr_drop`
    lr_gamma: Least0 = 0.1
    warmup_steps: Annotated[int, Range(0, 10**9)] = (
        0  # the rate rises linearly from warmup_factor of it over this many steps
    )
    warmup_factor: Share = 1e-3
    batch_size: Count = 2
    restart_epochs: tuple[
        Epochs, ...
    ] = ()  # begun from the best weights so far (chenyuntc's epoch 9)
    ema_decay: Part = 0.0  # of a running average of the weights, which is then what is evaluated
    precision: Literal["float32", "bfloat16"] = (
        "float32"  # of products and convolutions; PyTorch only
    )
    accumulate: Count = 1  # batches whose gradients are averaged for one step


@dataclass(frozen=True)
class TransformConfig:
    train_sizes: tuple[Side, ...] = (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800)
    max_size: Annotated[int, Range(0, 65535)] = 1333  # 0: the long side is not limited
    crop_resize_sizes: tuple[Side, ...] = (400, 500, 600)
    crop_min: Side = 384
    crop_max: Side = 600
    crop_probability: Share = 0.5
    flip_probability: Share = 0.5
    flip_offset: Least0 = 0.0  # x becomes width - offset - x; 1 in trzy and ruotianluo
    val_size: Side = 800
    channels: Literal["rgb", "bgr"] = "rgb"
    pixel_range: Above0 = 1.0  # greatest value of a pixel before the mean is taken off
    mean: tuple[Any, Any, Any] = (0.485, 0.456, 0.406)
    std: tuple[Above0, Above0, Above0] = (0.229, 0.224, 0.225)
    boxes: Literal["relative_cxcywh", "absolute_xyxy"] = "relative_cxcywh"
    size_divisor: Annotated[int, Range(1, 4096)] = 1  # batches are padded to a multiple of it


@dataclass(frozen=True)
class ScenesConfig:
    """The procedural data set; see neutral/data/scenes.py."""

    train_images: Count = 800
    val_images: Count = 40
    width: Side = 160
    height: Side = 128
    max_objects: Count = 6
    min_side: Side = 20  # pixels
    max_side: Side = 64
    empty_fraction: Share = 0.05
    crowd_fraction: Share = 0.05


@dataclass(frozen=True)
class DataConfig:
    kind: Literal["scenes", "coco", "coco_panoptic", "voc"] = "coco"
    root: str = (
        ""  # of a COCO directory, a VOC year (as .../VOC2007) or VOCdevkit; scenes need none
    )
    degenerate_boxes: Literal["error", "drop"] = "error"  # DETR's reference drops them
    # labels of COCO's categories: their ids, or 0, 1, ... (Faster R-CNN: 1, 2, ...) in the order of ids, as detectron2
    labels: Literal["ids", "contiguous"] = "ids"
    # sets that make up a split; COCO: as train2014, or FILE.json:FOLDER (none: train2017, else train2014);
    # VOC: lists of ImageSets/Main, as trainval or, below VOCdevkit, 2007/trainval (none: trainval and test)
    train_sets: tuple[str, ...] = ()
    val_sets: tuple[str, ...] = ()
    # "discovered": the classes that the training sets have, sorted, as trzy finds them
    voc_classes: Literal["standard", "discovered"] = "standard"
    max_pixels: Annotated[int, Range(1, 10**12)] = (
        100_000_000  # of an image; larger ones are refused
    )
    scenes: ScenesConfig = field(default_factory=ScenesConfig)
    scenes_seed: Seed = 0
