"""COCO files of people's own: what is evaluated, by what categories are known, which options hold where."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from neutral.config import preset, with_overrides
from neutral.data import open_dataset
from neutral.data.coco import CocoDataset
from neutral.errors import InputError
from neutral.evaluation import evaluate, from_results, to_results
from neutral.notes import Note
from neutral.undefined import defined, mean, shown
from neutral.voc_evaluation import VOC_RULES, evaluate_voc

EMPTY = {"scores": np.zeros(0), "labels": np.zeros(0, int), "boxes": np.zeros((0, 4))}


def whole(content: dict) -> None:
    """One object each of the categories 3 and 1, of 200 and 400 pixels: small ones."""
    content["annotations"] = content["annotations"][:2]
    content["annotations"][1] |= {"bbox": [0, 0, 40, 10], "area": 400}


def perfect(dataset) -> dict:
    found = {}
    for index in range(len(dataset)):
        target = dataset[index][1]
        scores = np.linspace(1, 0.5, len(target.labels))
        boxes = target.boxes.astype(float)
        found[target.image_id] = {"scores": scores, "labels": target.labels, "boxes": boxes}
    return found


def table(evaluation) -> list:
    return [shown(v, 1) for v in evaluation.stats]


# nothing there


def test_a_detector_that_finds_nothing(coco_folder):
    """As pycocotools has it: 0 where there are objects, undefined where there are none (medium and large ones)."""
    dataset = CocoDataset.open(coco_folder(whole), "val", 91)
    found = evaluate(dataset, {1: EMPTY, 2: EMPTY})
    assert table(found) == ["0.0"] * 4 + ["-", "-"] + ["0.0"] * 4 + ["-", "-"]
    assert found.per_class == {"one": (0.0, 0.0), "three": (0.0, 0.0)}
    assert found.curves["AP50"] == [0.0] * 101
    strangers = {1: {"scores": np.ones(1), "labels": np.array([50]), "boxes": np.ones((1, 4))}}
    assert table(evaluate(dataset, strangers)) == table(found)


@pytest.mark.parametrize("crowds", [False, True])
def test_ground_truth_without_objects(coco_folder, crowds):
    def edit(content):
        content["annotations"] = content["annotations"][2:] if crowds else []

    dataset = CocoDataset.open(coco_folder(edit), "val", 91)
    one = {"scores": np.ones(1), "labels": np.array([1]), "boxes": np.array([[1.0, 1, 9, 9]])}
    for found in ({1: EMPTY, 2: EMPTY}, {1: one, 2: EMPTY}, {2: EMPTY}, {}):
        result = evaluate(dataset, found)
        assert table(result) == ["-"] * 12
        assert [shown(v) for pair in result.per_class.values() for v in pair] == ["-"] * 4
        assert result.curves["AP"] == [None] * 101
        json.dumps(result.curves, allow_nan=False)
        for rules in VOC_RULES.values():
            assert shown(evaluate_voc(dataset, found, rules).mean) == "-"
    assert dataset.fingerprint["objects"] == 0


def test_masks_take_the_same_path(coco_folder):
    def edit(content):
        whole(content)
        for a in content["annotations"]:
            x, y, w, h = a["bbox"]
            a["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]

    dataset = CocoDataset.open(coco_folder(edit), "val", 91, masks=True)
    found = evaluate(dataset, {1: EMPTY, 2: EMPTY}, "segm")
    assert table(found) == table(evaluate(dataset, {1: EMPTY, 2: EMPTY}))


def test_numbers_that_cannot_be_told():
    for value in (None, float("nan"), float("inf"), "0.5", [], True, np.float32("nan"), 10**400):
        assert defined(value) is None and shown(value) == "-"
    assert defined(np.float32(0.5)) == 0.5 and shown(0) == "0.0000" and defined(7) == 7
    assert mean([None, 1.0, float("nan"), 3.0]) == 2 and shown(mean([None])) == "-"


# options hold everywhere


@pytest.mark.parametrize("box", [[5, 5, 0, 10], [5, 5, -3, 10], [50, 5, 9, 9], [10, 5, 1e-9, 5]])
def test_degenerate_boxes_are_nowhere(coco_folder, box):
    """The two good objects found perfectly: AP 1.0, not 0.505 for one that nobody can find."""

    def edit(content):
        whole(content)
        extra = {"id": 9, "image_id": 1, "category_id": 3, "bbox": box, "area": 1, "iscrowd": 0}
        content["annotations"].append(extra)

    root = coco_folder(edit)
    with pytest.raises(InputError, match=r"annotation 9 .*degenerate_boxes=drop"):
        CocoDataset.open(root, "val", 91)
    with pytest.warns(Note, match="1 objects without an area are left out"):
        dataset = CocoDataset.open(root, "val", 91, "drop")
    assert evaluate(dataset, perfect(dataset))["AP"] == pytest.approx(1.0)
    assert evaluate_voc(dataset, perfect(dataset), VOC_RULES["voc"]).mean == pytest.approx(1.0)
    assert dataset.fingerprint["objects"] == 2 and dataset.fingerprint["mean_objects"] == 1
    shutil.rmtree(root)
    clean = CocoDataset.open(coco_folder(whole), "val", 91)
    assert dataset.fingerprint == clean.fingerprint


# layouts


def test_files_alone_and_beside_their_images(coco_folder):
    root = coco_folder(whole)
    (root / "val2017").rename(root / "JPEGImages")
    source = root / "annotations" / "instances_val2017.json"
    content = json.loads(source.read_text())

    def opened(names, sets):
        for record, name in zip(content["images"], names, strict=True):
            record["file_name"] = name
        file = root / sets.split(":")[0]
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(content))
        dataset = CocoDataset.open(root, "val", 91, sets=(sets,))
        return len(dataset[0][1].labels), len(dataset[1][1].labels)

    plain = ["1.png", "2.png"]
    assert opened([f"JPEGImages/{n}" for n in plain], "annotations.json") == (2, 0)  # labelme
    assert opened([f"JPEGImages\\{n}" for n in plain], "annotations.json") == (2, 0)  # on Windows
    assert opened(plain, "JPEGImages/_annotations.coco.json") == (2, 0)  # Roboflow
    assert opened(plain, "sub/mine.json:JPEGImages") == (2, 0)
    assert opened([str(root / "JPEGImages" / n) for n in plain], "annotations.json") == (2, 0)
    with pytest.raises(InputError, match=r"nowhere\.json: no such file.*--set data\.kind=voc"):
        CocoDataset.open(root, "val", 91, sets=("nowhere.json",))


def test_an_unused_id_0_names_what_mends_it(coco_folder):
    def edit(content):
        whole(content)
        content["categories"].insert(0, {"id": 0, "name": "_background_"})

    root = coco_folder(edit)
    config = with_overrides(preset("torchvision_r50_fpn"), [f"data.root={root}"])
    told = r"category id 0.*--set data\.labels=contiguous .*--set model\.num_classes=4"
    with pytest.raises(InputError, match=told):
        open_dataset(config, "val")
    mended = with_overrides(config, ["data.labels=contiguous", "model.num_classes=4"])
    dataset = open_dataset(mended, "val")
    assert dataset.labels == {0: 1, 1: 2, 3: 3}
    assert evaluate(dataset, perfect(dataset))["AP"] == pytest.approx(1.0)


def test_results_name_categories_and_image_sizes_their_exif(coco_folder, tmp_path):
    from PIL import Image

    root = coco_folder(whole)
    turned = Image.new("RGB", (30, 40)).getexif()
    turned[0x0112] = 6
    Image.new("RGB", (30, 40)).save(root / "val2017" / "1.png", exif=turned)
    dataset = CocoDataset.open(root, "val", 91)
    with pytest.raises(InputError, match=r"is 30x40, but .* says 40x30 .*EXIF orientation swaps"):
        dataset[0]
    Image.new("RGB", (30, 40)).save(root / "val2017" / "1.png")
    with pytest.raises(InputError, match=r"width x height\)\.$"):
        dataset[0]
    assert to_results(dataset, {1: EMPTY}) == []
    (tmp_path / "none.json").write_text("[]")
    assert table(evaluate(dataset, from_results(dataset, tmp_path / "none.json")))[0] == "0.0"


@pytest.mark.parametrize(
    "polygon", [[1, 1, 5, 1, 5], [1, 1, 5, 5], [], [1, 1, 5, 1, 5, 5, 7], "abc"]
)
def test_polygons_need_three_corners(coco_folder, polygon):
    def edit(content):
        whole(content)
        for a in content["annotations"]:
            a["segmentation"] = [[5, 5, 25, 5, 25, 15]]
        content["annotations"][1]["segmentation"].append(polygon)

    with pytest.raises(
        InputError, match=r"annotation 2: .* a polygon of|annotations\[1\].*expected a polygon"
    ):
        CocoDataset.open(coco_folder(edit), "val", 91, masks=True)


# what others stumbled over: docs/compatibility.md


@pytest.mark.parametrize("ids", [[0, 1], [7, 0]])
def test_annotation_ids_do_not_change_the_score(coco_folder, ids):
    """pycocotools takes an object with id 0 for a missed one; two of one id are refused."""

    def edit(content):
        whole(content)
        for annotation, number in zip(content["annotations"], ids, strict=True):
            annotation["id"] = number

    dataset = CocoDataset.open(coco_folder(edit), "val", 91)
    assert evaluate(dataset, perfect(dataset))["AP"] == pytest.approx(1.0)


def test_results_of_another_set_are_refused(coco_folder, tmp_path):
    dataset = CocoDataset.open(coco_folder(whole), "val", 91)
    for image_id in ("1", 99, None):
        record = {"image_id": image_id, "category_id": 1, "bbox": [1, 1, 5, 5], "score": 0.5}
        (tmp_path / "found.json").write_text(json.dumps([record]))
        with pytest.raises(InputError, match=r"found\.json"):
            from_results(dataset, tmp_path / "found.json")
