from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from door.randomness import stream
from neutral.config import ScenesConfig, TransformConfig, preset, with_overrides
from neutral.data import open_dataset
from neutral.data.batching import collate, train_batches, train_order, val_batches
from neutral.data.coco import CocoDataset, Target
from neutral.data.scenes import ensure_scenes
from neutral.data.transforms import crop, flip, normalise, resize, resized_size, train_transform
from neutral.errors import InputError
from neutral.randomness import Draws

SMALL = ScenesConfig(train_images=30, val_images=10, empty_fraction=0.2, crowd_fraction=0.2)


def target(boxes, size=(30, 40)) -> Target:
    boxes = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    labels = np.arange(1, len(boxes) + 1)
    return Target(boxes, labels, np.ones(len(boxes), np.float32), 7, size, size)


def test_scenes_are_byte_identical(tmp_path):
    """The hash was recorded once; a change of a single byte on any machine or version shows here."""
    root = ensure_scenes(tmp_path, SMALL, seed=0)
    digest = hashlib.sha256()
    for file in sorted(p for p in root.rglob("*") if p.is_file()):
        digest.update(file.relative_to(root).as_posix().encode() + file.read_bytes())
    assert digest.hexdigest() == (
        "78cfd15f75daff73ce1e16727ba59fdbaf1e59d7d4974301f6606e2e05bf5a56"
    )
    again = ensure_scenes(tmp_path / "again", SMALL, seed=0)
    assert (
        CocoDataset.open(again, "val", 8).fingerprint
        == CocoDataset.open(root, "val", 8).fingerprint
    )
    other = ensure_scenes(tmp_path, SMALL, seed=1)
    assert (
        CocoDataset.open(other, "val", 8).fingerprint
        != CocoDataset.open(root, "val", 8).fingerprint
    )


def test_scenes_hold_what_they_promise(tmp_path):
    root = ensure_scenes(tmp_path, SMALL, seed=0)
    dataset = CocoDataset.open(root, "train", 8)
    counts = [len(dataset[i][1].labels) for i in range(len(dataset))]
    assert min(counts) == 0, "an empty image"
    assert max(counts) > 2
    assert dataset.fingerprint["crowds"] > 0
    assert {c for i in range(len(dataset)) for c in dataset[i][1].labels.tolist()} == {1, 2, 4, 7}
    boxes = np.concatenate([dataset[i][1].boxes for i in range(len(dataset))])
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2] <= SMALL.width).all()
    assert (boxes[:, 3] <= SMALL.height).all()


def test_coco_targets(coco_folder):
    """Crowds are left out, boxes clipped to the image: [0, 0, 50, 10] xywh in a 40 wide image."""
    _, found = CocoDataset.open(coco_folder(), "val", 91)[0]
    assert found.labels.tolist() == [3, 1]
    assert found.boxes.tolist() == [[5, 5, 25, 15], [0, 0, 40, 10]]
    assert found.boxes.dtype == np.float32
    assert found.original_size == (30, 40)


def edit_box(box):
    return lambda content: content["annotations"][0].update(bbox=box)


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (edit_box([5, 5, 0, 10]), "annotation 1 .*no area.*degenerate_boxes=drop"),
        (edit_box([5, 5, -3, 10]), "annotation 1 .*no area"),
        (
            edit_box([5, float("nan"), 3, 10]),
            r"annotations\[0\].bbox: expected 4 finite numbers, got \[5, NaN, 3, 10\]",
        ),
        (edit_box([5, 5, 3]), r"annotations\[0\].bbox: expected 4 finite numbers"),
        (lambda c: c["annotations"][1].update(image_id=99), "annotation 2 names image 99"),
        (
            lambda c: c["annotations"][1].update(category_id=2),
            "annotation 2 has unknown category 2",
        ),
        (lambda c: c["annotations"][1].pop("bbox"), r"annotations\[1\]: has no 'bbox'"),
        (
            lambda c: c["categories"].append({"id": 200, "name": "x"}),
            "category id 200 .*num_classes",
        ),
        (
            lambda c: c["images"].append({"id": 3, "file_name": "3.png", "width": 1, "height": 1}),
            "image 3",
        ),
        (lambda c: c.pop("categories"), "categories"),
        (lambda c: c["images"].clear() or c["annotations"].clear(), "no images"),
    ],
)
def test_bad_annotations_are_named(coco_folder, edit, named):
    with pytest.raises(InputError, match=named):
        CocoDataset.open(coco_folder(edit), "val", 91)


def test_degenerate_boxes_can_be_dropped(coco_folder):
    root = coco_folder(edit_box([5, 5, 0, 10]))
    assert CocoDataset.open(root, "val", 91, "drop")[0][1].labels.tolist() == [1]


def test_bad_images_are_named(coco_folder):
    root = coco_folder()
    dataset = CocoDataset.open(root, "val", 91)
    file = root / "val2017" / "1.png"
    whole = file.read_bytes()
    for content, named in (
        (whole[: len(whole) // 2], "1.png"),
        (b"no image", "not an image"),
        (b"", "1.png"),
    ):
        file.write_bytes(content)
        with pytest.raises(InputError, match=named):
            dataset[0]
    file.unlink()
    with pytest.raises(InputError, match=r"1\.png"):
        dataset[0]
    with pytest.raises(InputError, match=r"1\.png.*missing"):
        CocoDataset.open(root, "val", 91)
    Image.new("RGB", (41, 30)).save(file)
    with pytest.raises(InputError, match=r"41x30.*40x30"):
        dataset[0]


def test_missing_annotation_file(tmp_path):
    with pytest.raises(InputError, match=r"instances_val2017\.json: no such file"):
        CocoDataset.open(tmp_path, "val", 91)
    with pytest.raises(InputError, match="--data"):
        open_dataset(preset("detr_r50"), "val")


@pytest.mark.parametrize(
    ("size", "short", "longest", "expected"),
    [
        ((640, 480), 800, 1333, (1066, 800)),  # 800 * 640 / 480 = 1066.67, truncated
        ((640, 427), 800, 1333, (1199, 800)),  # 800 * 640 / 427 = 1199.06
        (
            (500, 200),
            800,
            1333,
            (1332, 533),
        ),  # short side round(1333 * 200 / 500) = 533; 533 * 2.5 = 1332.5
        ((480, 640), 480, 1333, (480, 640)),  # already there
        ((101, 101), 64, None, (64, 64)),
        ((333, 500), 400, None, (400, 600)),  # 400 * 500 / 333 = 600.6
        ((10, 1000), 800, 60, (1, 100)),  # round(60 * 10 / 1000) = 1: a pixel, the ratio is kept
        ((1000, 10), 800, 60, (100, 1)),
        ((3, 1000), 800, 60, (1, 60)),  # round(60 * 3 / 1000) = 0
        ((1000, 3), 800, 60, (60, 1)),
    ],
)
def test_resized_size(size, short, longest, expected):
    assert resized_size(size, short, longest) == expected


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from(range(480, 801, 32)))
def test_resized_size_keeps_the_cap_and_the_ratio(width, height, short):
    """The short side is rounded and the long side truncated, so the cap holds to within the ratio."""
    new_width, new_height = resized_size((width, height), short, 1333)
    ratio = max(width, height) / min(width, height)
    assert max(new_width, new_height) <= 1333 + math.ceil(ratio / 2)
    assert min(new_width, new_height) <= short


def test_crop_clips_and_drops():
    image = Image.new("RGB", (40, 30))
    cut, found = crop(image, target([[0, 0, 10, 10], [5, 5, 30, 20], [35, 2, 39, 5]]), 4, 8, 20, 16)
    assert cut.size == (
        16,
        20,
    )  # left 8, top 4: the second box is [-3, 1, 22, 16] clipped to 16 wide
    assert found.boxes.tolist() == [[0, 0, 2, 6], [0, 1, 16, 16]]
    assert found.labels.tolist() == [1, 2]
    assert found.area.tolist() == [12, 240]


def test_flip_mirrors_pixels_and_boxes():
    image = Image.fromarray(stream(0, "flip").integers(0, 256, (30, 40, 3), dtype=np.uint8))
    once, found = flip(image, target([[5, 5, 25, 15]]))
    assert found.boxes.tolist() == [[15, 5, 35, 15]]  # x -> 40 - x
    assert (np.asarray(once) == np.asarray(image)[:, ::-1]).all()
    assert flip(once, found)[1].boxes.tolist() == [[5, 5, 25, 15]]


def test_resize_agrees_with_torchvision():
    from torchvision.transforms import functional

    image = Image.fromarray(stream(0, "resize").integers(0, 256, (47, 61, 3), dtype=np.uint8))
    resized, found = resize(image, target([[6.1, 4.7, 61, 47]], (47, 61)), 94, 1333)
    assert (np.asarray(resized) == np.asarray(functional.resize(image, [94, 122]))).all()
    assert np.allclose(found.boxes, [[12.2, 9.4, 122, 94]])
    assert found.size == (94, 122)


def test_normalise_agrees_with_torchvision():
    from torchvision.transforms import functional

    image = Image.fromarray(stream(0, "normalise").integers(0, 256, (30, 40, 3), dtype=np.uint8))
    config = TransformConfig()
    pixels, found = normalise(image, target([[10, 6, 30, 24]]), config)
    expected = functional.normalize(functional.to_tensor(image), config.mean, config.std).numpy()
    assert (pixels == expected).all()
    assert np.allclose(found.boxes, [[0.5, 0.5, 0.5, 0.6]])


def test_train_transform_depends_on_its_stream_only():
    image = Image.new("RGB", (640, 480))
    config, objects = TransformConfig(), target([[10, 10, 600, 400]], (480, 640))
    shapes = set()
    for seed in range(12):
        first = train_transform(image, objects, config, stream(seed, "augment", 0, 1))
        second = train_transform(image, objects, config, stream(seed, "augment", 0, 1))
        assert first[0].shape == second[0].shape
        assert (first[1].boxes == second[1].boxes).all()
        assert max(first[0].shape) <= 1334
        shapes.add(first[0].shape)
    assert len(shapes) > 3


def test_collate_pads_and_masks():
    small, large = np.ones((3, 4, 6), np.float32), np.ones((3, 5, 3), np.float32)
    batch = collate([(small, target([])), (large, target([]))])
    assert batch.images.shape == (2, 3, 5, 6)
    assert batch.images[0, :, 4:].sum() == 0
    assert batch.mask[0].sum() == 6  # one row of 6
    assert batch.mask[1].sum() == 15  # three columns of 5
    with pytest.raises(InputError):
        collate([])


def test_batches(tmp_path, tiny_config):
    config = with_overrides(tiny_config, ["optimiser.batch_size=3"])
    train = open_dataset(config, "train", tmp_path)
    batches = list(train_batches(train, config, 0))
    assert [len(b.targets) for b in batches] == [3, 3]  # 8 images, the incomplete batch is dropped
    assert sorted(train_order(8, 42, 0)) == list(range(8))
    assert list(train_order(8, 42, 0)) != list(train_order(8, 42, 1))
    again = list(train_batches(train, config, 0))
    assert all((a.images == b.images).all() for a, b in zip(batches, again, strict=True))
    assert [len(b.targets) for b in val_batches(train, config, 4)] == [3, 1]
    with pytest.raises(InputError, match="batch of 9"):
        next(train_batches(train, with_overrides(config, ["optimiser.batch_size=9"]), 0))


def test_streams_and_dropout_masks():
    assert (stream(1, "a", 2).random(5) == stream(1, "a", 2).random(5)).all()
    assert (stream(1, "a", 2).random(5) != stream(1, "a", 3).random(5)).any()
    masks = Draws(0)
    masks.begin_step(3)
    first, second = masks.keep("x", (50, 40), 0.25), masks.keep("x", (50, 40), 0.25)
    assert (first != second).any(), "a site called twice in a step gets two masks"
    assert abs(first.mean() - 0.75) < 0.04  # 2000 draws: standard deviation 0.0097
    masks.begin_step(3)
    assert (masks.keep("x", (50, 40), 0.25) == first).all()
