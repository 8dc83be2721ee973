"""VOC directories: reading, numbering, difficult objects, and what is wrong with them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from neutral.config import preset, with_overrides
from neutral.data import open_dataset
from neutral.data.batching import train_batches
from neutral.data.voc import CLASSES, open_voc
from neutral.errors import InputError
from neutral.evaluation import evaluate

OBJECT = """<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>{box[0]}</xmin>
<ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"""
PAGE = """<annotation><filename>{stem}.jpg</filename><size><width>60</width><height>40</height>
<depth>3</depth></size>{objects}</annotation>"""


@pytest.fixture
def voc_folder(tmp_path):
    """make(objects) writes a year with two images; `objects` are those of the first."""

    def make(*objects):
        root = tmp_path / "VOC2007"
        for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        for stem, found in (("2008_000028", objects), ("000005", ())):
            page = PAGE.format(stem=stem, objects="".join(OBJECT.format(**o) for o in found))
            (root / "Annotations" / f"{stem}.xml").write_text(page)
            Image.new("RGB", (60, 40), (9, 99, 9)).save(root / "JPEGImages" / f"{stem}.jpg")
        for split in ("trainval", "test"):
            (root / "ImageSets" / "Main" / f"{split}.txt").write_text("2008_000028\n000005\n")
        return root

    return make


def entry(name="dog", box=(11, 6, 40, 30), difficult=0) -> dict:
    return {"name": name, "box": box, "difficult": difficult}


def test_objects_are_zero_based_and_difficult_ones_apart(voc_folder):
    root = voc_folder(entry(), entry("person", (1, 1, 60, 40), difficult=1))
    dataset = open_voc(root, "val", (), 21)
    image, target = dataset[0]
    assert image.size == (60, 40)
    assert target.boxes.tolist() == [[10, 5, 39, 29]]
    assert target.labels.tolist() == [CLASSES.index("dog") + 1] == [12]
    assert len(dataset[1][1].labels) == 0
    perfect = {
        1: {
            "boxes": np.array([[10.0, 5, 39, 29], [0, 0, 59, 39]]),
            "labels": np.array([12, 15]),
            "scores": np.array([0.5, 0.9]),
        }
    }
    # a hit on the difficult person neither helps nor hurts
    assert evaluate(dataset, perfect)["AP"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: (r / "Annotations" / "000005.xml").unlink(), "000005.xml: no such annotation"),
        (lambda r: (r / "Annotations" / "000005.xml").write_text("<a>"), "000005.xml: not a VOC"),
        (lambda r: (r / "JPEGImages" / "000005.jpg").unlink(), "000005.jpg"),
        (lambda r: (r / "ImageSets" / "Main" / "test.txt").unlink(), "test.txt: no such file"),
        (lambda r: (r / "ImageSets" / "Main" / "test.txt").write_text(""), "no images"),
    ],
)
def test_damage_is_named(voc_folder, change, message):
    root = voc_folder(entry())
    change(root)
    with pytest.raises(InputError, match=message):
        open_voc(root, "val", (), 21)


def test_bad_objects_are_named(voc_folder):
    with pytest.raises(InputError, match=r"2008_000028.xml: object 'unicorn'"):
        open_voc(voc_folder(entry("unicorn")), "val", (), 21)
    with pytest.raises(InputError, match=r"2008_000028.xml.*no area"):
        open_voc(voc_folder(entry(box=(5, 5, 5, 9))), "val", (), 21)
    with pytest.raises(InputError, match=r"num_classes=21"):
        open_voc(voc_folder(entry()), "val", (), 20)


def test_voc_mini_trains(shared):
    root = shared / "voc_mini" / "VOC2007"
    config = with_overrides(preset("simple_vgg16"), [f"data.root={root}"])
    train, val = (open_dataset(config, split) for split in ("train", "val"))
    assert len(train) > 0 and len(val) > 0
    batch = next(train_batches(train, config, 0))
    assert batch.images.shape[1] == 3 and min(batch.images.shape[2:]) == 600
    # caffe's input: BGR with a mean of about 100 taken off values up to 255
    assert -130 < batch.images.min() < -50 and 50 < batch.images.max() < 160
    assert (batch.targets[0].boxes[:, 2:] > batch.targets[0].boxes[:, :2]).all()
    assert batch.targets[0].boxes.max() > 1.5, "pixels, not fractions"
