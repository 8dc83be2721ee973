"""COCO files of people's own: what is evaluated, by what categories are known, which options hold where."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from neutral.checkpoints import Checkpoints, Place
from neutral.config import preset, with_overrides
from neutral.data import open_categories, open_dataset
from neutral.data.categories import Categories, told_apart
from neutral.data.coco import CocoDataset
from neutral.errors import InputError
from neutral.evaluation import evaluate, from_results, to_results
from neutral.notes import Note
from neutral.undefined import defined, mean, shown
from neutral.voc_evaluation import VOC_RULES, evaluate_voc
from neutral.weights import load_file, open_weights
from scripts.common import open_datasets

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


# identity


def test_categories_of_one_name_stay_two(coco_folder):
    def edit(content):
        whole(content)
        for category in content["categories"]:
            category["name"] = "cup"

    dataset = CocoDataset.open(coco_folder(edit), "val", 91)
    found = perfect(dataset)
    found[1] = {k: v[:1] for k, v in found[1].items()}  # category 3 is found, 1 is not
    assert evaluate(dataset, found).per_class == {
        "cup (id 1)": (0.0, 0.0),
        "cup (id 3)": pytest.approx((1.0, 1.0)),
    }
    by_class = evaluate_voc(dataset, found, VOC_RULES["voc"]).per_class
    assert by_class == {"cup (id 1)": 0.0, "cup (id 3)": pytest.approx(1.0)}
    assert told_apart({1: "a", 2: "b"}) == {1: "a", 2: "b"}


def own_classes(content: dict) -> None:
    whole(content)
    content["categories"] = [{"id": 1, "name": "cup"}, {"id": 3, "name": "pen"}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c[1].update(name="pens"), r"category 3 as 'pens', .*train2017\.json as 'pen'"),
        (lambda c: c.append({"id": 2, "name": "lid"}), r"category 2 \('lid'\), which .* not have"),
    ],
)
def test_splits_that_disagree_are_refused(coco_folder, change, message):
    root = coco_folder(own_classes)
    file = root / "annotations" / "instances_val2017.json"
    content = json.loads(file.read_text())
    change(content["categories"])
    file.write_text(json.dumps(content))
    config = with_overrides(preset("detr_r50"), [f"data.root={root}"])
    with pytest.raises(InputError, match=message):
        open_datasets(config, 0)


def test_contiguous_labels_are_compared_too(coco_folder):
    """A validation file that lists fewer categories would number them otherwise."""
    root = coco_folder(own_classes)
    file = root / "annotations" / "instances_val2017.json"
    content = json.loads(file.read_text())
    content["categories"] = content["categories"][1:]
    content["annotations"] = content["annotations"][:1]
    file.write_text(json.dumps(content))
    sets = [f"data.root={root}", "data.labels=contiguous"]
    with pytest.raises(InputError):
        open_datasets(with_overrides(preset("detr_r50"), sets), 0)


class Weights:
    """As much of a session as a checkpoint needs."""

    def __init__(self, arrays):
        self.arrays = arrays

    def state(self):
        return self.arrays

    def optimiser_state(self):
        return {}, 0


def test_checkpoints_carry_their_categories(coco_folder, tiny_config, tmp_path):
    from neutral.weights import initial_weights, save_weights
    from neutral.weights.layout import canonical_shapes
    from neutral.weights.writers import write_weights

    known = Categories({4: "cup", 9: "pen"}, {4: 1, 9: 2})
    config = with_overrides(tiny_config, ["model.num_classes=3"])
    weights = initial_weights(canonical_shapes(config), config)
    checkpoints = Checkpoints(tmp_path, 0, categories=known)
    checkpoints.save(Weights(weights), config, Place())
    conversion = open_weights(checkpoints.newest, config)
    assert conversion.categories == known
    assert known.by_label() == {1: "cup", 2: "pen"} and known.ids() == {1: 4, 2: 9}
    for suffix in (".safetensors", ".pth"):  # also through a conversion
        path = write_weights(tmp_path / f"w{suffix}", conversion.items(), conversion.metadata())
        assert open_weights(path, config).categories == known
        assert load_file(path)[1]["format"] == conversion.metadata()["format"]
    # a head that begins anew knows none of them
    other = with_overrides(config, ["model.num_classes=7"])
    assert open_weights(checkpoints.newest, other, reset_heads=True).categories is None
    save_weights(tmp_path / "bad.safetensors", weights, {"categories": "[1]"})
    with pytest.raises(InputError, match=r"bad\.safetensors: its categories are damaged"):
        _ = open_weights(tmp_path / "bad.safetensors", config).categories


def test_categories_are_read_without_images(coco_folder):
    root = coco_folder(own_classes)
    shutil.rmtree(root / "val2017")
    for name, labels, expected in (
        ("detr_r50", "ids", {1: "cup", 3: "pen"}),
        ("detr_r50", "contiguous", {0: "cup", 1: "pen"}),
        ("torchvision_r50_fpn", "contiguous", {1: "cup", 2: "pen"}),
    ):
        config = with_overrides(preset(name), [f"data.root={root}", f"data.labels={labels}"])
        assert open_categories(config).by_label() == expected


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


@pytest.mark.parametrize(
    ("name", "ids", "classes", "message"),
    [
        (
            "detr_r50",
            (1, 2, 3),
            3,
            r"category id 3 does not fit model\.num_classes=3; set it to.* 4",
        ),
        ("detr_r50", (0, 1, 2), 3, None),
        ("torchvision_r50_fpn", (1, 2, 3), 4, None),
        ("torchvision_r50_fpn", (1, 2, 15), 15, r"at least 16"),
    ],
)
def test_own_numbers_of_classes(coco_folder, name, ids, classes, message):
    def edit(content):
        content["annotations"] = []
        content["categories"] = [{"id": i, "name": f"class {i}"} for i in ids]

    sets = [f"data.root={coco_folder(edit)}", f"model.num_classes={classes}"]
    config = with_overrides(preset(name), sets)
    if message:
        with pytest.raises(InputError, match=message):
            open_dataset(config, "train")
    else:
        assert tuple(open_dataset(config, "train").labels.values()) == ids
