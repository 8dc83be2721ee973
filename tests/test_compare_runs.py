"""Runs over seeds, judged from their logs: made-up logs whose answer is known."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import pytest

from neutral.runlog import RunLog
from parity.engine.judge.verdicts import Status
from parity.suite.runs import judge_tube
from tests import starting


def write_run(folder: Path, seed: int, ap: float, jitter: np.random.Generator) -> None:
    folder.mkdir(parents=True)
    header = {
        "header": {"config": {"name": "made up", "seed": seed}, "data": {"train": {"sha256": "x"}}}
    }
    lines = [header]
    for epoch in range(6):
        noise = jitter.normal(0, 0.001)
        lines.append(
            {
                "epoch": epoch,
                "train_loss": 3 - 0.3 * epoch + noise,
                "test_coco_eval_bbox": [ap * (epoch + 1) / 6 + noise] * 12,
            }
        )
    (folder / "log.txt").write_text("".join(json.dumps(line) + "\n" for line in lines))
    link = {"epoch": 0, "batch": 0, "images": [1], "parts": {}, "chain": str(seed)}
    (folder / "stream.jsonl").write_text(json.dumps(link) + "\n")


@pytest.fixture
def pairs(tmp_path):
    """make(count, gap) writes `count` pairs of runs; Jittor's AP is `gap` lower."""

    def make(count: int, gap: float = 0.0) -> list[Path]:
        generator = np.random.default_rng(3)
        for seed in range(count):
            for framework, ap in (("torch", 0.6), ("jittor", 0.6 - gap)):
                write_run(tmp_path / f"seed{seed}" / framework, seed, ap, generator)
        return [tmp_path / f"seed{seed}" for seed in range(count)]

    return make


run = functools.partial(starting.run, "compare_runs")


def verdicts(result, out: Path) -> dict[tuple[str, str], str]:
    found = json.loads((out / "seeds.json").read_text())["verdicts"]
    return {(v["check"], v["node"]): v["status"] for v in found}


def test_alike(pairs, tmp_path):
    out = tmp_path / "out"
    result = run(*pairs(6), "--out", out)
    assert result.returncode == 0, result.stdout + result.stderr
    found = verdicts(result, out)
    assert found["equivalence over seeds", "AP at the end"] == "PASS"
    assert found["curves over seeds", "train loss"] == "PASS"
    assert (out / "seeds.png").stat().st_size > 10_000


def test_different(pairs, tmp_path):
    result = run(*pairs(6, gap=0.1), "--out", tmp_path / "out")
    assert result.returncode == 1
    found = verdicts(result, tmp_path / "out")
    assert found["equivalence over seeds", "AP at the end"] == "FAIL"
    assert found["curves over seeds", "AP"] == "FAIL"
    assert found["equivalence over seeds", "train loss at the end"] == "PASS"


def test_one_seed_tells_nothing(pairs, tmp_path):
    result = run(*pairs(1), "--out", tmp_path / "out")
    assert result.returncode == 0
    found = verdicts(result, tmp_path / "out")
    assert found["equivalence over seeds", "AP at the end"] == "INCONCLUSIVE"


def test_other_data_is_told(pairs, tmp_path):
    folders = pairs(2)
    link = json.loads((folders[1] / "jittor" / "stream.jsonl").read_text())
    link |= {"chain": "other", "images": [7]}
    (folders[1] / "jittor" / "stream.jsonl").write_text(json.dumps(link) + "\n")
    result = run(*folders, "--out", tmp_path / "out")
    assert result.returncode == 1
    assert "epoch0/batch0" in result.stdout
    log = folders[0] / "jittor" / "log.txt"
    log.write_text(log.read_text().replace('"seed": 0', '"seed": 5'))
    result = run(*folders, "--out", tmp_path / "out")
    assert result.returncode == 2
    assert "differ in their config" in result.stderr


def log_of(losses, path="log.txt") -> RunLog:
    """A log with these training losses and an AP that falls with them."""
    epochs = [
        {"epoch": k, "train_loss": loss, "test_coco_eval_bbox": [1 - loss / 10, 1 - loss / 20]}
        for k, loss in enumerate(losses)
    ]
    return RunLog(path, {}, tuple(epochs))


def test_a_run_is_judged_by_its_tube():
    """Copies are up to 0.1 away from the second epoch on: 0.25 is within three times that, 0.35 is not."""
    own = log_of([5.0, 4.0, 3.0])
    copies = [log_of([5.0, 4.0 + 0.1 * (k % 2), 3.0 - 0.05 * k / 8]) for k in range(8)]
    near, far, early = (log_of(x) for x in ([5, 4.25, 2.8], [5, 4.35, 3.0], [5.2, 4.0, 3.0]))
    found = {v.node: v for v in judge_tube("case", own, near, copies)}
    assert {v.status for v in found.values()} == {Status.PASS}
    assert found["train loss"].measured == pytest.approx(2.5)
    failed = judge_tube("case", own, far, copies)
    assert {v.status for v in failed} == {Status.FAIL}
    assert failed[0].measured == pytest.approx(3.5) and "epoch 1" in failed[0].message
    assert judge_tube("case", own, early, copies)[0].status is Status.FAIL, "no copy moved there"
    few = judge_tube("case", own, near, copies[:7])
    assert {v.status for v in few} == {Status.INCONCLUSIVE}
    assert "7 copies" in few[0].message
