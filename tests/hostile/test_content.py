"""Files that parse and are not what they should be: refused at the door, with file, place, what was wanted and is."""

from __future__ import annotations

import json
import re
import time

import numpy as np
import pytest

from door import schema
from neutral.data.coco import CocoDataset
from neutral.data.masks import decode_masks, encode_mask, packed_total
from neutral.errors import InputError
from neutral.evaluation import from_results
from neutral.schemas import CocoFile
from tests.hostile.asking import refused

HERE = "annotations/instances_val2017.json: "
POLYGON = [[5, 5, 20, 5, 20, 12]]
INFINITY = float("inf")


def annotation(**changes):
    return lambda content: content["annotations"][1].update(changes)


def image(**changes):
    return lambda content: content["images"][0].update(changes)


def without(kind, key):
    return lambda content: content[kind][0].pop(key)


def again(kind):
    return lambda content: content[kind].append(dict(content[kind][0]))


BAD = {
    "NaN in a box": (
        annotation(bbox=[1, 2, float("nan"), 4]),
        "annotations[1].bbox: expected 4 finite numbers, got [1, 2, NaN, 4]",
    ),
    "infinite": (annotation(bbox=[1, 2, INFINITY, 4]), "annotations[1].bbox: expected 4 finite"),
    "minus infinite": (annotation(bbox=[1, 2, -INFINITY, 4]), "got [1, 2, -Infinity, 4]"),
    "1e40": (annotation(bbox=[0, 0, 1e40, 1]), "each <= 1000000.0, got [0, 0, 1e+40, 1]"),
    "three": (annotation(bbox=[1, 2, 3]), "annotations[1].bbox: expected 4 finite numbers"),
    "words": (annotation(bbox=["a", 2, 3, 4]), "annotations[1].bbox: expected 4 finite numbers"),
    "no list": (
        annotation(bbox="big"),
        'annotations[1].bbox: expected 4 finite numbers, got "big"',
    ),
    "null": (annotation(bbox=None), "annotations[1].bbox: expected 4 finite numbers, got null"),
    "negative size": (annotation(bbox=[1, 2, -3, 4]), "annotation 2 (image 1): box"),
    "crowd": (annotation(iscrowd="0"), 'annotations[1].iscrowd: expected 0 or 1, got "0"'),
    "crowd of 2": (annotation(iscrowd=2), "annotations[1].iscrowd: expected 0 or 1, got 2"),
    "area NaN": (annotation(area=float("nan")), "annotations[1].area: expected an area"),
    "area below 0": (annotation(area=-1), "annotations[1].area: expected an area"),
    "polygon NaN": (
        annotation(segmentation=[[1, 1, 5, 1, 5, float("nan")]]),
        "annotations[1].segmentation[0]: expected a polygon, finite numbers",
    ),
    "polygon 1e9": (
        annotation(segmentation=[[1, 1, 1e9, 1, 5, 5]]),
        "annotations[1].segmentation[0]: expected a polygon",
    ),
    "text as id": (annotation(image_id="1"), "annotations[1].image_id: expected an integer"),
    "unknown image": (annotation(image_id=77), "annotation 2 names image 77"),
    "half an id": (annotation(category_id=1.5), "annotations[1].category_id: expected an integer"),
    "huge id": (annotation(id=10**30), "annotations[1].id: expected an integer"),
    "missing": (without("annotations", "category_id"), "annotations[0]: has no 'category_id'"),
    "no name": (without("categories", "name"), "categories[0]: has no 'name'"),
    "name of a number": (
        lambda c: c["categories"][0].update(name=3),
        "categories[0].name: expected",
    ),
    "no height": (without("images", "height"), "images[0]: has no 'height'"),
    "height 0": (image(height=0), "images[0].height: expected an integer from 1"),
    "width of text": (image(width="40"), "images[0].width: expected an integer from 1"),
    "absurd width": (image(width=10**9), "images[0].width: expected an integer from 1"),
    "zero byte": (image(file_name="a\0b.png"), "images[0].file_name: expected the name of a file"),
    "empty name": (image(file_name=""), "images[0].file_name: expected the name of a file"),
    "twice an image": (again("images"), "images: id 1 occurs 2 times"),
    "twice an annotation": (again("annotations"), "annotations: id 1 occurs 2 times"),
    "twice a category": (again("categories"), "categories: id 1 occurs 2 times"),
    "no list of images": (lambda c: c.update(images={}), "images: expected array, got {}"),
}


@pytest.mark.parametrize("name", BAD)
def test_annotations(coco_folder, name):
    edit, told = BAD[name]
    with pytest.raises(InputError) as caught:
        CocoDataset.open(coco_folder(edit), "val", 91)
    assert HERE + told in str(caught.value) or (
        HERE in str(caught.value) and told in str(caught.value)
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[" * 100_000, "expected object|nested too deeply"),
        (b'{"images": ' + b"[" * 100_000, "expected object"),
        (b'{"info": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"info": NaN, "images": [], "annotations": [], "categories": []}', "NaN at byte 9"),
        (b'{"images": [{"id": ' + b"9" * 10_000 + b"}]}", r"images\[0\].id: expected an integer"),
        (b'{"images": "\xff"}', "expected array|not text in UTF-8"),
        (b'"\\ud800"', "not valid JSON|expected object"),
    ],
)
def test_json_that_is_none_or_deep(tmp_path, text, told):
    path = tmp_path / "x.json"
    path.write_bytes(text)
    with pytest.raises(InputError, match=f"x.json: .*({told})"):
        schema.read(path, CocoFile)


def test_a_file_beyond_the_limit_is_not_read(tmp_path):
    path = tmp_path / "x.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a terabyte of holes
    started = time.perf_counter()
    with pytest.raises(InputError, match=r"x.json: has 1048576 MiB; .* may have 256"):
        schema.read(path, CocoFile)
    assert time.perf_counter() - started < 1


def masked(edit):
    """Every annotation with a mask; `edit` changes that of annotation 2 (image 1, 40 x 30)."""

    def change(content):
        for found in content["annotations"]:
            found["segmentation"] = [list(map(float, p)) for p in POLYGON]
        content["annotations"][1]["segmentation"] = edit

    return change


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ({"size": [40, 30], "counts": [1200]}, "is of 30x40"),
        ({"size": [30, 40], "counts": [1200, 1]}, "is of 1201 pixels"),
        (
            {"size": [30, 40], "counts": [-1, 1201]},
            "expected a string, or a list of integers from 0",
        ),
        ({"size": [30, 40], "counts": "\u20ac"}, "damaged"),
        ({"size": [30, 40], "counts": "o" * 50}, "damaged"),
        ({"size": [30, 40], "counts": "PPPPPPPPPPP"}, "is of 0 pixels|damaged"),
        ({"size": [30, 40]}, "has no 'counts'"),
        ([[1, 2, 3, 4, 5]], "5 numbers"),
        ([[900, 5, 20, 5, 20, 12]], "900, far outside"),
        ([[0, 0, 39, 29] * 200_000], "longer than 1e.07 pixels"),
        ([], "has no segmentation"),
        ("x", "segmentation: expected"),
    ],
)
def test_masks(coco_folder, code, told):
    with pytest.raises(InputError, match=f"(annotation 2|annotations.1.).*({told})"):
        CocoDataset.open(coco_folder(masked(code)), "val", 91, masks=True)


def test_packed_codes_are_counted_as_pycocotools_does():
    """A code that says more pixels than its image has is written beyond the image's memory."""
    generator = np.random.default_rng(0)
    for size in ((1, 1), (3, 5), (480, 640), (7, 1000)):
        for share in (0.0, 0.02, 0.5, 1.0):
            mask = generator.random(size) < share
            code = encode_mask(mask)
            assert packed_total(code["counts"]) == mask.size
            assert (decode_masks([{"segmentation": code}], *size)[0] == mask).all()


def test_splits_that_disagree_on_categories(coco_folder, monkeypatch):
    root = coco_folder()
    file = root / "annotations" / "instances_val2017.json"
    content = json.loads(file.read_text())
    for changed, told in (
        (
            [{"id": 1, "name": "three"}, {"id": 3, "name": "one"}],
            "has category 1 as 'three', .*'one'",
        ),
        (
            [*content["categories"], {"id": 9, "name": "nine"}],
            r"has category 9 \('nine'\), which .* does not have",
        ),
    ):
        file.write_text(json.dumps(content | {"categories": changed}))
        arguments = ("--preset", "detr_r50", "--data", root, "--detections", root / "none.json")
        line = refused(monkeypatch, "evaluate", *arguments)
        assert re.search(told, line)


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"score": float("nan")}, r"\[1\].score: expected a finite number, got NaN"),
        ({"bbox": [0, 0, -1, 4]}, r"\[1\].bbox: .* has a negative size"),
        ({"bbox": [0, 0, 4]}, r"\[1\].bbox: expected 4 finite numbers"),
        ({"image_id": 9}, r"\[1\] names image 9"),
        ({"image_id": "1"}, r"\[1\].image_id: expected an integer"),
        ({"category_id": None}, r"\[1\].category_id: expected an integer"),
        ({"segmentation": {"size": [3, 4], "counts": "0"}}, r"\[1\].*is of 4x3"),
        ({"segmentation": {"size": [30, 40], "counts": "o" * 2000}}, r"\[1\].*damaged"),
    ],
)
def test_detections(coco_folder, tmp_path, record, told):
    dataset = CocoDataset.open(coco_folder(), "val", 91)
    sound = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5], "score": 0.5}
    path = tmp_path / "found.json"
    path.write_text(json.dumps([sound, sound | record]))
    with pytest.raises(InputError, match=f"found.json: {told}"):
        from_results(dataset, path)


def test_detections_that_are_one_record(coco_folder, tmp_path):
    path = tmp_path / "found.json"
    path.write_text('{"image_id": 1}')
    with pytest.raises(InputError, match=r"found.json: expected array, got"):
        from_results(CocoDataset.open(coco_folder(), "val", 91), path)


def large_coco(path, images: int) -> None:
    """An instances file with the proportions of instances_train2017: 7.3 annotations an image, one in 86 a crowd."""
    generator = np.random.default_rng(0)
    listed = [
        {
            "license": 3,
            "file_name": f"{i:012d}.jpg",
            "coco_url": f"http://images.cocodataset.org/train2017/{i:012d}.jpg",
            "height": 480,
            "width": 640,
            "date_captured": "2013-11-14 16:28:13",
            "flickr_url": "http://farm4.staticflickr.com/3153/2970773875_164f0c0b83_z.jpg",
            "id": i,
        }
        for i in range(1, images + 1)
    ]
    annotations = []
    for k in range(1, int(7.27 * images) + 1):
        code = [generator.uniform(0, 480, 2 * int(generator.integers(6, 48))).round(2).tolist()]
        if k % 86 == 0:
            runs = generator.integers(1, 300, 99).tolist()
            code = {"counts": [*runs, 480 * 640 - sum(runs)], "size": [480, 640]}
        box = generator.uniform(1, 200, 4).round(2).tolist()
        annotations.append(
            {
                "segmentation": code,
                "area": round(float(generator.uniform(10, 90000)), 4),
                "iscrowd": int(k % 86 == 0),
                "image_id": int(generator.integers(1, images + 1)),
                "bbox": box,
                "category_id": int(generator.integers(1, 81)),
                "id": k,
            }
        )
    categories = [{"id": k, "name": f"c{k}", "supercategory": "s"} for k in range(1, 81)]
    content = {"images": listed, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content))


def test_the_door_is_not_slower_than_reading_was(tmp_path):
    """1.2 times json.loads at most, which did not look at anything."""
    path = tmp_path / "large.json"
    large_coco(path, 1200)
    times = {"json": [], "door": []}
    for _ in range(5):
        for name, read in (
            ("json", lambda: json.loads(path.read_text())),
            ("door", lambda: schema.read(path, CocoFile)),
        ):
            started = time.process_time()
            read()
            times[name].append(time.process_time() - started)
    assert min(times["door"]) < 1.2 * min(times["json"])
