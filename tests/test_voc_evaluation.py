"""VOC's mean average precision on cases worked out by hand, and against COCO's where the rules meet."""

from __future__ import annotations

import numpy as np
import pytest

from neutral.config import preset, with_overrides
from neutral.data import open_dataset
from neutral.data.coco import CocoDataset
from neutral.evaluation import evaluate
from neutral.geometry import xywh_to_xyxy
from neutral.voc_evaluation import VOC_RULES, VocRules, average_precision, evaluate_voc, match_image


def test_average_precision_by_hand():
    """Three objects; detections right, wrong, right, wrong, and one object is never found.

    Precision 1, 1/2, 2/3, 1/2 at recalls 1/3, 1/3, 2/3, 2/3. Area: 1/3 * 1 + 1/3 * 2/3 = 5/9. 11 points: recalls 0 to
    0.3 have precision 1 (4 of them), 0.4 to 0.6 have 2/3 (3), the other 4 have 0: (4 + 2) / 11.
    """
    recall, precision = np.array([1, 1, 2, 2]) / 3, np.array([1, 1 / 2, 2 / 3, 1 / 2])
    assert average_precision(recall, precision, 0) == pytest.approx(5 / 9)
    assert average_precision(recall, precision, 11) == pytest.approx(6 / 11)
    nothing = np.zeros(0)
    assert average_precision(nothing, nothing, 0) == average_precision(nothing, nothing, 11) == 0


def test_a_recall_of_exactly_a_tenth_is_reached():
    """Objects found one by one: recall k / 10 reaches the point k / 10 although 3 / 10 < 0.1 * 3 in floats."""
    recall = np.arange(1, 11) / 10
    assert average_precision(recall, np.ones(10), 11) == pytest.approx(1.0)


def test_matching_by_hand():
    """The second hit of an object is wrong, that of a difficult one counts for nothing, a near miss is wrong."""
    truth = np.array([[0, 0, 9, 9], [20, 20, 29, 29.0]])
    boxes = np.array(
        [[0, 0, 9, 9], [0, 0, 9, 8], [20, 20, 29, 29], [20, 20, 29, 28], [5, 0, 14, 9.0]]
    )
    difficult = np.array([False, True])
    assert match_image(boxes, truth, difficult, VocRules()).tolist() == [1, 0, -1, -1, 0]
    assert match_image(boxes, truth[:0], difficult[:0], VocRules()).tolist() == [0] * 5


def test_the_threshold_and_the_pixel():
    """Boxes of 10 x 10 and 10 x 5 pixels with +1, 9 x 9 and 9 x 4 without: IoU 1/2 and 4/9."""
    truth, half, none = np.array([[0, 0, 9, 9.0]]), np.array([[0, 0, 9, 4.0]]), np.array([False])
    assert match_image(half, truth, none, VocRules()).tolist() == [1]
    assert match_image(half, truth, none, VocRules(strict=True)).tolist() == [0]
    assert match_image(half, truth, none, VocRules(pixel_offset=0)).tolist() == [0]


def test_a_detection_goes_to_the_object_that_it_overlaps_most():
    """Not to the next best when that one is taken."""
    truth = np.array([[0, 0, 9, 9], [0, 2, 9, 11.0]])
    boxes = np.array([[0, 0, 9, 9], [0, 0.5, 9, 9.5]])
    assert match_image(boxes, truth, np.zeros(2, bool), VocRules()).tolist() == [1, 0]


def dataset_of(objects: dict[int, list], categories=None) -> CocoDataset:
    """Images by id with (category, xywh box, difficult) objects."""
    categories = categories or {1: "cat", 2: "dog"}
    annotations = {
        i: tuple({"category_id": c, "bbox": b, "iscrowd": d, "image_id": i} for c, b, d in rows)
        for i, rows in objects.items()
    }
    images = tuple({"id": i} for i in objects)
    labels = {c: c for c in categories}
    return CocoDataset("val", None, "", images, annotations, categories, labels)


def detection(*rows) -> dict[str, np.ndarray]:
    """(label, score, xywh box) rows."""
    return {
        "labels": np.array([r[0] for r in rows], dtype=np.int64),
        "scores": np.array([r[1] for r in rows], dtype=np.float64),
        "boxes": xywh_to_xyxy(np.array([r[2] for r in rows], dtype=np.float64).reshape(-1, 4)),
    }


def test_over_images_and_classes():
    """Cats: right at 0.9 in one image, wrong at 0.8 in the other, where a cat is missed: area 1/2 * 1.
    Dogs: one, difficult, found: with the devkit's rules there is nothing to find, so the class does not count;
    for trzy neither, but a cat's score on the difficult one is a mistake there.
    """
    box, far = [10, 10, 20, 20], [60, 60, 20, 20]
    dataset = dataset_of({1: [(1, box, 0), (2, far, 1)], 2: [(1, box, 0)]})
    found = {1: detection((1, 0.9, box), (2, 0.7, far)), 2: detection((1, 0.8, far))}
    result = evaluate_voc(dataset, found, VOC_RULES["voc"])
    assert result.per_class["cat"] == pytest.approx(0.5)
    assert np.isnan(result.per_class["dog"])
    assert result.mean == pytest.approx(0.5)
    assert result.curves["cat"][1].tolist() == [1.0, 0.5]


def test_trzys_rule_punishes_what_finds_a_difficult_object():
    """Two cats, one difficult and found first: 1/1 by the devkit; for trzy the first detection is wrong: 1/2."""
    easy, hard = [10, 10, 20, 20], [60, 60, 20, 20]
    dataset = dataset_of({1: [(1, easy, 0), (1, hard, 1)]})
    found = {1: detection((1, 0.9, hard), (1, 0.8, easy))}
    assert evaluate_voc(dataset, found, VOC_RULES["voc"]).mean == pytest.approx(1.0)
    assert evaluate_voc(dataset, found, VOC_RULES["voc07"]).mean == pytest.approx(1.0)
    assert evaluate_voc(dataset, found, VOC_RULES["trzy"]).mean == pytest.approx(0.5)


def test_images_without_an_entry_do_not_count_and_nothing_found_is_zero():
    dataset = dataset_of({1: [(1, [10, 10, 20, 20], 0)], 2: [(1, [10, 10, 20, 20], 0)]})
    assert evaluate_voc(dataset, {1: detection()}, VOC_RULES["voc"]).mean == 0
    assert (
        evaluate_voc(dataset, {1: detection((1, 1.0, [10, 10, 20, 20]))}, VOC_RULES["voc"]).mean
        == 1
    )
    assert np.isnan(evaluate_voc(dataset, {}, VOC_RULES["voc"]).mean)


@pytest.mark.parametrize("rules", VOC_RULES)
def test_ground_truth_scores_one_on_real_images(shared, rules):
    overrides = [
        "data.kind=voc",
        f"data.root={shared / 'voc_mini' / 'VOC2007'}",
        "model.num_classes=21",
    ]
    dataset = open_dataset(with_overrides(preset("simple_vgg16"), overrides), "val")
    found = {
        record["id"]: detection(
            *(
                (a["category_id"], 0.9, a["bbox"])
                for a in dataset.annotations[record["id"]]
                if not a["iscrowd"]
            )
        )
        for record in dataset.images
    }
    result = evaluate_voc(dataset, found, VOC_RULES[rules])
    assert result.mean == pytest.approx(1.0)


def test_the_area_is_cocos_on_many_random_detections():
    """COCO's AP50 samples the same curve at 101 recalls: on hundreds of objects the two are close, for every class."""
    generator = np.random.default_rng(0)
    objects, found = {}, {}
    for i in range(1, 61):
        boxes = np.concatenate(
            [generator.uniform(0, 300, (8, 2)), generator.uniform(20, 80, (8, 2))], 1
        )
        kinds = generator.integers(1, 3, 8)
        objects[i] = [(int(k), b.tolist(), 0) for k, b in zip(kinds, boxes)]
        moved = boxes + generator.normal(0, 6, boxes.shape)
        scores = generator.random(8) - 0.02 * np.abs(moved - boxes).sum(1)
        found[i] = detection(*((int(k), s, b.tolist()) for k, s, b in zip(kinds, scores, moved)))
    dataset = dataset_of(objects)
    number = 0
    for rows in dataset.annotations.values():
        for row in rows:
            number += 1
            row |= {"id": number, "area": row["bbox"][2] * row["bbox"][3]}
    coco = evaluate(dataset, found)
    ours = evaluate_voc(dataset, found, VocRules(pixel_offset=0))
    for name, (_, at_50) in coco.per_class.items():
        assert 0.2 < at_50 < 0.95
        assert ours.per_class[name] == pytest.approx(at_50, abs=0.01)
