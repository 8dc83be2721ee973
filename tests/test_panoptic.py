"""Panoptic segmentation: the data set, the post-processing, and the quality against torchmetrics and by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from door.files import write_json
from neutral import panoptic
from neutral.config import MaskConfig, preset, with_overrides
from neutral.data import open_dataset
from neutral.data.scenes import CATEGORIES
from neutral.errors import InputError
from neutral.evaluation import evaluate

GROUND = 92  # a category of stuff
SMALL = ("data.scenes.train_images=8", "model.masks.norm_groups=4")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Scenes with COCO's panoptic annotations: objects, crowds, the ground, and a void strip at the top."""
    folder = tmp_path_factory.mktemp("panoptic")
    config = with_overrides(preset("scenes_detr"), [*SMALL, "model.masks.enabled=true"])
    for split in ("train", "val"):
        scenes = open_dataset(config, split, folder)
        segments = scenes.root / "annotations" / f"panoptic_{split}2017"
        segments.mkdir()
        annotations = []
        for record in scenes.images:
            found = scenes.annotations[record["id"]]
            masks = scenes.decode(list(found), scenes[record["id"] - 1][1])
            ids = np.full((record["height"], record["width"]), 9000, dtype=np.int64)
            ids[:4] = 0
            for k, mask in enumerate(masks):
                ids[mask] = 300 + 7 * k
            file = f"{record['id']:012d}.png"
            Image.fromarray(panoptic.to_colours(ids)).save(segments / file)
            info = [a | {"id": 300 + 7 * k} for k, a in enumerate(found)]
            ground = {"id": 9000, "category_id": GROUND, "bbox": [0, 4, 160, 124], "iscrowd": 0}
            info.append(ground | {"area": int((ids == 9000).sum())})
            info = [{k: v for k, v in s.items() if k != "segmentation"} for s in info]
            annotations.append({"image_id": record["id"], "file_name": file, "segments_info": info})
        categories = [{"id": k, "name": v, "isthing": 1} for k, v in CATEGORIES.items()]
        categories.append({"id": GROUND, "name": "ground", "isthing": 0})
        content = {"images": list(scenes.images), "annotations": annotations}
        path = scenes.root / "annotations" / f"panoptic_{split}2017.json"
        write_json(path, content | {"categories": categories})
    return scenes.root


def opened(root, split: str = "val"):
    place = ("data.kind=coco_panoptic", f"data.root={root}", "model.num_classes=93")
    more = ("model.masks.enabled=true", "model.masks.panoptic=true")
    return open_dataset(with_overrides(preset("scenes_detr"), [*SMALL, *place, *more]), split)


def perfect(dataset, image_id: int) -> np.ndarray:
    ids = panoptic.read_segments(dataset.segments[image_id])
    found = np.full(ids.shape, -1, dtype=np.int64)
    for k, segment in enumerate(dataset.annotations[image_id]):
        if not segment["iscrowd"]:
            found[ids == segment["id"]] = segment["category_id"] * panoptic.OFFSET + k
    return found


def test_targets_are_the_segments(root):
    dataset = opened(root)
    for index in range(len(dataset)):
        _, target = dataset[index]
        wanted = dataset.annotations[target.image_id]
        assert target.labels.tolist() == [s["category_id"] for s in wanted]
        assert target.masks.sum((1, 2)).tolist() == [s["area"] for s in wanted]
        assert not (target.masks.sum(0) > 1).any()
    assert dataset.things == tuple(CATEGORIES)
    assert not dataset.has_codes


def test_perfect_segments_have_quality_one(root, tmp_path):
    dataset = opened(root)
    found = {r["id"]: panoptic.encode(perfect(dataset, r["id"])) for r in dataset.images}
    quality = panoptic.panoptic_quality(dataset, found)
    for which, count in (("all", 5), ("th", 4), ("st", 1)):
        assert quality.of(which) == {"pq": 1.0, "sq": 1.0, "rq": 1.0, "n": count}
    panoptic.write_predictions(tmp_path, "panoptic_val", dataset, found)
    content = json.loads((tmp_path / "panoptic_val.json").read_text())["annotations"]
    assert len(content) == len(dataset)
    first = panoptic.read_segments(tmp_path / "panoptic_val" / content[0]["file_name"])
    ids, areas = np.unique(first[first > 0], return_counts=True)
    listed = {s["id"]: s["area"] for s in content[0]["segments_info"]}
    assert listed == dict(zip(ids.tolist(), areas.tolist()))
    boxes = {}
    for index in range(len(dataset)):
        _, target = dataset[index]
        scores = np.ones(len(target.labels))
        boxes[target.image_id] = {"scores": scores, "labels": target.labels, "boxes": target.boxes}
    assert evaluate(dataset, boxes)["AP"] == pytest.approx(1)


def test_quality_is_that_of_torchmetrics():
    """Random segmentations of random categories, some true pixels void; crowds it does not know."""
    detection = pytest.importorskip("torchmetrics.detection")
    things, stuff = {1, 2}, {3, 4}
    generator = np.random.default_rng(5)
    ours = {category: panoptic.Tally() for category in things | stuff}
    theirs = detection.PanopticQuality(things, stuff, allow_unknown_preds_category=True)
    for _ in range(12):
        true_ids = generator.integers(0, 6, (6, 8)).repeat(5, 0).repeat(5, 1)
        # no prediction is void: there torchmetrics differs from COCO
        noise = generator.integers(1, 6, true_ids.shape)
        is_noise = (generator.random(true_ids.shape) < 0.2) | (true_ids == 0)
        found_ids = np.where(is_noise, noise, true_ids)
        # the same stuff is one segment
        categories = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4}
        wrong = categories | {int(generator.integers(1, 4)): int(generator.integers(1, 3))}
        truth = {k: {"category_id": c} for k, c in categories.items()}
        panoptic.judge_image(ours, truth, wrong, true_ids, found_ids)
        both = []
        for ids, named in ((found_ids, wrong), (true_ids, categories)):
            lookup = np.array(
                [[0, 0], *([named[k], k if named[k] < 3 else 0] for k in range(1, 6))]
            )
            both.append(torch.from_numpy(lookup[ids])[None])
        theirs.update(*both)
    quality = panoptic.PanopticQuality(ours, things)
    assert quality.of()["pq"] == pytest.approx(float(theirs.compute()), abs=1e-7)


def test_quality_by_hand():
    """Void is no one's, a crowd hides what is found in it, half an overlap is not enough."""
    true_ids = np.zeros((4, 10), dtype=np.int64)
    true_ids[:, 2:6], true_ids[:, 6:] = 11, 12
    truth = {11: {"category_id": 1}, 12: {"category_id": 2, "iscrowd": 1}}
    found_ids = np.ones((4, 10), dtype=np.int64)
    found_ids[:, 6:] = 2
    tallies = {1: panoptic.Tally(), 2: panoptic.Tally()}
    panoptic.judge_image(tallies, truth, {1: 1, 2: 2}, true_ids, found_ids)
    assert tallies[1] == panoptic.Tally(1, 1.0, 0, 0)  # its void third does not count
    assert tallies[2] == panoptic.Tally()  # in the crowd of its kind
    assert np.isnan(tallies[2].scores()).all()
    panoptic.judge_image(tallies, truth, {1: 2, 2: 1}, true_ids, found_ids)
    assert tallies[1] == panoptic.Tally(1, 1.0, 1, 1)
    assert tallies[2].invented == 1
    assert tallies[1].scores() == (0.5, 1.0, 0.5)


def test_segments_of_an_image():
    """Things stay apart, stuff is joined, small segments go, unsure and empty queries too."""
    config = MaskConfig(things_below=2, panoptic_min_area=5)
    masks = np.full((6, 8, 8), -9.0)
    masks[0, :4, :4] = masks[1, :4, 4:] = 5  # two things
    masks[2, 4:, :4] = masks[3, 4:, 4:] = 5  # the same stuff, twice
    masks[2, 4:, 4:] = 0
    masks[4, 0, 0] = 9  # one pixel
    masks[5] = 20  # not sure enough
    sure = {0: 1, 1: 1, 2: 3, 3: 3, 4: 0}
    probabilities = np.full((6, 5), 0.02)
    probabilities[range(5), list(sure.values())] = 0.92
    probabilities[5] = 0.2
    sizes = ((8, 8), (8, 8), (16, 16))
    found = panoptic.segment_image(probabilities, masks, *sizes, config)
    top, bottom = found[:8], found[8:]
    assert np.unique(top).tolist() == [1 * panoptic.OFFSET, 1 * panoptic.OFFSET + 1]
    assert (top[:, :8] == top[2, 2]).all()  # the pixel went to the thing around it
    assert (bottom == 3 * panoptic.OFFSET + 2).all()
    apart = panoptic.segment_image(probabilities, masks, *sizes, replace(config, things_below=9))
    assert len(np.unique(apart[8:])) == 2
    nothing = panoptic.segment_image(probabilities[5:], masks[5:], (8, 8), (8, 8), (3, 2), config)
    assert nothing.shape == (3, 2)
    assert (nothing == -1).all()
    assert panoptic.segments_of(nothing) == []
    assert not panoptic.read_segments(panoptic.encode(nothing)["png"]).any()


def test_padding_is_cut_off():
    config = MaskConfig()
    masks = np.stack([np.zeros((4, 4)), np.full((4, 4), -1.0)])
    masks[1, :, 3:] = 5
    probabilities = np.array([[0.95, 0.03, 0.02], [0.02, 0.95, 0.03]])
    found = panoptic.segment_image(probabilities, masks, (16, 8), (16, 16), (16, 8), config)
    assert (found // panoptic.OFFSET == 0).all()


def test_bad_annotations_are_named(root):
    path = root / "annotations" / "panoptic_val2017.json"
    before = path.read_text()
    content = json.loads(before)
    try:
        del content["annotations"][2]["segments_info"]
        write_json(path, content)
        with pytest.raises(InputError, match=r"annotations\[2\]: has no 'segments_info'"):
            opened(root)
        del content["annotations"][2]
        write_json(path, content)
        with pytest.raises(InputError, match="image 3 has no annotation"):
            opened(root)
        content["annotations"][1]["file_name"] = "gone.png"
        content["annotations"].insert(2, content["annotations"][0] | {"image_id": 3})
        write_json(path, content)
        with pytest.raises(InputError, match=r"file of segments, named by .* is missing"):
            opened(root)
        content["annotations"][1]["file_name"] = "cut.png"
        write_json(path, content)
        (path.with_suffix("") / "cut.png").write_bytes(b"no picture")
        with pytest.raises(InputError, match=r"cut\.png: not a PNG file of segments"):
            opened(root)[1]
    finally:
        path.write_text(before)
