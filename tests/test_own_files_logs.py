"""Logs with gaps, of this project and of others: charts show what is there and say what is not."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest
from PIL import Image

from neutral.errors import InputError
from neutral.plots import compare_runs, compare_steps, gap_notes, with_gaps
from neutral.run_facts import differences, facts
from neutral.runlog import numbers, read_log, write_csv
from neutral.score_charts import class_bars, precision_recall
from scripts import plot

STATS = [0.1 * k for k in range(12)]


def write(path, *epochs, header=None):
    lines = [{"header": header}] if header is not None else []
    lines += [{"epoch": k} | epoch for k, epoch in enumerate(epochs)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return read_log(path)


def whole(**more) -> dict:
    return {"train_loss": 2.0, "test_loss": 1.0, "train_lr": 1e-4} | {
        "test_coco_eval_bbox": STATS,
        **more,
    }


GAPS = {
    "one number": whole(test_coco_eval_bbox=[0.5]),
    "a bare number": whole(test_coco_eval_bbox=0.5),
    "no numbers": whole(test_coco_eval_bbox=[None] * 12),
    "NaN and infinity": whole(test_coco_eval_bbox=[math.nan, math.inf, -math.inf]),
    "no learning rate": whole(train_lr=None),
    "NaN losses": whole(train_loss=math.nan, test_loss=math.inf),
    "nothing": {},
    "no evaluation": {"train_loss": 1.0},
    "no step": whole(train_step_losses=[1.0, None, math.nan]),
    "a number of steps": whole(train_step_losses=3, n_parameters=None),
}


def check_series(log) -> None:
    for key in {key for epoch in log.epochs for key in epoch}:
        epochs, values = log.series(key)
        assert len(epochs) == len(values) and np.isfinite(values).all()
    for index in range(12):
        assert np.isfinite(log.metric(index)[1]).all()
    for epoch in log.epochs:
        json.dumps(numbers(epoch), allow_nan=False)


@pytest.mark.parametrize("kind", GAPS)
def test_series_keep_their_promise(kind, tmp_path):
    check_series(write(tmp_path / "a.txt", GAPS[kind]))
    log = write(tmp_path / "a.txt", whole(), GAPS[kind], whole())
    check_series(log)
    write_csv(log.path, tmp_path / "a.csv")
    facts(log), gap_notes(log, kind)


@pytest.mark.parametrize("kinds", [list(GAPS), ["nothing"], ["a bare number"]], ids=len)
def test_charts_of_what_is_there(kinds, tmp_path, monkeypatch, capsys):
    log = write(tmp_path / "a.txt", *(GAPS[kind] for kind in kinds))
    other = write(tmp_path / "b.txt", whole(), whole(train_step_losses=[1.0, 2.0, 3.0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compare_runs(log, other, ("a", "b"), [tmp_path / "chart.png"], (log, other))
        compare_steps(log, other, ("a", "b"), tmp_path / "steps.png")
    assert Image.open(tmp_path / "chart.png").size[0] > 500


def test_the_script_says_what_is_missing(tmp_path, monkeypatch, capsys):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.txt", whole(), GAPS["one number"])
    arguments = ["plot", str(tmp_path / "a.txt"), str(tmp_path / "b.txt")]
    monkeypatch.setattr("sys.argv", [*arguments, "--out", str(tmp_path / "chart.png")])
    plot.main()
    assert "Jittor: no AP50 in epoch 1" in capsys.readouterr().out


def test_a_gap_is_a_gap_and_is_said(tmp_path):
    log = write(tmp_path / "a.txt", whole(), GAPS["NaN losses"], whole(), {"train_loss": 4.0})
    assert log.gaps["train_loss"] == [1] and log.gaps["test_loss"] == [1]
    epochs, values = with_gaps(*log.series("train_loss"), log.gaps["train_loss"])
    assert epochs.tolist() == [0, 1, 2, 3] and np.isnan(values).tolist() == [0, 1, 0, 0]
    assert gap_notes(log, "PyTorch") == [
        "PyTorch: no train_loss in epoch 1",
        "PyTorch: no test_loss in epoch 1",
        "PyTorch: no train_lr in epoch 3",
    ]
    # not evaluated is no gap; evaluated without a number is one
    log = write(tmp_path / "a.txt", {"train_loss": 1.0}, whole(test_coco_eval_bbox=[0.5]))
    assert gap_notes(log, "x") == [
        "x: no train_lr in epoch 0",
        "x: no AP50 in epoch 1",
        "x: no AP75 in epoch 1",
    ]
    assert gap_notes(write(tmp_path / "a.txt", whole(), whole()), "x") == []


def test_headers_that_say_little(tmp_path):
    headers = ({"config": {}}, {"data": {}}, {})
    for header in headers:
        log = write(tmp_path / "a.txt", whole(), header=header)
        assert facts(log)["epochs"] == "1" and differences(log, log) == []
    with pytest.raises(InputError, match=r"a\.txt, line 1: epoch: expected an integer"):
        write(tmp_path / "a.txt", {"epoch": None})


def test_classes_and_curves_without_numbers(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # "Mean of empty slice"
        runs = [("a", {"cup": None, "pen": 0.5}), ("a", {"cup": None, "pen": None})]
        class_bars(runs, "two of one name", [tmp_path / "classes.png"])
        curves = {"recall": [0.0, 1.0], "AP": [None, None]}
        precision_recall([("a", curves)], "nothing", [tmp_path / "curves.png"])
        with pytest.raises(InputError, match="no class has a score"):
            class_bars([("a", {"cup": None})], "none", [tmp_path / "classes.png"])
        class_bars([("a", {"猫": 0.5, "犬": 0.4, "a$b$": 1})], "", [tmp_path / "c.png"])
