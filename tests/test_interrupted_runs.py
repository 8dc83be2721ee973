"""Runs that are ended from outside, politely and not, go on where they were, bit for bit."""

from __future__ import annotations

import functools
import json
import signal
import subprocess

import numpy as np
import pytest

from neutral.runlog import read_log
from neutral.weights import load_file
from tests import starting
from tests.commands import TINY, run

EPOCHS, STEPS = 3, 8
OPTIONS = [
    *TINY,
    "--set=data.scenes.train_images=16",
    "--set=optimiser.batch_size=2",
    "--set=optimiser.accumulate=2",
    f"--set=optimiser.epochs={EPOCHS}",
]


def options_of(framework: str, folder) -> list[str]:
    return [f"--framework={framework}", *OPTIONS, f"--out={folder}"]


def start(framework: str, folder, *more: str) -> subprocess.Popen:
    return starting.start("train", *options_of(framework, folder), *more, "--json-progress")


def follow(process: subprocess.Popen, events: int) -> dict:
    """Reads that many events; returns the last, or {} when the run ended before."""
    event = {}
    for _ in range(events):
        line = process.stdout.readline()
        if not line:
            return {}
        event = json.loads(line)
    return event


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """whole(framework): a run that nobody interrupted."""

    @functools.cache
    def train(framework: str):
        folder = tmp_path_factory.mktemp("whole")
        run("train", *options_of(framework, folder))
        return folder

    return train


def check_same(folder, whole) -> None:
    """Checkpoint, losses and data of a run are those of the one that was never interrupted, bit for bit."""
    (ours, _), (theirs, _) = (load_file(f / "checkpoint.safetensors") for f in (folder, whole))
    assert set(ours) == set(theirs)
    assert [name for name, values in ours.items() if not np.array_equal(values, theirs[name])] == []
    logs = [read_log(f / "log.txt").epochs for f in (folder, whole)]
    assert [e["epoch"] for e in logs[0]] == list(range(EPOCHS)), "every epoch once"
    for mine, its in zip(*logs, strict=True):
        for key in ("train_loss", "train_step_losses", "test_loss"):
            assert mine[key] == its[key], key
    streams = [(f / "stream.jsonl").read_text() for f in (folder, whole)]
    assert streams[0] == streams[1]
    assert len(streams[0].splitlines()) == EPOCHS * STEPS


@pytest.mark.parametrize(
    ("framework", "events"),
    [("torch", 3), ("torch", STEPS + 1), ("jittor", 3)],
    ids=["torch in an epoch", "torch in an evaluation", "jittor in an epoch"],
)
def test_sigterm_writes_a_checkpoint_in_the_middle(whole, tmp_path, framework, events):
    process = start(framework, tmp_path)
    event = follow(process, events)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM, errors
    assert "--resume goes on" in errors
    place = json.loads(load_file(tmp_path / "checkpoint.safetensors")[1]["place"])
    assert place["epoch"] == 0
    done = event["step"] if event["phase"] == "train" else STEPS
    assert len(place["losses"]) >= done
    assert len(place["losses"]) % 2 == 0, "never within a step of the optimiser"
    run("train", *options_of(framework, tmp_path), "--resume")
    check_same(tmp_path, whole(framework))


def test_killed_again_and_again(whole, tmp_path):
    """With -9, at moments that a seeded generator chooses; what is on the disk is whole every time."""
    generator = np.random.default_rng(5)
    kills = 0
    for _ in range(12):
        resume = ["--resume"] if (tmp_path / "log.txt").exists() else []
        process = start("torch", tmp_path, *resume)
        follow(process, int(generator.integers(1, 2 * STEPS)))
        try:  # then anywhere: in a step, in writing the log, in writing a checkpoint
            process.wait(timeout=float(generator.uniform(0, 0.1)))
        except subprocess.TimeoutExpired:
            process.kill()
            kills += 1
        process.communicate(timeout=120)
        if (tmp_path / "checkpoint.safetensors").exists():
            load_file(tmp_path / "checkpoint.safetensors")
        if process.returncode == 0:
            break
    run("train", *options_of("torch", tmp_path), "--resume")
    assert kills >= 3
    check_same(tmp_path, whole("torch"))
    assert not list(tmp_path.glob(".*")), "what a killed run was writing is cleared away"


def test_resuming_nothing_is_an_error(tmp_path):
    result = run("train", *options_of("torch", tmp_path), "--resume", code=2)
    assert "no run to resume" in result.stderr
