"""Which class is which in the user's own files: names, ids, labels, and what checkpoints carry of them."""

from __future__ import annotations

import json
import shutil

import pytest

from neutral.checkpoints import Checkpoints, Place
from neutral.config import preset, with_overrides
from neutral.data import open_categories, open_dataset
from neutral.data.categories import Categories, told_apart
from neutral.data.coco import CocoDataset
from neutral.errors import InputError
from neutral.evaluation import evaluate
from neutral.voc_evaluation import VOC_RULES, evaluate_voc
from neutral.weights import load_file, open_weights
from scripts.common import open_datasets
from tests.test_own_files_coco import perfect, whole

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
