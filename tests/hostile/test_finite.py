"""What is not finite is not valid: weights and detections that are not are refused, JSON that is written has none."""

from __future__ import annotations

import json

import numpy as np
import pytest

from door.files import write_json
from door.jsontext import dumps
from neutral.config import preset, with_overrides
from neutral.errors import NonFinite
from neutral.evaluation import evaluate
from neutral.runlog import append_lines, read_log
from neutral.weights import initial_weights, load_weights, save_weights
from neutral.weights.layout import canonical_shapes
from parity.engine.judge.verdicts import Status, Verdict
from parity.report.report import Report
from tests.commands import TINY
from tests.hostile.asking import exit_of, refused

NAN, INFINITY = float("nan"), float("inf")


def strict(text: str):
    """Parsed as everybody else's readers do."""

    def never(word):
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=never)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (NAN, None),
        ([1.0, INFINITY, {"a": -INFINITY}], [1.0, None, {"a": None}]),
        ({"a": (NAN, 2)}, {"a": [None, 2]}),
        ({NAN: 1}, {"nan": 1}),
        ({"a": [1, 2.5, "NaN", None, True]}, {"a": [1, 2.5, "NaN", None, True]}),
        (np.float64("nan"), None),
    ],
)
def test_json(value, written, tmp_path):
    assert strict(dumps(value)) == written
    write_json(tmp_path / "a.json", value)
    assert strict((tmp_path / "a.json").read_text()) == written


def test_logs_and_reports(tmp_path):
    append_lines(tmp_path / "log.txt", [{"epoch": 0, "train_loss": NAN, "test_loss": 1.5}])
    assert strict((tmp_path / "log.txt").read_text())["train_loss"] is None
    log = read_log(tmp_path / "log.txt")
    assert len(log.series("train_loss")[0]) == 0 and log.series("test_loss")[1].tolist() == [1.5]
    report = Report(tmp_path)
    report.add([Verdict("a", "float64 forward", "n", Status.FAIL, INFINITY, 1.0, "m")])
    page, html = report.write()
    assert strict(page.read_text())["verdicts"][0]["measured"] is None
    data = html.read_text().partition('id="data">')[2].partition("</script>")[0]
    assert strict(data)["cases"]


@pytest.fixture(scope="module")
def config():
    settings = [part.removeprefix("--set=") for part in TINY if part.startswith("--set=")]
    return with_overrides(preset("scenes_detr"), settings)


def damaged(config, path, value: float):
    """Weights of which one number is `value`; the name of its tensor."""
    weights = initial_weights(canonical_shapes(config), config)
    name = "transformer.decoder.layers.0.linear1.weight"
    weights[name].flat[3] = value
    save_weights(path, weights)
    return name


@pytest.mark.parametrize("value", [NAN, INFINITY, -INFINITY])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pkl"])
def test_weights(config, tmp_path, value, suffix):
    path = tmp_path / f"a{suffix}"
    name = damaged(config, path, value)
    counts = "1 NaN and 0 infinite" if np.isnan(value) else "0 NaN and 1 infinite"
    with pytest.raises(NonFinite, match=f"a{suffix}: {name} holds {counts}"):
        load_weights(path, config)


def test_commands_name_the_tensor(config, tmp_path, monkeypatch):
    path, picture = tmp_path / "a.safetensors", tmp_path / "a.png"
    name = damaged(config, path, NAN)
    from PIL import Image

    Image.new("RGB", (64, 48)).save(picture)
    given = ("--framework", "torch", "--preset", "scenes_detr", *TINY, "--weights", path)
    out = tmp_path / "out"
    assert name in refused(monkeypatch, "predict", *given, picture, "--out", out)
    assert not list(out.glob("*.json"))
    assert name in refused(monkeypatch, "train", *given, "--out", tmp_path / "run")
    code, errors, _ = exit_of("evaluate", *given, "--out", tmp_path / "found.json")
    assert code == 2 and name in errors[-1] and not (tmp_path / "found.json").exists()
    assert not any("Traceback" in line for line in errors)


def test_finite_weights_whose_results_are_not(config, tmp_path, monkeypatch):
    """The first tensor on the way that is not finite is named, in place of a loss of NaN and an AP of 0."""
    weights = initial_weights(canonical_shapes(config), config)
    for name in ("class_embed.weight", "class_embed.bias"):
        weights[name][:] = 3e38
    path = tmp_path / "a.safetensors"
    save_weights(path, weights)
    given = ("--framework", "torch", "--preset", "scenes_detr", *TINY, "--weights", path)
    line = refused(monkeypatch, "evaluate", *given)
    assert line.startswith("image 1: ") and "class_embed is the first with" in line
    from PIL import Image

    picture = tmp_path / "a.png"
    Image.new("RGB", (64, 48)).save(picture)
    line = refused(monkeypatch, "predict", *given, picture, "--out", tmp_path / "out")
    assert "a.png" in line and "class_embed" in line
    assert not (tmp_path / "out" / "detections.json").exists()


def test_detections_are_not_judged(coco_folder):
    from neutral.data.coco import CocoDataset

    dataset = CocoDataset.open(coco_folder(), "val", 91)
    found = {
        "scores": np.array([NAN]),
        "labels": np.array([1]),
        "boxes": np.array([[0.0, 0, 5, 5]]),
    }
    with pytest.raises(NonFinite, match="image 1"):
        evaluate(dataset, {1: found})
