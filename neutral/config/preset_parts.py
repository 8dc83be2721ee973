"""What several presets share: what caffe's models see, sides of images, SGD's usual schedule."""

from __future__ import annotations

from neutral.config.shared import (
    DataConfig,
    OptimiserConfig,
    TransformConfig,
)

# what caffe's models see: B, G, R from 0 to 255, no division by a standard deviation
CAFFE = {"channels": "bgr", "pixel_range": 255.0, "std": (1.0, 1.0, 1.0)}
CAFFE_BGR = (102.9801, 115.9465, 122.7717)  # Detectron's pixel means, in the order B, G, R


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
