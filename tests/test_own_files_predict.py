"""From training on own classes to pictures with their names: checkpoints, predict, evaluate, plot."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from neutral.config import preset, with_overrides
from neutral.data import open_dataset
from neutral.errors import InputError
from neutral.run import RunOptions, train
from neutral.weights import load_file, save_weights
from scripts import evaluate, predict
from scripts.common import ProgressReport, make_progress
from tests.test_own_files_categories import own_classes

SETTINGS = (
    *("model.backbone.width=8", "model.transformer.hidden_dim=16", "model.num_queries=6"),
    *("model.transformer.feedforward_dim=16", "model.transformer.encoder_layers=1"),
    *("model.transformer.decoder_layers=1", "model.num_classes=4", "optimiser.batch_size=2"),
    *("optimiser.epochs=1", "data.kind=coco"),
)
OPTIONS = [part for text in SETTINGS for part in ("--set", text)]


@pytest.fixture
def trained(coco_folder, tmp_path, capsys):
    """The folder of a run on classes cup and pen, and of its data."""
    from torch_impl.session import Session

    root = coco_folder(own_classes)
    config = with_overrides(preset("scenes_detr"), [*SETTINGS, f"data.root={root}"])
    datasets = {split: open_dataset(config, split) for split in ("train", "val")}
    told = []
    train(Session(config), config, datasets, RunOptions(tmp_path / "run"), told.append)
    return tmp_path / "run", root, config, datasets, told


def run(command, monkeypatch, *arguments) -> None:
    name = command.__name__.rpartition(".")[2]
    options = ["--framework=torch", "--preset=scenes_detr", *OPTIONS, *map(str, arguments)]
    monkeypatch.setattr("sys.argv", [name, *options])
    command.main()


def names_in(folder) -> dict:
    records = json.loads((folder / "detections.json").read_text())
    return {(r["category_id"], r["name"]) for r in records}


def test_a_checkpoint_knows_its_classes(trained, tmp_path, monkeypatch, capsys):
    """`predict IMAGE`, with --data and without, has the names that `--split val` has; so has `best`, and evaluate."""
    folder, root, *_ = trained
    out, photo = tmp_path / "out", root / "val2017" / "1.png"
    checkpoint, best = folder / "checkpoint.safetensors", folder / "best.safetensors"
    for name, more in (
        ("split", ["--split", "val", "--data", root]),
        ("image", [photo]),
        ("data", [photo, "--data", root]),
    ):
        run(predict, monkeypatch, "--weights", checkpoint, "--out", out / name, *more)
    wanted = {(1, "cup"), (3, "pen"), (0, "0"), (2, "2")}
    assert names_in(out / "split") == names_in(out / "image") == names_in(out / "data")
    assert names_in(out / "image") <= wanted and names_in(out / "image") & {(1, "cup"), (3, "pen")}
    run(predict, monkeypatch, "--weights", best, "--out", out / "best", photo)
    assert names_in(out / "best") <= wanted
    run(evaluate, monkeypatch, "--weights", checkpoint, "--data", root)
    assert "cup" in capsys.readouterr().out
    # another set: another name for the same id
    for file in (root / "annotations").glob("*.json"):
        content = json.loads(file.read_text())
        content["categories"][1]["name"] = "fork"
        file.write_text(json.dumps(content))
    told = r"category 3 as 'fork', .*checkpoint\.safetensors as 'pen'"
    for command, more in (
        (evaluate, []),
        (predict, ["--out", out / "other", photo]),
        (predict, ["--out", out / "other", "--split", "val"]),
    ):
        with pytest.raises(InputError, match=told):
            run(command, monkeypatch, "--weights", checkpoint, "--data", root, *more)
    assert not (out / "other").exists()


def test_weights_of_others_take_their_names_from_the_data(trained, tmp_path, monkeypatch):
    folder, root, *_ = trained
    save_weights(tmp_path / "plain.safetensors", load_file(folder / "best.safetensors")[0])
    photo, out = root / "val2017" / "1.png", tmp_path / "out"
    options = ["--weights", tmp_path / "plain.safetensors"]
    run(predict, monkeypatch, *options, "--out", out / "data", "--data", root, photo)
    assert names_in(out / "data") & {(1, "cup"), (3, "pen")}
    # nobody knows: numbers, and never the names of another data set with other classes
    run(predict, monkeypatch, *options, "--out", out / "none", photo)
    assert names_in(out / "none") <= {(k, str(k)) for k in range(4)}


def test_a_head_that_goes_on_with_other_classes_is_said(trained, tmp_path, monkeypatch):
    from torch_impl.session import Session

    folder, root, config, datasets, _ = trained
    for file in (root / "annotations").glob("*.json"):
        text = file.read_text().replace('"cup"', '"lid"')
        file.write_text(text)
    datasets = {split: open_dataset(config, split) for split in ("train", "val")}
    told = []
    options = RunOptions(tmp_path / "next", weights=folder / "best.safetensors")
    train(Session(config), config, datasets, options, told.append)
    text = "best.safetensors: its class head, trained on cup, pen, goes on with lid, pen"
    assert {"phase": "message", "text": text} in told
    # a run that has what it is asked for already says that it does nothing
    told.clear()
    again = RunOptions(tmp_path / "next", resume=True)
    train(Session(config), config, datasets, again, told.append)
    assert len(told) == 1 and "has 1 epochs already, optimiser.epochs=1" in told[0]["text"]


def test_pictures_are_seen_upright_and_unusable_ones_named(trained, tmp_path, monkeypatch, capsys):
    folder = trained[0]
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    noise = np.random.default_rng(0).integers(0, 255, (30, 60, 3), np.uint8)
    Image.fromarray(noise).save(photos / "turned.jpg", exif=exif)
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    Image.fromarray(noise).save(photos / "wide.png")
    shutil.copy(photos / "wide.png", photos / ".hidden.png")
    options = ["--weights", folder / "best.safetensors", "--out", out, "--max-pixels", 1800]
    with pytest.raises(InputError, match=r"broken\.jpg"):
        run(predict, monkeypatch, *options, photos)
    assert "in 2 images" in capsys.readouterr().out, "the others are not lost"
    seen = {json.dumps(r["file_name"]) for r in json.loads((out / "detections.json").read_text())}
    assert len(seen) == 2
    turned = Image.open(out / "turned.png").size
    assert turned[0] < turned[1]
    with pytest.raises(InputError, match="--max-pixels 1800"):
        run(predict, monkeypatch, *options[:-1], 1799, photos / "wide.png")


def test_the_console_has_a_dash_where_nothing_can_be_told(capsys):
    with make_progress() as progress:
        report = ProgressReport(progress, "torch")
        record = {"test_coco_eval_bbox": [None, 0.5], "images_per_second": 1, "train_loss": 2}
        report({"phase": "epoch", "epoch": 0, "epochs": 1, "record": record})
    assert "AP -, AP50 0.500" in capsys.readouterr().err
