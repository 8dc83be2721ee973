"""scripts/predict and the pictures it draws."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import threading

import numpy as np
import pytest
from PIL import Image

from neutral.config import preset
from neutral.data.names import COCO, standard
from neutral.pictures import GREEN, Mark, beside, draw, heat
from tests.commands import ROOT, TINY, TINY_RCNN, run


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Checkpoints of both detectors after an epoch, and an image."""
    found = {}
    for name, tiny in (("detr", TINY), ("faster_rcnn", TINY_RCNN)):
        folder = tmp_path_factory.mktemp(name)
        run("train", "--framework=torch", *tiny, "--set=optimiser.epochs=1", f"--out={folder}")
        found[name] = folder / "checkpoint.safetensors"
    return found


@pytest.fixture(scope="module")
def image(weights):
    return sorted((ROOT / "logs/data").glob("scenes-*/val2017/*.bmp"))[0]


def options_of(kind: str, weights) -> list[str]:
    return [*{"detr": TINY, "faster_rcnn": TINY_RCNN}[kind], f"--weights={weights[kind]}"]


def test_files_folders_and_globs(weights, image, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    shutil.copy(image, folder / "a.bmp")
    Image.open(image).resize((90, 120)).save(folder / "b.png")
    (folder / "notes.txt").write_text("no image")
    command = ["predict", "--framework=torch", *options_of("detr", weights), "--threshold=0"]
    run(*command, folder, f"--out={tmp_path / 'out'}")
    run(*command, folder / "*.png", image, f"--out={tmp_path / 'two'}")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"a.png", "b.png", "detections.json"}
    records = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert len(records) == 2 * 12, "a detection for every query"
    wanted = {"image_id", "category_id", "bbox", "score", "file_name", "name", "picture"}
    assert wanted == records[0].keys()
    first = [r for r in records if r["file_name"].endswith("a.bmp")]
    others = json.loads((tmp_path / "two" / "detections.json").read_text())
    again = [r for r in others if r["file_name"] == str(image)]
    assert [r["score"] for r in first] == [r["score"] for r in again]


@pytest.mark.parametrize(
    ("kind", "views"),
    [("detr", ["matches", "attention"]), ("faster_rcnn", ["anchors", "proposals", "samples"])],
)
def test_both_frameworks_side_by_side_with_views(kind, views, weights, tmp_path):
    command = ["predict", "--framework=both", *options_of(kind, weights), "--threshold=0"]
    result = run(*command, "--split=val", "--count=2", "--views", *views, f"--out={tmp_path}")
    assert "0 of " in result.stdout and "have no partner" in result.stdout
    for side in ("torch", "jittor"):
        for name in ("000000000001", "000000000002"):
            for view in views:
                picture = np.asarray(Image.open(tmp_path / side / f"{name}-{view}.png"))
                assert picture.std() > 1
    both = Image.open(tmp_path / "000000000001.png")
    one = Image.open(tmp_path / "torch" / "000000000001.png")
    assert both.width == 2 * one.width + 4


def test_bad_input(weights, tmp_path):
    command = ["predict", "--framework=torch", *options_of("detr", weights), f"--out={tmp_path}"]
    assert "nowhere.jpg" in run(*command, "nowhere.jpg", code=2).stderr
    assert "no images" in run(*command, code=2).stderr
    told = run(*command, "--views", "anchors", "--split=val", code=2).stderr
    assert "--views anchors: scenes_detr has matches, attention" in told
    (tmp_path / "bad.png").write_bytes(b"no image")
    assert "bad.png" in run(*command, tmp_path / "bad.png", code=2).stderr


def test_marks_are_where_they_belong():
    image = Image.new("RGB", (400, 300))
    picture = np.asarray(draw(image, [Mark(np.array([10.0, 20, 110, 220]), GREEN, "dog")]))
    green = (picture == (0x2E, 0xCC, 0x40)).all(axis=2)
    assert green[100, 10] and green[100, 110] and green[220, 60] and not green[100, 60]
    small = draw(Image.new("RGB", (40, 30)), [])
    assert small.size == (400, 300), "small pictures are enlarged"
    assert beside([("a", small), ("b", small)]).width == 804
    warm = np.asarray(heat(Image.new("RGB", (40, 30)), np.array([[0.0, 1.0]])))
    assert warm[:, 35].mean() > warm[:, 5].mean() + 50


def test_names_of_labels(tiny_config):
    assert len(COCO) == 80 and COCO[1] == "person" and COCO[90] == "toothbrush"
    assert COCO[18] == "dog" and COCO[44] == "bottle"
    assert standard(tiny_config).by_label()[4] == "triangle"
    panoptic = standard(preset("detr_r50_panoptic")).by_label()
    assert len(panoptic) == 133 and panoptic[18] == "dog" and panoptic[149] == "road"


def test_an_address_is_fetched(weights, image, tmp_path):
    """From a server of this test's own; a missing page is told, and nothing is left."""
    served = tmp_path / "served"
    served.mkdir()
    shutil.copy(image, served / "scene.bmp")
    handler = functools.partial(QuietHandler, directory=served)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        options = ["predict", "--framework=torch", *options_of("faster_rcnn", weights)]
        out = tmp_path / "out"
        run(*options, f"--out={out}", f"{address}/scene.bmp?size=full")
        assert (out / "fetched" / "scene.bmp").read_bytes() == image.read_bytes()
        assert (out / "scene.png").exists()
        lost = tmp_path / "lost"
        failed = run(*options, f"--out={lost}", f"{address}/none.bmp", code=2)
        assert "none.bmp: cannot be fetched (HTTP Error 404" in failed.stderr
        assert not lost.exists()
        server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_) -> None:
        pass
