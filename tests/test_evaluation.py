from __future__ import annotations

import json

import numpy as np
import pytest

from neutral.config import preset, with_overrides
from neutral.data import open_dataset
from neutral.data.coco import CocoDataset
from neutral.errors import InputError
from neutral.evaluation import METRICS, evaluate, to_results


def ground_truth(dataset: CocoDataset) -> dict:
    """The annotations as detections, from the annotation file's own boxes."""
    detections = {}
    for record in dataset.images:
        wanted = [a for a in dataset.annotations[record["id"]] if not a.get("iscrowd", 0)]
        boxes = np.array([a["bbox"] for a in wanted], dtype=float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        labels = np.array([a["category_id"] for a in wanted], dtype=np.int64)
        detections[record["id"]] = {
            "scores": np.full(len(wanted), 0.9),
            "labels": labels,
            "boxes": boxes,
        }
    return detections


def check_perfect(dataset: CocoDataset) -> None:
    result = evaluate(dataset, ground_truth(dataset))
    assert result["AP"] == result["AP50"] == result["AP75"] == 1.0
    known = [v for v in result.per_class.values() if v[0] == v[0]]
    assert known
    assert all(v == pytest.approx((1.0, 1.0)) for v in known)


def test_ground_truth_scores_one_on_scenes(tmp_path):
    """Category ids with gaps included: a renumbering anywhere would give 0."""
    check_perfect(open_dataset(preset("scenes_frcnn"), "val", tmp_path))


def test_ground_truth_scores_one_on_coco_mini(shared):
    root = shared / "coco_mini"
    config = with_overrides(preset("detr_r50"), [f"data.root={root}"])
    dataset = open_dataset(config, "val")
    check_perfect(dataset)
    shifted = ground_truth(dataset)
    for found in shifted.values():
        found["labels"] = found["labels"] + 1  # contiguous ids submitted as category ids
    assert evaluate(dataset, shifted)["AP"] < 0.05


def test_ap_by_hand(coco_folder):
    """The val image has two objects in two classes: one found, one not.

    Class 3 has precision 1 at every recall: AP 1. Class 1 has none: AP 0. Mean 0.5; AR100 0.5.
    """
    dataset = CocoDataset.open(coco_folder(), "val", 91)
    found = {
        "scores": np.array([0.8]),
        "labels": np.array([3]),
        "boxes": np.array([[5.0, 5, 25, 15]]),
    }
    result = evaluate(dataset, {1: found})
    assert result["AP"] == pytest.approx(0.5)
    assert result["AR100"] == pytest.approx(0.5)
    assert result.per_class["one"] == (0.0, 0.0)
    assert result.per_class["three"] == pytest.approx((1.0, 1.0))
    assert len(result.stats) == len(METRICS) == 12


def test_contiguous_labels_find_their_category_ids(coco_folder):
    """Ids 1 and 3 are labels 1 and 2. One box is found exactly, of the other the image has 40 of 50 columns: IoU 0.8,
    enough for 7 of the 10 thresholds. AP (1 + 0.7) / 2.
    """
    root = coco_folder()
    dataset = CocoDataset.open(root, "val", 3, first_label=1, contiguous=True)
    _, target = dataset[0]
    assert target.labels.tolist() == [2, 1]
    found = {"scores": np.ones(2), "labels": target.labels, "boxes": target.boxes}
    assert evaluate(dataset, {1: found})["AP"] == pytest.approx(0.85)
    assert [r["category_id"] for r in to_results(dataset, {1: found})] == [3, 1]
    stranger = found | {"labels": np.array([3, 3])}  # an id, but no label of this data set
    assert [r["category_id"] for r in to_results(dataset, {1: stranger})] == [-1, -1]
    assert evaluate(dataset, {1: stranger})["AP"] == 0
    with pytest.raises(InputError, match="set it to at least 3"):
        CocoDataset.open(root, "val", 2, first_label=1, contiguous=True)


def test_no_and_bad_detections(coco_folder):
    dataset = CocoDataset.open(coco_folder(), "val", 91)
    empty = {"scores": np.zeros(0), "labels": np.zeros(0, int), "boxes": np.zeros((0, 4))}
    assert evaluate(dataset, {1: empty})["AP"] == 0
    with pytest.raises(InputError, match="image 77"):
        evaluate(dataset, {77: empty})
    bad = {"scores": np.array([np.nan]), "labels": np.array([1]), "boxes": np.ones((1, 4))}
    with pytest.raises(InputError, match=r"image 1 .*NaN"):
        evaluate(dataset, {1: bad})


def test_fingerprint_is_json_and_tells_data_apart(coco_folder):
    dataset = CocoDataset.open(coco_folder(), "val", 91)
    fingerprint = json.loads(json.dumps(dataset.fingerprint))
    assert (fingerprint["images"], fingerprint["objects"], fingerprint["crowds"]) == (2, 2, 1)
    assert fingerprint["categories"] == {"1": "one", "3": "three"}
