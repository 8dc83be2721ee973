"""The declared shapes of the files that are read: what must be there, of which type, in which range.

What else a file has is left alone. Relations between records (an annotation names an image of the file, ids occur
once) are checked where the files are opened.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta
from typing_extensions import NotRequired, TypedDict

LARGEST_SIDE = (
    65535  # pixels: what JPEG can hold; areas stay within 32 bits, as run-length codes need
)
FAR = 1e6  # pixels: no coordinate lies further out
LARGEST_ID = 2**53 - 1  # the greatest integer that every reader of JSON keeps
ANNOTATIONS_LIMIT = 4 << 30  # bytes of a file of annotations or of detections
XML_LIMIT = 16 << 20  # bytes of the annotation of one image
NAME_LIMIT = 4096  # characters of a path

Identifier = Annotated[
    int, Meta(ge=0, le=LARGEST_ID, description=f"an integer from 0 to {LARGEST_ID}")
]
Side = Annotated[
    int, Meta(ge=1, le=LARGEST_SIDE, description=f"an integer from 1 to {LARGEST_SIDE}")
]
Coordinate = Annotated[float, Meta(ge=-FAR, le=FAR)]
FileName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=NAME_LIMIT,
        pattern=r"\A[^\x00]*\Z",
        description="the name of a file",
    ),
]
Name = Annotated[str, Meta(min_length=1, max_length=1000, description="a name")]
Area = Annotated[float, Meta(ge=0, le=FAR * FAR, description="an area, a finite number from 0 on")]
Crowd = Annotated[bool | Literal[0, 1], Meta(description="0 or 1")]
Box = Annotated[
    list[Coordinate],
    Meta(min_length=4, max_length=4, description="4 finite numbers"),
]
Polygon = Annotated[
    list[Coordinate],
    Meta(description="a polygon, finite numbers x, y, x, y, ..."),
]
Finite = Annotated[float, Meta(ge=-1.7e308, le=1.7e308, description="a finite number")]


class RunLengths(TypedDict):
    """COCO's code of a mask: counts of pixels, or these packed in a string."""

    size: Annotated[list[Side], Meta(min_length=2, max_length=2, description="[height, width]")]
    counts: Annotated[
        str | list[Annotated[int, Meta(ge=0, lt=2**32)]],
        Meta(description="a string, or a list of integers from 0 on"),
    ]


Segmentation = list[Polygon] | RunLengths | None


class Image(TypedDict):
    id: Identifier
    file_name: FileName
    width: Side
    height: Side


class Category(TypedDict):
    id: Identifier
    name: Name
    isthing: NotRequired[Crowd]


class Annotation(TypedDict):
    id: NotRequired[Identifier]
    image_id: Identifier
    category_id: Identifier
    bbox: Box
    area: NotRequired[Area]
    iscrowd: NotRequired[Crowd]
    segmentation: NotRequired[Segmentation]


class CocoFile(TypedDict):
    """Annotations of a split: instances_*.json."""

    images: list[Image]
    annotations: list[Annotation]
    categories: list[Category]


class Segment(TypedDict):
    id: Identifier
    category_id: Identifier
    bbox: Box
    area: NotRequired[Area]
    iscrowd: NotRequired[Crowd]


class PanopticAnnotation(TypedDict):
    image_id: Identifier
    file_name: FileName
    segments_info: list[Segment]


class PanopticFile(TypedDict):
    """panoptic_*.json."""

    images: list[Image]
    annotations: list[PanopticAnnotation]
    categories: list[Category]


class VocRecord(TypedDict):
    """An image of VOC, Annotations/*.xml, and its objects, whose boxes have been made COCO's."""

    file_name: FileName
    width: Side
    height: Side
    object: list[Annotation]


class Detection(TypedDict):
    """A COCO result; scripts/predict adds the image's file and the label's name."""

    image_id: Identifier
    category_id: Annotated[int, Meta(ge=-1, le=LARGEST_ID, description="an integer from -1 on")]
    bbox: Box
    score: Finite
    segmentation: NotRequired[Segmentation]
    file_name: NotRequired[str]
    name: NotRequired[str]


Detections = list[Detection]

Number = float | None  # in logs, which other programs write, too: also NaN, and null for it


class RunHeader(TypedDict):
    """The first line of a log of this project."""

    config: NotRequired[dict[str, Any]]
    data: NotRequired[dict[str, dict[str, Any]]]
    weights: NotRequired[dict[str, Any]]
    environment: NotRequired[dict[str, Any]]


class LoggedEpoch(TypedDict):
    """A line of a log: DETR's keys; beside these any others."""

    epoch: Annotated[int, Meta(ge=0, le=10**9, description="an integer from 0 on")]
    train_loss: NotRequired[Number]
    train_lr: NotRequired[Number]
    test_loss: NotRequired[Number]
    # a number by itself is what some write of AP alone
    test_coco_eval_bbox: NotRequired[list[Number] | float | None]
    test_coco_eval_masks: NotRequired[list[Number] | float | None]
    test_per_class: NotRequired[dict[str, Number] | None]
    train_step_losses: NotRequired[list[Number] | float | None]
    images_per_second: NotRequired[Number]
    peak_memory_mib: NotRequired[Number]
    n_parameters: NotRequired[int | None]


class Curves(TypedDict):
    """What scripts.evaluate --curves writes, scripts.plot reads."""

    per_class: dict[str, float | None]
    curves: dict[str, list[float | None]]
