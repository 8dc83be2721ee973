"""Every layout of COCO and VOC: what is read from it, and ground truth handed back as detections scores 1.0."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from door.files import write_json
from neutral.config import preset, with_overrides
from neutral.data import open_dataset
from neutral.data.batching import train_batches, val_batches
from neutral.data.images import ImageCache
from neutral.errors import InputError
from neutral.evaluation import evaluate, from_results, to_results
from neutral.voc_evaluation import VOC_RULES, evaluate_voc
from tests.test_voc import entry, voc_folder  # noqa: F401  (a fixture)


def perfect(dataset) -> dict:
    """The data set's own objects as detections."""
    found = {}
    for index in range(len(dataset)):
        _, target = dataset[index]
        scores = np.linspace(1, 0.5, len(target.labels))
        found[target.image_id] = {
            "scores": scores,
            "labels": target.labels,
            "boxes": target.boxes.astype(float),
        }
    return found


def whole_boxes(content: dict) -> None:
    """No box leaves its image, so that clipping changes none."""
    content["annotations"][1]["bbox"] = [0, 0, 40, 10]


def scored(config, split: str = "val") -> float:
    dataset = open_dataset(config, split)
    return evaluate(dataset, perfect(dataset))["AP"]


def as_2014(root):
    for split in ("train", "val"):
        (root / f"{split}2017").rename(root / f"{split}2014")
        old = root / "annotations" / f"instances_{split}2017.json"
        old.rename(root / "annotations" / f"instances_{split}2014.json")
    return []


def as_custom(root):
    (root / "train2017").rename(root / "photos")
    (root / "annotations" / "instances_train2017.json").rename(root / "mine.json")
    shutil.rmtree(root / "val2017")
    return ["data.train_sets=mine.json:photos", "data.val_sets=mine.json:photos"]


def as_minival(root):
    """Parts of val2014, as ruotianluo trains and evaluates on them: one image each."""
    as_2014(root)
    file = root / "annotations" / "instances_val2014.json"
    whole = json.loads(file.read_text())
    whole["images"][1]["id"] = 7
    for name, kept in (("minival2014", 0), ("valminusminival2014", 1)):
        part = whole | {"images": [whole["images"][kept]]}
        ids = {i["id"] for i in part["images"]}
        part["annotations"] = [a for a in whole["annotations"] if a["image_id"] in ids]
        (root / "annotations" / f"instances_{name}.json").write_text(json.dumps(part))
    return ["data.train_sets=valminusminival2014", "data.val_sets=minival2014"]


@pytest.mark.parametrize("layout", [lambda root: [], as_2014, as_custom, as_minival])
@pytest.mark.parametrize("labels", ["ids", "contiguous"])
@pytest.mark.parametrize("name", ["detr_r50", "torchvision_r50_fpn"])
def test_coco(coco_folder, layout, labels, name):
    root = coco_folder(whole_boxes)
    more = layout(root)
    config = with_overrides(
        preset(name), [f"data.root={root}", f"data.labels={labels}", "data.kind=coco", *more]
    )
    assert scored(config) == pytest.approx(1.0)


def test_several_sets_are_one_split(coco_folder):
    root = coco_folder(whole_boxes)
    as_minival(root)
    sets = "data.val_sets=minival2014,valminusminival2014"
    config = with_overrides(preset("detr_r50"), [f"data.root={root}", sets])
    dataset = open_dataset(config, "val")
    assert [r["id"] for r in dataset.images] == [1, 7]
    assert dataset.path(dataset.images[1]).parent.name == "val2014"
    config = with_overrides(config, ["data.val_sets=minival2014,minival2014"])
    with pytest.raises(InputError, match="image 1 is in another set"):
        open_dataset(config, "val")
    config = with_overrides(config, ["data.val_sets=minival2015"])
    with pytest.raises(InputError, match="instances_minival2015"):
        open_dataset(config, "val")


def test_voc_over_years_and_with_its_own_classes(voc_folder):  # noqa: F811
    root = voc_folder(entry("dog"), entry("cat", (2, 2, 30, 30), difficult=1))
    devkit = root.parent
    shutil.copytree(root, devkit / "VOC2012")
    for year in ("VOC2007", "VOC2012"):
        for name in ("cat", "dog"):
            (devkit / year / "ImageSets" / "Main" / f"{name}_trainval.txt").write_text("")
    sets = [f"data.root={devkit}", "data.train_sets=2007/trainval,VOC2012/trainval"]
    sets += ["data.val_sets=2012/test"]
    config = with_overrides(preset("simple_vgg16"), sets)
    train, val = (open_dataset(config, split) for split in ("train", "val"))
    assert len(train) == 4 and len(val) == 2
    assert {train.path(r).parts[-3] for r in train.images} == {"VOC2007", "VOC2012"}
    assert train.fingerprint["objects"] == 2
    own = with_overrides(config, ["data.voc_classes=discovered", "model.num_classes=3"])
    found = open_dataset(own, "val")
    assert found.categories == {1: "cat", 2: "dog"}
    for dataset in (val, found):
        truth = perfect(dataset)
        assert evaluate(dataset, truth)["AP"] == pytest.approx(1.0)
        for rules in VOC_RULES.values():
            assert evaluate_voc(dataset, truth, rules).mean == pytest.approx(1.0)
    for file in devkit.glob("VOC*/ImageSets/Main/*_trainval.txt"):
        file.unlink()  # without lists by class the objects tell
    assert open_dataset(own, "val").categories == {1: "cat", 2: "dog"}
    with pytest.raises(InputError, match=r"has 2 classes: set model.num_classes=3"):
        open_dataset(with_overrides(own, ["model.num_classes=21"]), "val")


def test_results_of_a_file_are_judged_as_they_were(coco_folder, tmp_path):
    config = with_overrides(preset("detr_r50"), [f"data.root={coco_folder(whole_boxes)}"])
    dataset = open_dataset(config, "val")
    truth = perfect(dataset)
    write_json(tmp_path / "found.json", to_results(dataset, truth))
    again = from_results(dataset, tmp_path / "found.json")
    assert again.keys() == truth.keys()
    assert str(evaluate(dataset, again).stats) == str(evaluate(dataset, truth).stats)  # NaN too
    curves = evaluate(dataset, again).curves
    assert len(curves["recall"]) == len(curves["AP"]) == 101
    assert np.mean(curves["AP"]) == pytest.approx(1.0)
    write_json(
        tmp_path / "found.json",
        [{"image_id": 99, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}],
    )
    with pytest.raises(InputError, match="names image 99"):
        from_results(dataset, tmp_path / "found.json")
    write_json(tmp_path / "found.json", [{"image_id": 1}])
    with pytest.raises(InputError, match=r"\[0\]: has no 'category_id'"):
        from_results(dataset, tmp_path / "found.json")


def test_workers_and_cache_change_nothing(tiny_config, tmp_path):
    """Whatever prepares the batches, they are the same bits in the same order; also from the middle of an epoch."""
    from dataclasses import replace

    dataset = open_dataset(tiny_config, "train", tmp_path)
    cached = replace(dataset, cache=ImageCache(0.2))
    config = with_overrides(tiny_config, ["optimiser.batch_size=2"])
    plain = list(train_batches(dataset, config, 3))
    assert len(plain) == 4
    for data, workers in ((dataset, 1), (cached, 3), (cached, 3)):
        for skip in (0, 2):
            batches = list(train_batches(data, config, 3, skip, workers))
            assert len(batches) == 4 - skip
            for ours, theirs in zip(batches, plain[skip:], strict=True):
                assert np.array_equal(ours.images, theirs.images)
                for a, b in zip(ours.targets, theirs.targets, strict=True):
                    assert np.array_equal(a.boxes, b.boxes) and a.image_id == b.image_id
    assert 0 < cached.cache.size <= 0.2 * 2**20, "the limit holds"
    assert len(cached.cache.images) == 0.2 * 2**20 // (160 * 128 * 3)
    val = [list(val_batches(cached, config, 5, workers)) for workers in (0, 2)]
    assert [len(b.targets) for b in val[0]] == [2, 2, 1]
    assert all(np.array_equal(a.images, b.images) for a, b in zip(*val, strict=True))


def test_an_error_of_a_worker_comes_in_its_place(coco_folder):
    root = coco_folder(whole_boxes)
    overrides = [f"data.root={root}", "optimiser.batch_size=1"]
    config = with_overrides(preset("detr_r50"), overrides)
    dataset = open_dataset(config, "val")
    (root / "val2017" / "2.png").write_bytes(b"")
    batches = val_batches(dataset, config, workers=2)
    assert next(batches).targets[0].image_id == 1
    with pytest.raises(InputError, match=r"2\.png"):
        next(batches)
