"""Runs over seeds, judged from their logs: made-up logs whose answer is known."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


def write_run(folder: Path, seed: int, ap: float, jitter: np.random.Generator) -> None:
    folder.mkdir(parents=True)
    header = {"header": {"config": {"name": "made up", "seed": seed}, "data": {"train": "x"}}}
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


def run(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "scripts.compare_runs", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


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
