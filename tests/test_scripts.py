"""The command lines as a user runs them: in processes of their own, on small scenes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from neutral.evaluation import METRICS
from neutral.runlog import read_log
from neutral.weights import load_file, save_weights
from tests.commands import TINY, TINY_RCNN, run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Four epochs of PyTorch in one go."""
    folder = tmp_path_factory.mktemp("run")
    run("train", "--framework=torch", *TINY, "--set=optimiser.epochs=4", f"--out={folder}")
    return folder


def test_train_leaves_a_log_and_a_checkpoint(trained):
    log = read_log(trained / "log.txt")
    assert [e["epoch"] for e in log.epochs] == [0, 1, 2, 3]
    assert log.header["data"]["train"]["images"] == 8
    assert len(log.header["data"]["val"]["sha256"]) == 64
    assert log.header["environment"]["framework"] == "torch"
    assert log.header["config"]["seed"] == 42
    last = log.epochs[-1]
    assert len(last["test_coco_eval_bbox"]) == len(METRICS)
    assert last["n_parameters"] > 1000
    for key in (
        "train_loss",
        "train_loss_ce_0",
        "train_loss_giou_unscaled",
        "test_class_error",
        "train_lr",
    ):
        assert np.isfinite(last[key]), key
    weights, metadata = load_file(trained / "checkpoint.safetensors")
    assert metadata["epoch"] == "4"
    assert any(k.startswith("optimiser/first/") for k in weights)


def test_resume_continues_bit_for_bit(trained, tmp_path):
    run("train", "--framework=torch", *TINY, "--set=optimiser.epochs=2", f"--out={tmp_path}")
    run(
        "train",
        "--framework=torch",
        *TINY,
        "--set=optimiser.epochs=4",
        f"--out={tmp_path}",
        "--resume",
    )
    whole, _ = load_file(trained / "checkpoint.safetensors")
    parts, _ = load_file(tmp_path / "checkpoint.safetensors")
    assert all(np.array_equal(whole[k], parts[k]) for k in whole)
    losses = [
        [e["train_loss"] for e in read_log(f / "log.txt").epochs] for f in (trained, tmp_path)
    ]
    assert losses[0] == losses[1]
    streams = [(f / "stream.jsonl").read_text() for f in (trained, tmp_path)]
    assert streams[0] == streams[1], "the chain of data goes on where it was"
    assert len(streams[0].splitlines()) == 4 * len(
        read_log(trained / "log.txt").epochs[0]["train_step_losses"]
    )


def test_faster_rcnn_resumes_bit_for_bit_and_evaluates(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    command = ["train", "--framework=torch", *TINY_RCNN]
    run(*command, "--set=optimiser.epochs=2", f"--out={whole}")
    run(*command, "--set=optimiser.epochs=1", f"--out={parts}")
    run(*command, "--set=optimiser.epochs=2", f"--out={parts}", "--resume")
    weights = [load_file(f / "checkpoint.safetensors")[0] for f in (whole, parts)]
    assert any(k.startswith("optimiser/momentum/") for k in weights[0])
    assert all(np.array_equal(weights[0][k], weights[1][k]) for k in weights[0])
    last = read_log(whole / "log.txt").epochs[-1]
    losses = ("loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg")
    assert np.isclose(sum(last[f"train_{name}"] for name in losses), last["train_loss"])
    checkpoint = whole / "checkpoint.safetensors"
    result = run("evaluate", "--framework=torch", *TINY_RCNN, f"--weights={checkpoint}")
    assert f"{last['test_loss']:.4f}" in result.stdout


def test_a_run_is_never_overwritten_nor_resumed_with_other_numbers(trained):
    before = (trained / "log.txt").read_bytes()
    result = run("train", "--framework=torch", *TINY, f"--out={trained}", code=2)
    assert "--resume" in result.stderr
    changed = [*TINY, "--set=optimiser.lr=1e-5", f"--out={trained}", "--resume"]
    result = run("train", "--framework=torch", *changed, code=2)
    assert "optimiser.lr" in result.stderr
    assert (trained / "log.txt").read_bytes() == before


def test_evaluate_repeats_the_logged_ap(trained, tmp_path):
    out = tmp_path / "detections.json"
    checkpoint = trained / "checkpoint.safetensors"
    command = ["evaluate", "--framework=torch", *TINY, f"--weights={checkpoint}", f"--out={out}"]
    result = run(*command, "--metric=voc07", "--metric=trzy")
    assert "AP (voc07)" in result.stdout
    assert "AP (trzy)" in result.stdout
    logged = read_log(trained / "log.txt").epochs[-1]
    assert f"{logged['test_loss']:.4f}" in result.stdout
    assert "AP50" in result.stdout
    records = json.loads(out.read_text())
    assert {r["image_id"] for r in records} == {1, 2, 3}
    assert {r["category_id"] for r in records} <= {-1, *range(8)}


@pytest.mark.parametrize("tiny", [TINY, TINY_RCNN], ids=["detr", "faster_rcnn"])
def test_train_pair_trains_both_and_charts_them(tiny, tmp_path):
    result = run("train_pair", *tiny, "--set=optimiser.epochs=1", f"--out={tmp_path}")
    for name in ("curves.png", "curves.svg", "steps.png", "torch/log.txt", "jittor/log.txt"):
        assert (tmp_path / name).stat().st_size > 0
    assert "none (configuration, seed and data are the same)" in result.stdout
    page = (tmp_path / "summary.html").read_text()
    assert page.count('<div class="pair"><img') == 3, "each validation image, as both sides see it"
    assert "/ data streams / 2 batches" in result.stdout
    first, second = (
        read_log(tmp_path / side / "log.txt").epochs[0] for side in ("torch", "jittor")
    )
    steps = np.array([first["train_step_losses"], second["train_step_losses"]])
    assert steps.shape == (2, 2)
    assert abs(steps[0, 0] / steps[1, 0] - 1) < 1e-5, (
        "the same weights, batch, dropout masks and samples"
    )


def damaged(tmp_path, trained, kind: str) -> Path:
    weights, _ = load_file(trained / "checkpoint.safetensors")
    weights = {k: v for k, v in weights.items() if not k.startswith("optimiser/")}
    path = tmp_path / "weights.safetensors"
    if kind == "missing":
        weights.pop("class_embed.bias")
    elif kind == "extra":
        weights["class_embed.scale"] = np.zeros(1, np.float32)
    elif kind == "shape":
        weights["class_embed.bias"] = np.zeros(3, np.float32)
    save_weights(path, weights)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:1000])
    return path


@pytest.mark.parametrize("framework", ["torch", "jittor"])
@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("truncated", "weights.safetensors"),
        ("missing", "class_embed.bias"),
        ("extra", "class_embed.scale"),
        ("shape", "(3,)"),
    ],
)
def test_damaged_weights_are_one_clear_error(framework, kind, named, trained, tmp_path):
    path = damaged(tmp_path, trained, kind)
    result = run("evaluate", f"--framework={framework}", *TINY, f"--weights={path}", code=2)
    assert named in result.stderr.strip().splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_doctor_finds_this_machine_able():
    assert "both frameworks can run" in run("doctor").stdout


def test_train_pair_over_seeds_with_a_tube(tmp_path):
    options = [*TINY, "--set=optimiser.epochs=2", "--seeds=0,1", "--tube=1", f"--out={tmp_path}"]
    options.append("--pictures=0")
    result = run("train_pair", *options)
    for seed in ("seed0", "seed1"):
        for name in ("curves.png", "steps.png", "tube/1/log.txt", "torch/log.csv"):
            assert (tmp_path / seed / name).exists(), name
        copy, own = (read_log(tmp_path / seed / f / "log.txt") for f in ("tube/1", "torch"))
        first = [log.epochs[0]["train_step_losses"][0] for log in (copy, own)]
        assert abs(first[0] / first[1] - 1) < 1e-4, "one unit in the last place away"
        assert copy.header["weights"] == {"source": "initial values", "perturbed": 1}
    assert "1 copies; 8 make a tube" in result.stdout
    assert "equivalence over seeds" in result.stdout
    page = (tmp_path / "summary.html").read_text()
    assert page.count("data:image/png;base64,") >= 5 and "seeds.png" not in page
    for words in ("2 seeds", "seed 1", "images / s", "INCONCLUSIVE", "data streams"):
        assert words in page, words
    assert (tmp_path / "seeds.png").stat().st_size > 0
    assert (
        "each seed once"
        in run("train_pair", *TINY, "--seeds=1,1", f"--out={tmp_path}", code=2).stderr
    )


def test_evaluate_writes_curves_that_plot_draws(trained, tmp_path):
    checkpoint = trained / "checkpoint.safetensors"
    found, curves = tmp_path / "found.json", tmp_path / "curves.json"
    command = ["evaluate", *TINY]
    files = [f"--out={found}", f"--curves={curves}"]
    first = run(*command, "--framework=torch", f"--weights={checkpoint}", *files).stdout
    again = run(*command, f"--detections={found}").stdout  # no framework: the saved detections
    rows = [w for w in first.split() if w.replace(".", "").isdigit()][:12]
    assert (
        len(rows) == 12 and rows == [w for w in again.split() if w.replace(".", "").isdigit()][:12]
    )
    assert "--framework and --weights, or --detections" in run(*command, code=2).stderr
    for kind, name in (("--precision-recall", "pr.png"), ("--classes", "bars.svg")):
        out = tmp_path / name
        if kind == "--classes" and not any(json.loads(curves.read_text())["per_class"].values()):
            continue
        run("plot", curves, curves, kind, "--labels", "a", "b", f"--out={out}")
        assert out.stat().st_size > 0
    log = trained / "log.txt"
    assert "scripts.evaluate --curves" in run("plot", log, "--precision-recall", code=2).stderr
    assert "two logs" in run("plot", log, log, log, code=2).stderr


def test_plot_takes_the_published_ports_files(shared, tmp_path):
    logs = shared / "detr_logs"
    files = [logs / "eval_summary_torch.txt", logs / "eval_summary_jittor.txt"]
    result = run("plot", *files, f"--out={tmp_path / 'summary.png'}")
    assert (tmp_path / "summary.png").stat().st_size > 10_000
    assert len(read_log(files[0]).epochs) > 20
    assert read_log(files[0]).metric(1)[1].max() > 0
    run("plot", files[0], logs / "log_jittor.txt", f"--out={tmp_path / 'mixed.svg'}")
    assert result.stdout


@pytest.mark.parametrize("framework", ["torch", "jittor"])
def test_memory_is_told_by_module(framework, tmp_path):
    """Every module entered is left again; what is in use is more than nothing, and no run is begun."""
    told = run("train", f"--framework={framework}", *TINY, "--profile-memory", f"--out={tmp_path}")
    found = json.loads((tmp_path / "memory.json").read_text())
    assert found["device"] == "cpu"
    events = found["events"]
    assert [what for _, what, _ in events].count("entered") == len(events) // 2 - 1
    assert events[0][:2] == ["(model)", "entered"]
    assert [module for module, _, _ in events[-2:]] == ["(losses)", "(backward)"]
    assert all(50 < mib < 1e5 for _, _, mib in events)
    assert "backbone" in told.stdout
    assert not (tmp_path / "log.txt").exists()
