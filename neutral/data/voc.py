"""PASCAL VOC directories (one year: Annotations, ImageSets/Main, JPEGImages), read as the COCO ones are.

Boxes become 0-based by subtracting 1 from all four numbers, as trzy, chenyuntc and ruotianluo do. The
20 classes are numbered from 1 in alphabetical order. Objects marked difficult are not trained on and
do not count in the evaluation, neither as found nor as missed; they are carried as COCO's crowds.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from neutral.data.coco import CocoDataset, check_annotation
from neutral.errors import InputError

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)


def open_voc(
    root: Path, split: str, name: str, num_classes: int, degenerate_boxes: str = "error"
) -> CocoDataset:
    """The images of ROOT/ImageSets/Main/NAME.txt as the split `split`; checked as a COCO directory is.

    Images are numbered from 1 in the order of that file.
    """
    if num_classes != len(CLASSES) + 1:
        raise InputError(
            f"VOC has {len(CLASSES)} classes: set model.num_classes={len(CLASSES) + 1}, not {num_classes}"
        )
    listing = root / "ImageSets" / "Main" / f"{name}.txt"
    if not listing.is_file():
        raise InputError(
            f"{listing}: no such file; --data names one year of VOC, as VOCdevkit/VOC2007, "
            "and data.voc_train_split and data.voc_val_split name the lists"
        )
    stems = [line.split()[0] for line in listing.read_text().splitlines() if line.strip()]
    if not stems:
        raise InputError(f"{listing}: no images")
    categories = dict(enumerate(CLASSES, start=1))
    images, annotations, identifier = [], {}, 0
    for number, stem in enumerate(stems, start=1):
        file = root / "Annotations" / f"{stem}.xml"
        record, objects = _read_annotation(file, number)
        images.append(record)
        for annotation in objects:
            identifier += 1
            annotation["id"] = identifier
            check_annotation(annotation, {number: record}, categories, file, degenerate_boxes)
        annotations[number] = tuple(objects)
    labels = {category: category for category in categories}
    return CocoDataset.checked(
        split, root / "JPEGImages", listing, tuple(images), annotations, categories, labels
    )


def _read_annotation(file: Path, number: int) -> tuple[dict, list[dict]]:
    """An image record and its annotations, without ids, in COCO's form."""
    try:
        tree = ElementTree.parse(file).getroot()
        size = {side: int(tree.findtext(f"size/{side}")) for side in ("width", "height")}
        objects = [_read_object(element, file, number) for element in tree.iter("object")]
    except FileNotFoundError:
        raise InputError(f"{file}: no such annotation") from None
    except (ElementTree.ParseError, TypeError, ValueError) as error:
        raise InputError(f"{file}: not a VOC annotation ({error})") from None
    name = tree.findtext("filename") or f"{file.stem}.jpg"
    return {"id": number, "file_name": name} | size, objects


def _read_object(element, file: Path, number: int) -> dict:
    name = (element.findtext("name") or "").strip()
    if name not in CLASSES:
        raise InputError(f"{file}: object {name!r} is none of VOC's classes; mend or remove it")
    left, top, right, bottom = (
        float(element.findtext(f"bndbox/{side}")) - 1 for side in ("xmin", "ymin", "xmax", "ymax")
    )
    return {
        "image_id": number,
        "category_id": CLASSES.index(name) + 1,
        "bbox": [left, top, right - left, bottom - top],
        "iscrowd": int(element.findtext("difficult") or 0),
    }
