"""What labels are called when there is no data set at hand that would say."""

from __future__ import annotations

from neutral.config import Config
from neutral.data.annotations import number
from neutral.data.categories import Categories
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


# COCO's 53 panoptic categories of stuff
COCO_STUFF = {
    **{92: "banner", 93: "blanket", 95: "bridge", 100: "cardboard", 107: "counter"},
    **{109: "curtain", 112: "door-stuff", 118: "floor-wood", 119: "flower", 122: "fruit"},
    **{125: "gravel", 128: "house", 130: "light", 133: "mirror-stuff", 138: "net"},
    **{141: "pillow", 144: "platform", 145: "playingfield", 147: "railroad", 148: "river"},
    **{149: "road", 151: "roof", 154: "sand", 155: "sea", 156: "shelf", 159: "snow"},
    **{161: "stairs", 166: "tent", 168: "towel", 171: "wall-brick", 175: "wall-stone"},
    **{176: "wall-tile", 177: "wall-wood", 178: "water-other", 180: "window-blind"},
    **{181: "window-other", 184: "tree-merged", 185: "fence-merged", 186: "ceiling-merged"},
    **{187: "sky-other-merged", 188: "cabinet-merged", 189: "table-merged"},
    **{190: "floor-other-merged", 191: "pavement-merged", 192: "mountain-merged"},
    **{193: "grass-merged", 194: "dirt-merged", 195: "paper-merged", 196: "food-other-merged"},
    **{197: "building-other-merged", 198: "rock-merged", 199: "wall-other-merged"},
    200: "rug-merged",
}


def standard(config: Config) -> Categories | None:
    """The categories of the public data set that a preset is for; None where the number of classes is another's."""
    data, first = config.data, 1 if config.model.detector == "faster_rcnn" else 0
    names, contiguous = COCO, data.labels == "contiguous"
    if data.kind == "scenes":
        names, contiguous = dict(CATEGORIES), False
    elif data.kind == "voc":
        names, contiguous = dict(enumerate(CLASSES, start=1)), False
    elif data.kind == "coco_panoptic":
        names, contiguous = COCO | COCO_STUFF, False
    labels = number(names, first, contiguous)
    classes = PANOPTIC_CLASSES if data.kind == "coco_panoptic" else max(labels.values()) + 1
    return Categories(names, labels) if config.model.num_classes == classes else None


PANOPTIC_CLASSES = 250  # of the published models, for ids up to 200
