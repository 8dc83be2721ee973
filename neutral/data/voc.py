"""PASCAL VOC directories (a year: Annotations, ImageSets/Main, JPEGImages; or several below VOCdevkit), read as COCO's.

An image is its name in the list: its annotation and its file are called so, whatever `<filename>` says. Boxes become
0-based by subtracting 1 from all four numbers, as trzy, chenyuntc and ruotianluo do. The 20 classes are numbered from 1
in alphabetical order. Objects marked difficult are not trained on and do not count in the evaluation, neither as found
nor as missed; they are carried as COCO's crowds.
"""

from __future__ import annotations

import re
from pathlib import Path, PureWindowsPath
from xml.etree import ElementTree

from door import schema
from door.files import regular
from door.text import decode_xml, read_text
from neutral.data.annotations import check_annotation, with_area
from neutral.data.coco import CocoDataset
from neutral.data.images import stored_size
from neutral.errors import InputError
from neutral.notes import say
from neutral.schemas import XML_LIMIT, VocRecord

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)


DEFAULT_LISTS = {"train": "trainval", "val": "test"}
ENDINGS = (".jpg", ".jpeg", ".JPG", ".JPEG", ".png", ".PNG", ".bmp", ".webp", ".tif", ".tiff")
LABEL = re.compile(
    r"\s+(-1|0|1)\Z"
)  # behind a name in the lists of a class: absent, difficult, there


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
        for stem in read_list(listing, year / "Annotations"):
            number = len(images) + 1
            file = year / "Annotations" / f"{stem}.xml"
            record, objects = _read_annotation(file, stem, year / "JPEGImages", number, classes)
            schema.check(record | {"object": objects}, VocRecord, str(file))
            folder = (year / "JPEGImages").relative_to(root)
            images.append(record | {"folder": str(folder)})
            for annotation in objects:
                identifier += 1
                annotation["id"] = identifier
                check_annotation(annotation, {number: record}, categories, file, degenerate_boxes)
            annotations[number] = tuple(
                with_area(objects, {number: record}, file, degenerate_boxes)
            )
    labels = {category: category for category in categories}
    source = " and ".join(listed)
    return CocoDataset.checked(split, root, source, tuple(images), annotations, categories, labels)


def locate_list(root: Path, name: str) -> tuple[Path, Path]:
    """A year's folder and the list that `name` stands for: "trainval" or, below VOCdevkit, "2007/trainval"."""
    year, slash, name = name.rpartition("/")
    folder = root / (year if year.startswith("VOC") else f"VOC{year}") if slash else root
    return folder, folder / "ImageSets" / "Main" / f"{name}.txt"


def read_list(listing: Path, annotations: Path) -> list[str]:
    """Names of images without their endings; InputError when there is no such list or nothing in it."""
    if not listing.exists():
        raise InputError(
            f"{listing}: no such file; --data names one year of VOC, as VOCdevkit/VOC2007, or VOCdevkit, and "
            "data.train_sets and data.val_sets name the lists, as trainval or 2007/trainval,2012/trainval; "
            "a folder of COCO is asked for with --set data.kind=coco"
        )
    lines = [line.strip() for line in read_text(regular(listing)).splitlines()]
    names = [listed_name(line, annotations) for line in lines if line]
    if not names:
        raise InputError(f"{listing}: no images")
    return names


def listed_name(line: str, annotations: Path) -> str:
    """The name in a line: without the label and the image's ending that some lists have behind it.

    A name may hold blanks, and end as a label does: what has an annotation is the name.
    """
    plain = LABEL.sub("", line)
    names = [plain, *(plain.removesuffix(e) for e in ENDINGS if plain.endswith(e)), line]
    return next((name for name in names if (annotations / f"{name}.xml").is_file()), plain)


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
            for stem in read_list(listing, year / "Annotations"):
                tree = _parse(year / "Annotations" / f"{stem}.xml")
                found |= {(o.findtext("name") or "").strip() for o in tree.iter("object")}
    return tuple(sorted(found))


def _parse(file: Path) -> ElementTree.Element:
    if not file.exists():
        raise InputError(f"{file}: no such annotation")
    text = decode_xml(schema.read_bytes(file, XML_LIMIT), file)
    if "<!ENTITY" in text:
        raise InputError(f"{file}: defines entities, which no VOC annotation needs; remove them")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, LookupError, ValueError, RecursionError) as error:
        raise InputError(f"{file}: not a VOC annotation ({error})") from None


def _read_annotation(
    file: Path, stem: str, folder: Path, number: int, classes: tuple[str, ...]
) -> tuple[dict, list[dict]]:
    """The record of the image called `stem` in `folder` and its annotations, without ids, in COCO's form."""
    tree = _parse(file)
    told = PureWindowsPath(
        (tree.findtext("filename") or "").strip()
    ).name  # some tools write the whole path
    name = image_name(folder, stem, told, file)
    try:
        sides = [tree.findtext(f"size/{side}") for side in ("width", "height")]
        width, height = (int(float(side or 0)) for side in sides)
        objects = [_read_object(element, file, number, classes) for element in tree.iter("object")]
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{file}: not a VOC annotation ({error})") from None
    if width < 1 or height < 1:
        given = f"{width}x{height}" if all(sides) else "not there"
        width, height = stored_size(folder / name)
        say(f"{file}: <size> is {given}; read from the picture, as of others like it", "voc size")
    record = {"id": number, "file_name": name, "width": width, "height": height}
    return record | {"annotated": str(file)}, objects


def image_name(folder: Path, stem: str, told: str, file: Path) -> str:
    """The file of an image: its name in the list with .jpg or another ending, else what `<filename>` tells."""
    names = [f"{stem}{ending}" for ending in ENDINGS]
    found = next((name for name in names if (folder / name).is_file()), None)
    if found is None and told and (folder / told).is_file():
        found = told
    if told and told != (found or names[0]):
        say(
            f"{file}: <filename> is {told!r}, the image {found or names[0]!r}: the list's names count, here and "
            "wherever else they differ",
            "voc filename",
        )
    return found or names[0]


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
        "iscrowd": int((element.findtext("difficult") or "0").strip() == "1"),
    }
