"""PASCAL VOC directories (a year: Annotations, ImageSets/Main, JPEGImages; or several below VOCdevkit), read as COCO's.

Boxes become 0-based by subtracting 1 from all four numbers, as trzy, chenyuntc and ruotianluo do. The
20 classes are numbered from 1 in alphabetical order. Objects marked difficult are not trained on and
do not count in the evaluation, neither as found nor as missed; they are carried as COCO's crowds.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from neutral.data.coco import CocoDataset, check_annotation
from neutral.errors import InputError
from neutral.files import regular

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)


DEFAULT_LISTS = {"train": "trainval", "val": "test"}


def open_voc(
    root: Path,
    split: str,
    sets: tuple[str, ...],
    num_classes: int,
    degenerate_boxes: str = "error",
    classes: tuple[str, ...] = CLASSES,
) -> CocoDataset:
    """The images of the lists `sets` (see `locate_list`; none: trainval or test) as one split, checked as COCO's are.

    Images are numbered from 1 in the order of the lists.
    """
    if num_classes != len(classes) + 1:
        raise InputError(
            f"{root}: has {len(classes)} classes: set model.num_classes={len(classes) + 1}, not {num_classes}"
        )
    categories = dict(enumerate(classes, start=1))
    images, annotations, identifier, listed = [], {}, 0, []
    for name in sets or (DEFAULT_LISTS[split],):
        year, listing = locate_list(root, name)
        listed.append(str(listing))
        for stem in read_list(listing):
            number = len(images) + 1
            file = year / "Annotations" / f"{stem}.xml"
            record, objects = _read_annotation(file, number, classes)
            folder = (year / "JPEGImages").relative_to(root)
            images.append(record | {"folder": str(folder)})
            for annotation in objects:
                identifier += 1
                annotation["id"] = identifier
                check_annotation(annotation, {number: record}, categories, file, degenerate_boxes)
            annotations[number] = tuple(objects)
    labels = {category: category for category in categories}
    source = " and ".join(listed)
    return CocoDataset.checked(split, root, source, tuple(images), annotations, categories, labels)


def locate_list(root: Path, name: str) -> tuple[Path, Path]:
    """A year's folder and the list that `name` stands for: "trainval" or, below VOCdevkit, "2007/trainval"."""
    year, slash, name = name.rpartition("/")
    folder = root / (year if year.startswith("VOC") else f"VOC{year}") if slash else root
    return folder, folder / "ImageSets" / "Main" / f"{name}.txt"


def read_list(listing: Path) -> list[str]:
    """Names of images without their endings; InputError when there is no such list or nothing in it."""
    if not listing.exists():
        raise InputError(
            f"{listing}: no such file; --data names one year of VOC, as VOCdevkit/VOC2007, or VOCdevkit, and "
            "data.train_sets and data.val_sets name the lists, as trainval or 2007/trainval,2012/trainval"
        )
    stems = [line.split()[0] for line in regular(listing).read_text().splitlines() if line.strip()]
    if not stems:
        raise InputError(f"{listing}: no images")
    return stems


def discovered(root: Path, sets: tuple[str, ...]) -> tuple[str, ...]:
    """Sorted: the classes with a list of their own beside those of `sets`, as dog_trainval.txt; else the objects'."""
    located = [locate_list(root, name) for name in sets or (DEFAULT_LISTS["train"],)]
    found = {
        file.name.removesuffix(f"_{listing.name}")
        for _, listing in located
        for file in listing.parent.glob(f"*_{listing.name}")
    }
    if not found:
        for year, listing in located:
            for stem in read_list(listing):
                tree = _parse(year / "Annotations" / f"{stem}.xml")
                found |= {(o.findtext("name") or "").strip() for o in tree.iter("object")}
    return tuple(sorted(found))


def _parse(file: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(regular(file)).getroot()
    except FileNotFoundError:
        raise InputError(f"{file}: no such annotation") from None
    except ElementTree.ParseError as error:
        raise InputError(f"{file}: not a VOC annotation ({error})") from None


def _read_annotation(file: Path, number: int, classes: tuple[str, ...]) -> tuple[dict, list[dict]]:
    """An image record and its annotations, without ids, in COCO's form."""
    tree = _parse(file)
    try:
        size = {side: int(tree.findtext(f"size/{side}")) for side in ("width", "height")}
        objects = [_read_object(element, file, number, classes) for element in tree.iter("object")]
    except (TypeError, ValueError) as error:
        raise InputError(f"{file}: not a VOC annotation ({error})") from None
    name = tree.findtext("filename") or f"{file.stem}.jpg"
    return {"id": number, "file_name": name} | size, objects


def _read_object(element, file: Path, number: int, classes: tuple[str, ...]) -> dict:
    name = (element.findtext("name") or "").strip()
    if name not in classes:
        raise InputError(
            f"{file}: object {name!r} is none of the {len(classes)} classes; mend or remove it"
        )
    left, top, right, bottom = (
        float(element.findtext(f"bndbox/{side}")) - 1 for side in ("xmin", "ymin", "xmax", "ymax")
    )
    return {
        "image_id": number,
        "category_id": classes.index(name) + 1,
        "bbox": [left, top, right - left, bottom - top],
        "iscrowd": int(element.findtext("difficult") or 0),
    }
