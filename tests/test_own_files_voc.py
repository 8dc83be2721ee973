"""VOC directories as labelling tools write them: names, lists, encodings, sizes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from door.files import read_json
from door.text import read_text
from neutral.config import preset
from neutral.data.voc import open_voc
from neutral.errors import InputError
from neutral.notes import Note
from neutral.runlog import read_log
from scripts.options import kind_of

PAGE = """<?xml version="1.0"{declared}?>
<annotation><filename>{filename}</filename><size><width>{size[0]}</width><height>{size[1]}</height></size>
<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>11</xmin><ymin>6</ymin><xmax>40</xmax>
<ymax>30</ymax></bndbox></object></annotation>"""


@pytest.fixture
def year(tmp_path):
    """make(listing, **annotations by stem) -> a year; an annotation is bytes or what differs in PAGE."""

    def make(listing, annotations: dict, images=None, encoding="utf-8"):
        root = tmp_path / "VOC2007"
        for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        for stem, told in annotations.items():
            values = {"declared": "", "filename": f"{stem}.jpg", "size": (60, 40), "name": "dog"}
            page = PAGE.format(**(values | {"difficult": 0} | told))
            (root / "Annotations" / f"{stem}.xml").write_bytes(page.encode(encoding))
        for name in images or [f"{stem}.jpg" for stem in annotations]:
            Image.new("RGB", (60, 40), (9, 99, 9)).save(root / "JPEGImages" / name)
        for split in ("trainval", "test"):
            file = root / "ImageSets" / "Main" / f"{split}.txt"
            file.write_bytes(listing if isinstance(listing, bytes) else listing.encode())
        return root

    return make


def names_of(root, classes=("dog",)) -> list[str]:
    dataset = open_voc(root, "val", (), len(classes) + 1, classes=classes)
    for index in range(len(dataset)):
        dataset[index]  # the picture is there, and of the size that is told
    return [record["file_name"] for record in dataset.images]


@pytest.mark.parametrize(
    ("told", "images", "found"),
    [
        ("plant", None, "plant.jpg"),  # without an ending
        ("IMG_0001.jpg", None, "plant.jpg"),  # from before a renaming
        ("C:\\Users\\me\\old.jpg", None, "plant.jpg"),
        ("", None, "plant.jpg"),
        ("plant.jpg", ["plant.png"], "plant.png"),
        ("other.jpg", ["plant.JPG", "other.jpg"], "plant.JPG"),
        ("scan.png", ["scan.png"], "scan.png"),  # the list's name has no picture, this one has
    ],
)
def test_the_lists_name_counts(year, told, images, found):
    root = year("plant\n", {"plant": {"filename": told}}, images)
    assert names_of(root) == [found]


def test_another_filename_is_said_once(year):
    annotations = {f"p{k}": {"filename": "old.jpg"} for k in range(3)}
    root = year("p0\np1\np2\n", annotations)
    with pytest.warns(Note) as said:
        names_of(root)
    told = [str(w.message) for w in said if "filename" in str(w.message)]
    assert len(told) == 1 and "p0.xml" in told[0] and "'old.jpg'" in told[0]


@pytest.mark.parametrize(
    ("line", "stem"),
    [
        ("plant (1)", "plant (1)"),
        ("plant (1) -1", "plant (1)"),
        ("plant  1", "plant"),
        ("plant\t0", "plant"),
        ("my plant 2", "my plant 2"),  # 2 is no label
        ("plant 1", "plant 1"),  # nor is 1 where the name has it
        ("plant.jpg", "plant"),
        ("plant.v2", "plant.v2"),
        ("2008_000028", "2008_000028"),
    ],
)
def test_names_in_lists(year, line, stem):
    assert names_of(year(f"{line}\r\n\n", {stem: {}})) == [f"{stem}.jpg"]


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ("gb2312", "GB2312"),
        ("gbk", "GBK"),
        ("gbk", "gb2312"),  # the label says less than the file has
        ("big5", "Big5"),
        ("shift_jis", "Shift_JIS"),
        ("utf-16", "UTF-16"),
        ("utf-16", ""),
        ("utf-8-sig", "gb2312"),  # the mark speaks louder
        ("utf-8", ""),
        ("utf-8", "utf-16"),  # .NET's mistake: what can be read as ASCII is no UTF-16
    ],
)
def test_encodings_of_annotations(year, encoding, declared):
    name = "犬" if encoding != "gbk" or declared != "gb2312" else "㙍"
    told = {"declared": f' encoding="{declared}"' if declared else "", "name": name}
    if encoding == "gbk" and declared == "gb2312":
        name = told["name"] = "喆"  # in GBK only
    root = year("plant\n", {"plant": told}, encoding=encoding)
    assert names_of(root, (name,)) == ["plant.jpg"]


def test_latin_1_and_what_cannot_be_read(year):
    told = {"declared": ' encoding="ISO-8859-1"', "name": "café"}
    assert names_of(year("plant\n", {"plant": told}, encoding="latin-1"), ("café",))
    for declared, message in (
        ("", r"plant\.xml: is not utf-8 .*says no encoding; save it as UTF-8"),
        (' encoding="ascii"', r"plant\.xml: is not ascii"),
        (' encoding="klingon"', r"plant\.xml: declares the encoding 'klingon'"),
    ):
        root = year(
            "plant\n", {"plant": {"declared": declared, "name": "café"}}, encoding="latin-1"
        )
        with pytest.raises(InputError, match=message):
            names_of(root, ("café",))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-8"])
def test_encodings_of_lists_json_and_logs(year, tmp_path, encoding):
    assert names_of(year("plant\n".encode(encoding), {"plant": {}})) == ["plant.jpg"]
    (tmp_path / "a.json").write_bytes('{"name": "犬"}'.encode(encoding))
    assert read_json(tmp_path / "a.json") == {"name": "犬"}
    (tmp_path / "log.txt").write_bytes('{"epoch": 0, "train_loss": 1}\n'.encode(encoding))
    assert len(read_log(tmp_path / "log.txt").epochs) == 1


def test_files_without_a_mark_name_their_encoding(year, tmp_path):
    with pytest.raises(InputError, match=r"test\.txt: is not utf-8 \(byte 0xD6 at 0\)"):
        names_of(year("中文\n".encode("gbk"), {"plant": {}}))
    (tmp_path / "a.json").write_bytes('{"a": "中文"}'.encode("gbk"))
    with pytest.raises(InputError, match=r"a\.json: is not utf-8"):
        read_json(tmp_path / "a.json")
    with pytest.raises(InputError, match=r"a\.json: is not utf-8"):
        read_log(tmp_path / "a.json")
    (tmp_path / "b").write_bytes(b"\xef\xbb\xbfok")
    assert read_text(tmp_path / "b") == "ok"


def test_a_size_of_nothing_is_read_from_the_picture(year):
    root = year("a\nb\n", {"a": {"size": (0, 0)}, "b": {"size": ("", "")}})
    with pytest.warns(Note, match=r"a\.xml: <size> is 0x0; read from the picture"):
        dataset = open_voc(root, "val", (), 2, classes=("dog",))
    assert [(r["width"], r["height"]) for r in dataset.images] == [(60, 40)] * 2
    assert len(dataset[0][1].labels) == 1
    root = year("a\n", {"a": {"size": (600, 400)}})
    with pytest.raises(InputError, match=r"a\.jpg: is 60x40, but .*a\.xml says 600x400"):
        names_of(root)


def test_difficult_in_words(year):
    root = year("a\nb\n", {"a": {"difficult": "Unspecified"}, "b": {"difficult": " 1 "}})
    dataset = open_voc(root, "val", (), 2, classes=("dog",))
    assert [a[0]["iscrowd"] for a in dataset.annotations.values()] == [0, 1]


def test_what_a_folder_is(tmp_path, year):
    (tmp_path / "labelme" / "JPEGImages").mkdir(parents=True)
    assert kind_of(tmp_path / "labelme", ()) == "coco"  # labelme's export: JPEGImages beside a json
    voc = year("plant\n", {"plant": {}})
    assert kind_of(voc, ()) == kind_of(voc.parent, ("2007/trainval",)) == "voc"
    assert kind_of(voc, ("mine.json",)) == kind_of(voc, ("mine.json:JPEGImages",)) == "coco"
    (voc / "annotations").mkdir()
    (voc / "annotations" / "pascal_train2007.json").write_text("{}")
    assert kind_of(voc, (), "voc") == "voc" and kind_of(voc, ()) == "coco"
    with pytest.raises(InputError, match=r"--set data\.kind=coco"):
        open_voc(tmp_path / "labelme", "val", (), 21)


def test_boxes_without_an_area_are_left_out_here_too(year):
    page = PAGE.replace("<xmax>40</xmax>", "<xmax>11</xmax>")
    root = year("a\n", {"a": {}})
    text = page.format(declared="", filename="a.jpg", size=(60, 40), name="dog", difficult=0)
    (root / "Annotations" / "a.xml").write_text(text)
    with pytest.raises(InputError, match="no area"):
        open_voc(root, "val", (), 2, classes=("dog",))
    dataset = open_voc(root, "val", (), 2, "drop", ("dog",))
    assert dataset.annotations == {1: ()} and dataset.fingerprint["objects"] == 0
    assert np.array_equal(dataset[0][1].boxes, np.zeros((0, 4)))
    assert preset("simple_vgg16").data.degenerate_boxes == "error"


def test_boxes_from_0_and_names_with_blanks_and_dots(year):
    """Tools that count from 0: the corner lies one pixel outside, and is brought back; nothing wraps around."""
    stem = "screenshot 2020-12-16 16.42.21"
    root = year(f"{stem}\n", {stem: {}}, [f"{stem}.png"])
    file = root / "Annotations" / f"{stem}.xml"
    text = file.read_text().replace("<xmin>11<", "<xmin>0<").replace("<ymin>6<", "<ymin>0<")
    file.write_text(text)
    dataset = open_voc(root, "val", (), 2, classes=("dog",))
    assert dataset[0][1].boxes.tolist() == [[0, 0, 39, 29]]
    with pytest.raises(InputError, match=r"object 'dog' is none of the 1 classes"):
        open_voc(root, "val", (), 2, classes=("dddddaa",))
