"""Training runs: what they keep, average, restart from and log; and what they leave when something goes wrong."""

from __future__ import annotations

import csv
import json
import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from neutral.config import preset, with_overrides
from neutral.data import open_dataset
from neutral.errors import InputError
from neutral.run import RunOptions, train
from neutral.runlog import append_lines, read_log
from neutral.weights import load_file
from tests import starting
from tests.commands import ROOT, TINY, TINY_RCNN, run
from tests.test_interrupted_runs import follow

torch = pytest.importorskip("torch")


def prepared(tmp_path, *overrides: str, base: list[str] = TINY):
    """Configuration and data sets of a tiny run."""
    texts = [part.removeprefix("--set=") for part in base if part.startswith("--set=")]
    name = base[0].removeprefix("--preset=")
    config = with_overrides(preset(name), [*texts, "optimiser.batch_size=4", *overrides])
    data = {split: open_dataset(config, split, ROOT / "logs/data") for split in ("train", "val")}
    return config, data


def train_torch(folder, config, data, **options):
    from torch_impl.session import Session

    events = []
    train(Session(config), config, data, RunOptions(folder, **options), events.append)
    return events


def test_best_and_last_checkpoints(tmp_path, monkeypatch):
    """The best weights stay what they were when they scored: a copy, not the model's own arrays."""
    config, data = prepared(tmp_path, "optimiser.epochs=4")
    scores = iter([0.1, 0.4, 0.3, 0.2])
    monkeypatch.setitem(__import__("neutral.run").run.SCORES, "AP", lambda record: next(scores))
    train_torch(tmp_path, config, data, keep=2)
    names = sorted(p.name for p in tmp_path.glob("*.safetensors"))
    assert names == [
        "best.safetensors",
        "checkpoint-epoch-0002.safetensors",
        "checkpoint-epoch-0003.safetensors",
        "checkpoint.safetensors",
    ]
    best, metadata = load_file(tmp_path / "best.safetensors")
    assert (metadata["epoch"], metadata["AP"]) == ("1", "0.4")
    last, _ = load_file(tmp_path / "checkpoint.safetensors")
    third, _ = load_file(tmp_path / "checkpoint-epoch-0002.safetensors")
    assert not any(k.startswith("optimiser/") for k in best)
    moved = [k for k in best if not np.array_equal(best[k], third[k])]
    assert len(moved) > len(best) / 2, "later epochs did not move the best weights"
    again, _ = load_file(tmp_path / "checkpoint-epoch-0003.safetensors")
    assert all(np.array_equal(last[k], again[k]) for k in last)


def test_an_epoch_can_begin_from_the_best_weights(tmp_path, monkeypatch):
    config, data = prepared(
        tmp_path, "optimiser.epochs=3", "optimiser.restart_epochs=2", "optimiser.lr=0"
    )
    config = with_overrides(config, ["optimiser.lr_backbone=1e-2"])
    scores = iter([0.4, 0.1, 0.2])
    monkeypatch.setitem(__import__("neutral.run").run.SCORES, "AP", lambda record: next(scores))
    events = train_torch(tmp_path / "a", config, data)
    told = [e["text"] for e in events if e["phase"] == "message"]
    assert told == ["epoch 3 begins from the weights of epoch 1, the best so far"]


def test_the_running_average_is_evaluated_and_resumed(tmp_path):
    config, data = prepared(tmp_path, "optimiser.epochs=2", "optimiser.ema_decay=0.5")
    train_torch(tmp_path / "whole", config, data, best_by="loss")
    arrays, _ = load_file(tmp_path / "whole" / "checkpoint.safetensors")
    averages = {
        k.removeprefix("optimiser/average/"): v
        for k, v in arrays.items()
        if k.startswith("optimiser/average/")
    }
    assert averages and any(not np.array_equal(v, arrays[k]) for k, v in averages.items())
    best, metadata = load_file(tmp_path / "whole" / "best.safetensors")
    if metadata["epoch"] == "1":
        assert all(np.array_equal(best[k], v) for k, v in averages.items())
    first = with_overrides(config, ["optimiser.epochs=1"])
    train_torch(tmp_path / "parts", first, data)
    train_torch(tmp_path / "parts", config, data, resume=True)
    again, _ = load_file(tmp_path / "parts" / "checkpoint.safetensors")
    assert all(np.array_equal(arrays[k], again[k]) for k in arrays)
    logs = [read_log(tmp_path / f / "log.txt").epochs for f in ("whole", "parts")]
    assert logs[0][1]["test_loss"] == logs[1][1]["test_loss"]
    plain, _ = prepared(tmp_path, "optimiser.epochs=2")
    train_torch(tmp_path / "plain", plain, data)
    other = read_log(tmp_path / "plain" / "log.txt").epochs[1]
    assert other["train_loss"] == logs[0][1]["train_loss"], "the average takes no part in training"
    assert other["test_loss"] != logs[0][1]["test_loss"]


def test_logs_in_three_forms(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config, data = prepared(tmp_path, "optimiser.epochs=2", "optimiser.bias_lr_factor=2")
    train_torch(tmp_path, config, data, tensorboard=True, val_images=2, full_evaluation=True)
    log = read_log(tmp_path / "log.txt")
    assert [e["test_images"] for e in log.epochs] == [2, 3], "the last evaluation is of all"
    assert log.epochs[0]["train_lr_bias"] == 2 * log.epochs[0]["train_lr"]
    revision = log.header["revision"]
    assert revision is None or len(revision.rstrip("+")) == 40
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(r["epoch"]) for r in rows] == [0, 1]
    assert float(rows[1]["train_loss"]) == log.epochs[1]["train_loss"]
    assert float(rows[1]["test_AP"]) == log.epochs[1]["test_coco_eval_bbox"][0]
    for part, key in (("train", "train_loss"), ("val", "test_loss")):
        events = EventAccumulator(str(tmp_path / "tensorboard" / part))
        events.Reload()
        found = events.Scalars("loss")
        assert [e.step for e in found] == [2, 4]
        assert found[1].value == pytest.approx(log.epochs[1][key], rel=1e-6)


@pytest.mark.parametrize("framework", ["torch", "jittor"])
@pytest.mark.parametrize("tiny", [TINY, TINY_RCNN], ids=["detr", "faster_rcnn"])
def test_a_loss_that_is_not_finite_names_the_first_bad_node(tiny, framework, tmp_path):
    options = [*tiny, "--set=optimiser.epochs=1", "--set=optimiser.lr=1e18"]
    options += ["--set=optimiser.lr_backbone=1e18", "--set=optimiser.batch_size=2"]
    result = run("train", f"--framework={framework}", *options, f"--out={tmp_path}", code=2)
    message = result.stderr.strip().splitlines()[-1]
    assert "the first bad" in message and "images [" in message, result.stderr
    report = json.loads((tmp_path / "non_finite" / "report.json").read_text())
    assert report["node"]["node"] and report["node"]["nan"] + report["node"]["infinite"] > 0
    batch, _ = load_file(tmp_path / "non_finite" / "batch.safetensors")
    assert np.isfinite(batch["images"]).all() and len(report["images"]) == 2
    weights, _ = load_file(tmp_path / "non_finite" / "weights.safetensors")
    assert all(np.isfinite(v).all() for v in weights.values()), "no step was made with bad numbers"


@pytest.mark.parametrize("framework", ["torch", "jittor"])
def test_mixed_precision_is_pytorchs_alone(framework, tmp_path):
    options = [f"--framework={framework}", *TINY_RCNN, "--set=optimiser.precision=bfloat16"]
    options += ["--set=optimiser.epochs=1", f"--out={tmp_path}"]
    if framework == "jittor":
        assert "no mixed precision" in run("train", *options, code=2).stderr
        return
    run("train", *options)
    plain = [o for o in options if "precision" not in o and "--out" not in o]
    run("train", *plain, f"--out={tmp_path / 'plain'}")
    losses = [read_log(f / "log.txt").epochs[0] for f in (tmp_path, tmp_path / "plain")]
    ours, theirs = (e["train_step_losses"][0] for e in losses)
    assert ours != theirs and ours == pytest.approx(theirs, rel=0.05)


def test_deterministic_mode(tmp_path):
    """On the CPU nothing changes, and what has no deterministic algorithm would be an error."""
    command = ["train", "--framework=torch", *TINY_RCNN, "--set=optimiser.epochs=1"]
    run(*command, "--deterministic", f"--out={tmp_path / 'a'}")
    run(*command, f"--out={tmp_path / 'b'}")
    ours, theirs = (load_file(tmp_path / n / "checkpoint.safetensors")[0] for n in "ab")
    assert all(np.array_equal(ours[k], theirs[k]) for k in ours)


def test_an_image_that_vanishes_costs_nothing(tmp_path):
    """In the middle of an epoch: one error, a checkpoint, and the run goes on once the image is back."""
    scenes = "--set=data.scenes_seed=77"
    options = ["--framework=torch", *TINY, scenes, "--set=optimiser.batch_size=2"]
    options += ["--set=optimiser.epochs=2", "--workers=0"]
    run("train", *options, f"--out={tmp_path / 'whole'}")
    header = read_log(tmp_path / "whole" / "log.txt").header
    config, _ = prepared(tmp_path, "data.scenes_seed=77", "optimiser.batch_size=2")
    dataset = open_dataset(config, "train", ROOT / "logs/data")
    links = (tmp_path / "whole" / "stream.jsonl").read_text().splitlines()
    victim = json.loads(links[2])["images"][1]
    image = next(dataset.path(r) for r in dataset.images if r["id"] == victim)
    hidden = image.with_suffix(".hidden")
    process = starting.start("train", *options, f"--out={tmp_path / 'run'}", "--json-progress")
    try:
        follow(process, 1)
        image.rename(hidden)
        _, errors = process.communicate(timeout=120)
    finally:
        if hidden.exists():
            hidden.rename(image)
    if process.returncode:  # else the run was past it already
        assert process.returncode == 2
        assert image.name in errors and "--resume goes on" in errors
        run("train", *options, f"--out={tmp_path / 'run'}", "--resume")
    ours, theirs = (load_file(tmp_path / n / "checkpoint.safetensors")[0] for n in ("run", "whole"))
    assert all(np.array_equal(ours[k], theirs[k]) for k in ours)
    assert header["data"]["train"]["images"] == 8


def test_an_image_that_vanishes_before_the_evaluation(tmp_path):
    """The epoch that was trained is kept."""
    from torch_impl.session import Session

    config, data = prepared(tmp_path, "optimiser.epochs=1", "data.scenes_seed=78")
    image = data["val"].path(data["val"].images[1])
    hidden = image.with_suffix(".hidden")

    def report(event):
        if event["phase"] == "train" and event["step"] == event["steps"] and image.exists():
            image.rename(hidden)

    try:
        with pytest.raises(InputError, match=f"{image.name}.*--resume goes on"):
            train(Session(config), config, data, RunOptions(tmp_path / "run"), report)
    finally:
        hidden.rename(image)
    train(Session(config), config, data, RunOptions(tmp_path / "run", resume=True), lambda e: None)
    train(Session(config), config, data, RunOptions(tmp_path / "whole"), lambda e: None)
    ours, theirs = (load_file(tmp_path / n / "checkpoint.safetensors")[0] for n in ("run", "whole"))
    assert all(np.array_equal(ours[k], theirs[k]) for k in ours)


def limited(size: int):
    """For subprocess: files cannot grow beyond `size` bytes, as on a disk that is full."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_full_disk_leaves_what_was_there(tmp_path):
    options = ["--framework=torch", *TINY, "--set=optimiser.batch_size=4"]
    run("train", *options, "--set=optimiser.epochs=1", f"--out={tmp_path}")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    command = [sys.executable, "-m", "scripts.train", *options, f"--out={tmp_path}"]
    command += ["--set=optimiser.epochs=2", "--resume"]
    size = len(before["checkpoint.safetensors"]) // 2
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, preexec_fn=limited(size)
    )
    assert result.returncode == 2, result.stderr
    assert "error:" in result.stderr.splitlines()[-1] and "Traceback" not in result.stderr
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before["checkpoint.safetensors"]
    assert not list(tmp_path.glob(".*"))
    run("train", *options, "--set=optimiser.epochs=2", f"--out={tmp_path}", "--resume")
    assert [e["epoch"] for e in read_log(tmp_path / "log.txt").epochs] == [0, 1]


def test_a_line_that_does_not_fit_is_taken_back(tmp_path, monkeypatch):
    path = tmp_path / "log.txt"
    append_lines(path, [{"epoch": 0}])
    before = path.read_bytes()

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        append_lines(path, [{"epoch": 1}])
    assert path.read_bytes() == before


def test_an_output_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    arguments = ["train", "--framework=torch", *TINY, f"--out={tmp_path / 'file' / 'run'}"]
    assert "Traceback" not in run(*arguments, code=2).stderr


def test_changed_numbers_are_named_on_resuming(tmp_path):
    config, data = prepared(tmp_path, "optimiser.epochs=1", "optimiser.lr=2e-4")
    train_torch(tmp_path, config, data)
    changed = with_overrides(config, ["optimiser.lr=3e-3", "transform.val_size=96"])
    with pytest.raises(InputError, match=r"optimiser.lr \(0.0002 then, 0.003 now\)"):
        train_torch(tmp_path, changed, data, resume=True)
