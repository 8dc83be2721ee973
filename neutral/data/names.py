"""What labels are called when there is no data set at hand that would say."""

from __future__ import annotations

from neutral.config import Config
from neutral.data.scenes import CATEGORIES
from neutral.data.voc import CLASSES

# COCO's 80 categories in the order of their ids, which run from 1 to 90 without these
COCO_ABSENT_IDS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
COCO_NAMES = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"),
    *("traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat"),
    *("dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack"),
    *("umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball"),
    *("kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket"),
    *("bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple"),
    *("sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair"),
    *("couch", "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse"),
    *("remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink"),
    *("refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier"),
    "toothbrush",
)
COCO = dict(zip((i for i in range(1, 91) if i not in COCO_ABSENT_IDS), COCO_NAMES, strict=True))


def label_names(config: Config) -> dict[int, str]:
    """Names by label of the data that the configuration is for, as far as these are known."""
    if config.data.kind == "voc":
        return dict(enumerate(CLASSES, start=1))
    if config.data.kind == "scenes":
        return dict(CATEGORIES)
    if config.data.labels == "contiguous":
        first = 1 if config.model.detector == "faster_rcnn" else 0
        return dict(enumerate(COCO_NAMES, start=first))
    return dict(COCO)
