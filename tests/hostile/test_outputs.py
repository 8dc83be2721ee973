"""Outputs never destroy inputs or each other, nor what somebody else made."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from door.files import replacing, write_json
from neutral.errors import InputError
from neutral.fetching import fetch
from neutral.files import check_ours, keep_apart
from neutral.panoptic import write_predictions
from neutral.pictures import save
from neutral.weights import save_weights
from scripts.outputs import apart, check_outputs, outputs_of
from tests.commands import TINY, run
from tests.hostile.small import tiny


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    pytest.importorskip("torch")
    from torch_impl.session import Session

    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_weights(path, Session(tiny()[0]).state())
    return path


def photograph(path: Path, value: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), (value, 50, 60)).save(path)
    return path


def predict(weights, *arguments, code: int = 0):
    options = ["--framework=torch", *TINY, f"--weights={weights}", "--threshold=0"]
    return run("predict", *options, *arguments, code=code)


def test_pictures_of_one_name_are_set_apart(weights, tmp_path):
    """Two folders with photo.jpg, and a picture in two formats: each has its own, told in detections.json. Again
    into the same folder: they are predict's own. Into the photographs' folder: refused."""
    files = [
        photograph(tmp_path / name, k * 60) for k, name in enumerate(("a/photo.jpg", "b/photo.jpg"))
    ]
    files += [photograph(tmp_path / "c" / f"scene.{kind}") for kind in ("jpg", "png")]
    out = tmp_path / "out"
    for _ in range(2):
        told = predict(weights, *files, f"--out={out}").stderr
        assert "b/photo.jpg: its pictures are called photo-2" in told
        names = {"photo.png", "photo-2.png", "scene.png", "scene-2.png"}
        assert {p.name for p in out.iterdir()} == names | {"detections.json"}
    records = json.loads((out / "detections.json").read_text())
    called = {r["file_name"]: r["picture"] for r in records}
    assert [called[str(f)] for f in files] == [
        "photo.png",
        "photo-2.png",
        "scene.png",
        "scene-2.png",
    ]
    pictures = [np.asarray(Image.open(out / called[str(f)])) for f in files[:2]]
    assert not np.array_equal(*pictures)

    before = [f.read_bytes() for f in files]
    told = predict(weights, tmp_path / "c", f"--out={tmp_path / 'c'}", code=2).stderr
    assert "is the folder of scene.jpg" in told and "Traceback" not in told
    assert before == [f.read_bytes() for f in files]
    assert {p.name for p in (tmp_path / "c").iterdir()} == {"scene.jpg", "scene.png"}


def test_every_way_to_the_photographs_is_found(tmp_path, monkeypatch):
    file = photograph(tmp_path / "photos" / "a.png")
    (tmp_path / "link").symlink_to("photos")
    monkeypatch.chdir(tmp_path / "photos")
    for folder in (tmp_path / "photos", tmp_path / "link", Path("."), Path("../photos")):
        with pytest.raises(InputError, match=r"is the folder of a\.png"):
            check_outputs(folder, {"a": file}, [])
    check_outputs(tmp_path / "photos" / "out", {"a": file}, [])


def test_what_predict_did_not_make_stays(tmp_path):
    file, out = photograph(tmp_path / "photos" / "a.jpg"), tmp_path / "out"
    theirs = photograph(out / "a.png")
    with pytest.raises(InputError, match=r"a\.png: is there, and this command did not make it"):
        check_outputs(out, {"a": file}, [])
    save(Image.open(theirs), theirs)
    check_outputs(out, {"a": file}, [])
    photograph(out / "a-matches.png")
    check_outputs(out, {"a": file}, [])
    with pytest.raises(InputError, match=r"a-matches\.png"):
        check_outputs(out, {"a": file}, ["matches"])
    for content, is_ours in (
        ('[{"id": 1}]', False),
        ("[]", True),
        ('[{"picture": "a.png"}]', True),
        ("{", False),
    ):
        (out / "detections.json").write_text(content)
        if is_ours:
            check_outputs(out, {"a": file}, [])
        else:
            with pytest.raises(InputError, match=r"detections\.json"):
                check_outputs(out, {"a": file}, [])


def test_names_never_meet():
    """Whatever the photographs are called: with views, with numbers, in other cases, of great length."""
    stems = ["a", "a-2", "A", "a", "a-matches", "a-2", "x" * 250, "x" * 250, "a-panoptic", "é", "é"]
    names = apart([Path(f"/{k}/{stem}.jpg") for k, stem in enumerate(stems)], ["matches"])
    outputs = [o.casefold() for name in names for o in outputs_of(name, ["matches"])]
    assert len(names) == len(stems) and len(set(outputs)) == len(outputs)
    assert names[:2] == ["a", "a-2"] and max(len(o.encode()) for o in outputs) <= 255


def test_one_way_to_write(tmp_path):
    """A name that is a folder, a pipe or a socket is not replaced; a link's file is, and not the link."""
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.json"))
        for name, kind in (
            ("pipe", "a named pipe"),
            ("folder", "a folder"),
            ("socket", "a socket"),
        ):
            with pytest.raises(InputError, match=f"{name}.json: is {kind}"):
                write_json(tmp_path / f"{name}.json", 1)
    (tmp_path / "link.json").symlink_to("target.json")
    write_json(tmp_path / "link.json", 1)
    assert (tmp_path / "link.json").is_symlink() and (tmp_path / "target.json").read_text() == "1\n"
    with pytest.raises(RuntimeError), replacing(tmp_path / "target.json") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert (tmp_path / "target.json").read_text() == "1\n" and not list(tmp_path.glob(".*"))


def test_outputs_inputs_and_each_other(tmp_path):
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(InputError, match="would be written over"):
        keep_apart([tmp_path / "b"], [tmp_path / "a"])
    with pytest.raises(InputError, match="would be written twice"):
        keep_apart([tmp_path / "c", tmp_path / "." / "c"], [])
    keep_apart([tmp_path / "c"], [tmp_path / "a"])
    with pytest.raises(InputError, match="did not make it"):
        check_ours(tmp_path / "a", lambda path: False)


def test_the_other_commands(weights, tmp_path, coco_folder):
    """convert, plot and evaluate: nothing that is read, that belongs to the data, or of another kind is replaced."""
    data = coco_folder()
    listing = data / "annotations" / "instances_val2017.json"
    photo = photograph(tmp_path / "photo.png")
    notes = tmp_path / "notes.json"
    notes.write_text('{"mine": 1}')
    mine = tmp_path / "mine.safetensors"
    shutil.copy(weights, mine)
    before = {path: path.read_bytes() for path in (listing, photo, notes, mine)}
    convert = ["convert_weights", "convert", mine, *TINY]
    assert "would be written over" in run(*convert, f"--out={mine}", code=2).stderr
    other = tmp_path / "other.safetensors"
    shutil.copy(weights, other)
    assert "did not make it" in run(*convert, f"--out={other}", code=2).stderr
    run(*convert, f"--out={tmp_path / 'new.safetensors'}")
    run(*convert, f"--out={tmp_path / 'new.safetensors'}")
    evaluate = [
        "evaluate",
        "--preset=detr_r50",
        f"--data={data}",
        f"--detections={tmp_path / 'found.json'}",
    ]
    (tmp_path / "found.json").write_text("[]")
    for out, why in (
        (listing, "data set"),
        (notes, "did not make it"),
        (tmp_path / "found.json", "written over"),
    ):
        assert why in run(*evaluate, f"--out={out}", code=2).stderr
    plot = ["plot", notes, notes, f"--out={photo}"]
    assert "did not make it" in run(*plot, code=2).stderr
    assert before == {path: path.read_bytes() for path in before}


def test_addresses_of_one_name(tmp_path, monkeypatch):
    contents = {
        "http://a/photo.jpg": b"1",
        "http://b/photo.jpg?x": b"2",
        "http://c/..": b"3",
        "http://c/": b"4",
    }
    monkeypatch.setattr("neutral.fetching.download", lambda url, limit: contents[url])
    for _ in range(2):  # the same again is the same file
        names = [fetch(url, tmp_path).name for url in contents]
        assert names == ["photo.jpg", "photo-2.jpg", "image", "image-2"]
    assert [(tmp_path / name).read_bytes() for name in names] == list(contents.values())


def test_segments_of_one_name(tmp_path):
    class Data:
        images = ({"id": 1, "file_name": "a/1.jpg"}, {"id": 2, "file_name": "b/1.jpg"})

    found = {k: {"png": b"%d" % k, "segments_info": []} for k in (1, 2)}
    write_predictions(tmp_path, "panoptic_val", Data, found)
    listed = json.loads((tmp_path / "panoptic_val.json").read_text())["annotations"]
    for entry in listed:
        path = tmp_path / "panoptic_val" / entry["file_name"]
        assert path.read_bytes() == b"%d" % entry["image_id"]
