from __future__ import annotations

import json

import pytest
from PIL import Image

from neutral.config import DetrConfig
from neutral.errors import InputError
from neutral.plots import compare_runs, compare_steps
from neutral.run_facts import differences, mean_objects
from neutral.runlog import append_line, mean_losses, read_log


def epoch(number: int, loss: float, **more) -> dict:
    return {"epoch": number, "train_loss": loss, "test_coco_eval_bbox": [0.1] * 12, **more}


def write(path, *records):
    for record in records:
        append_line(path, record)
    return read_log(path)


def test_log_round_trip(tmp_path):
    log = write(
        tmp_path / "log.txt", {"header": {"config": {"seed": 1}}}, epoch(0, 2.0), epoch(1, 1.0)
    )
    assert log.header["config"]["seed"] == 1
    assert log.series("train_loss")[1].tolist() == [2.0, 1.0]
    assert log.metric(1)[0].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", "no epochs"),
        ("{broken\n", "line 1: not JSON"),
        ("[1]\n", "line 1: not a JSON object"),
        ('{"a": 1}\n', "line 1"),
    ],
)
def test_bad_logs_are_named(tmp_path, content, named):
    path = tmp_path / "log.txt"
    path.write_text(content)
    with pytest.raises(InputError, match=rf"log\.txt.*{named}"):
        read_log(path)
    with pytest.raises(InputError, match="no such log"):
        read_log(tmp_path / "absent.txt")


def test_losses_carry_the_references_names():
    steps = [
        {
            "loss": 3.0,
            "loss_ce": 1.0,
            "loss_bbox_1": 0.2,
            "class_error": 50.0,
            "cardinality_error": 4.0,
        }
    ]
    record = mean_losses(steps, "train", DetrConfig().loss_weights())
    assert record["train_loss"] == 3.0
    assert record["train_loss_bbox_1"] == pytest.approx(1.0)  # weight 5
    assert record["train_loss_bbox_1_unscaled"] == pytest.approx(0.2)
    assert record["train_class_error"] == record["train_class_error_unscaled"] == 50.0
    assert record["train_cardinality_error_unscaled"] == 4.0


def test_other_projects_logs(shared, tmp_path):
    """The published port's own logs: what differs is in the logs, and must be said."""
    logs = [read_log(shared / "detr_logs" / f"log_{side}.txt") for side in ("torch", "jittor")]
    assert mean_objects(logs[0]) == pytest.approx(7.489)
    assert mean_objects(logs[1]) == pytest.approx(7.583)
    noted = compare_runs(
        *logs, ("PyTorch", "Jittor"), [tmp_path / "chart.png", tmp_path / "chart.svg"]
    )
    text = "\n".join(noted)
    for fact in (
        "learning rate: 0.0001 / 2.5e-05",
        "epochs: 31 / 120",
        "7.489 / 7.583",
        "41,302,368 / 41,352,544",
    ):
        assert fact in text
    assert Image.open(tmp_path / "chart.png").size[0] > 1000
    assert "2.5e-05" in (tmp_path / "chart.svg").read_text()


def test_equal_runs_have_no_differences(tmp_path):
    header = {
        "header": {"config": {"seed": 1, "name": "x"}, "data": {"val": {"mean_objects": 2.5}}}
    }
    first = write(tmp_path / "a.txt", header, epoch(0, 1.0, train_step_losses=[1.0, 2.0]))
    second = write(tmp_path / "b.txt", header, epoch(0, 1.0, train_step_losses=[1.0, 2.2]))
    assert differences(first, second) == []
    assert mean_objects(first) == 2.5
    gap = compare_steps(first, second, ("a", "b"), tmp_path / "steps.png")
    assert gap == pytest.approx(0.1)
    with pytest.raises(InputError, match=r"chart\.bmp"):
        compare_runs(first, second, ("a", "b"), [tmp_path / "chart.bmp"])


def test_lines_are_whole(tmp_path):
    append_line(tmp_path / "log.txt", {"epoch": 0})
    assert json.loads((tmp_path / "log.txt").read_text()) == {"epoch": 0}
