"""Content of files that are not COCO's: VOC, XML that expands, panoptic segments, logs, and a command's one line."""

from __future__ import annotations

import json

import pytest

from neutral.data.panoptic import open_panoptic
from neutral.data.voc import open_voc
from neutral.errors import InputError
from neutral.runlog import read_log
from tests.hostile.asking import exit_of, refused
from tests.hostile.test_content import annotation

VOC = """<annotation><filename>1.jpg</filename><size><width>{width}</width><height>30</height></size>
<object><name>dog</name><difficult>{difficult}</difficult><bndbox><xmin>{xmin}</xmin><ymin>2</ymin>
<xmax>20</xmax><ymax>20</ymax></bndbox></object></annotation>"""


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"xmin": "nan"}, r"object\[0\].bbox: expected 4 finite numbers"),
        ({"xmin": "1e40"}, r"object\[0\].bbox: expected 4 finite numbers"),
        ({"width": "99999999"}, "width: expected an integer"),
        ({"xmin": "left"}, "not a VOC annotation"),
        ({"xmin": "25"}, "has no area"),
    ],
)
def test_voc(tmp_path, changes, told):
    path = voc_year(tmp_path, VOC.format(**({"width": 40, "difficult": 0, "xmin": 3} | changes)))
    with pytest.raises(InputError, match=f"1.xml.*({told})"):
        open_voc(path, "train", ("one",), 21)


def voc_year(root, xml):
    for name in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (root / name).mkdir(parents=True)
    (root / "Annotations/1.xml").write_text(xml)
    (root / "ImageSets/Main/one.txt").write_text("1\n")
    (root / "JPEGImages/1.jpg").write_bytes(b"")
    return root


LAUGHS = '<!DOCTYPE a [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {chr(98 + k)} "{f"&{chr(97 + k)};" * 10}">' for k in range(12)
)


@pytest.mark.parametrize(
    "xml", [LAUGHS + "]><annotation>&m;</annotation>", "<a>" * 200_000, "<", ""]
)
def test_xml_that_expands_or_never_ends(tmp_path, xml):
    with pytest.raises(InputError, match=r"1.xml: (defines entities|not a VOC annotation)"):
        open_voc(voc_year(tmp_path, xml), "train", ("one",), 21)


def test_panoptic(tmp_path):
    file = tmp_path / "annotations" / "panoptic_val2017.json"
    file.parent.mkdir()
    segment = {"id": 5, "category_id": 1, "bbox": [0, 0, 4, 4], "area": 16, "iscrowd": 0}
    content = {
        "images": [{"id": 1, "file_name": "1.png", "width": 40, "height": 30}],
        "annotations": [{"image_id": 1, "file_name": "1.png", "segments_info": [segment]}],
        "categories": [{"id": 1, "name": "one", "isthing": 1}],
    }
    for change, told in (
        ({"id": -1}, r"annotations\[0\].segments_info\[0\].id: expected an integer"),
        ({"bbox": [0, 0, float("nan"), 1]}, r"segments_info\[0\].bbox: expected 4 finite numbers"),
        ({"iscrowd": "no"}, r"segments_info\[0\].iscrowd: expected 0 or 1"),
    ):
        changed = json.loads(json.dumps(content))
        changed["annotations"][0]["segments_info"][0] = segment | change
        file.write_text(json.dumps(changed))
        with pytest.raises(InputError, match=f"panoptic_val2017.json: .*{told}"):
            open_panoptic(tmp_path, "val", 250, "drop", False)
    twice = json.loads(json.dumps(content))
    twice["annotations"][0]["segments_info"] *= 2
    file.write_text(json.dumps(twice))
    with pytest.raises(InputError, match="two segments of image 1"):
        open_panoptic(tmp_path, "val", 250, "drop", False)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"epoch": "1"}', "epoch: expected an integer from 0 on"),
        ('{"epoch": 0, "train_lr": "fast"}', "train_lr: expected"),
        ('{"epoch": 0, "test_coco_eval_bbox": "none"}', "test_coco_eval_bbox: expected"),
        ('{"epoch": 0, "train_loss": [1, 2]}', "train_loss: expected"),
        ('{"header": 3}', "header: expected object"),
        ('{"header": {"data": []}}', "header: data: expected object"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "not a JSON object"),
    ],
)
def test_logs(tmp_path, line, told):
    path = tmp_path / "log.txt"
    path.write_text('{"epoch": 0, "train_loss": NaN}\n' + line + "\n")
    with pytest.raises(InputError, match=f"log.txt, line 2: {told}"):
        read_log(path)


def test_other_files(tmp_path, monkeypatch):
    """Curves and reports, as their commands are given them."""
    path = tmp_path / "x.json"
    out = ("--out", tmp_path / "x.png")
    path.write_text('{"curves": {"AP": ["high"]}, "per_class": {}}')
    assert "x.json: curves" in refused(monkeypatch, "plot", "--precision-recall", path, *out)
    path.write_text('{"schema": "x", "verdicts": [{}]}')
    assert "has no 'case'" in refused(monkeypatch, "compare", "--reports", path, path)


def test_a_command_says_one_line_and_ends_with_2(coco_folder, tmp_path):
    root = coco_folder(annotation(bbox=[1, 2, float("nan"), 4]))
    (tmp_path / "found.json").write_text("[]")
    arguments = ("--preset", "detr_r50", "--data", root, "--detections", tmp_path / "found.json")
    code, errors, _ = exit_of("evaluate", *arguments)
    assert code == 2 and len(errors) == 1
    assert "annotations[1].bbox: expected 4 finite numbers, got [1, 2, NaN, 4]" in errors[0]
