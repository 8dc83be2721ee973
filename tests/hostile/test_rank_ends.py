"""Several ranks: told to stop, killed, gone on with."""

from __future__ import annotations

import os
import signal

import pytest

from neutral.weights import load_file
from tests.commands import TINY, run
from tests.hostile import small
from tests.hostile.small import alive, descendants
from tests.hostile.test_signals import child_with
from tests.test_ranks import needs_mpi

SMALL = (*TINY, "--set=optimiser.batch_size=2")
WITH_MPI = pytest.param("jittor", marks=[needs_mpi, pytest.mark.hostile])


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.hostile)]
)
@pytest.mark.parametrize("framework", ["torch", WITH_MPI])
def test_several_ranks_end_in_silence(tmp_path, framework, number):
    """Ctrl-C reaches all of them: one line, a checkpoint, no broken pipes, nobody left."""
    process = small.start(
        "train",
        *(f"--framework={framework}", *SMALL, "--ranks=2"),
        *("--set=optimiser.epochs=1000", f"--out={tmp_path}", "--json-progress"),
        start_new_session=True,
    )
    while '"train"' not in process.stdout.readline():
        assert process.poll() is None, process.stderr.read()
    family = descendants(process.pid)
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=120)
    lines = [line for line in errors.splitlines() if line.strip()]
    assert process.returncode == 128 + number
    assert len(lines) == 1 and f"stopped by {number.name}: --resume goes on" in lines[0], errors
    assert family and not any(map(alive, family))
    load_file(tmp_path / "checkpoint.safetensors")


@pytest.mark.hostile
@pytest.mark.parametrize("framework", ["torch", WITH_MPI])
def test_ranks_that_were_stopped_go_on_bit_for_bit(tmp_path, framework):
    """In the middle of an epoch; shares, draws, chain and weights are those of a run that nobody stopped."""
    options = (f"--framework={framework}", *SMALL, "--set=data.scenes.train_images=24", "--ranks=2")
    options += ("--set=optimiser.epochs=2",)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run("train", *options, f"--out={whole}")
    process = small.start("train", *options, f"--out={parts}", "--json-progress")
    while '"train"' not in process.stdout.readline():
        assert process.poll() is None
    process.terminate()
    process.communicate(timeout=120)
    assert process.returncode == 143
    run("train", *options, "--resume", f"--out={parts}")
    assert (whole / "stream.jsonl").read_text() == (parts / "stream.jsonl").read_text()
    one, two = (load_file(folder / "checkpoint.safetensors")[0] for folder in (whole, parts))
    assert one.keys() == two.keys() and all((one[name] == two[name]).all() for name in one)


@pytest.mark.hostile
@pytest.mark.parametrize("framework", ["torch", WITH_MPI])
def test_a_rank_that_dies_is_named(tmp_path, framework):
    """Within 30 s, with the last checkpoint good: the run goes on."""
    process = small.start(
        "train",
        *(f"--framework={framework}", *SMALL, "--ranks=2"),
        *("--set=optimiser.epochs=1000", f"--out={tmp_path}", "--json-progress"),
    )
    while '"phase": "epoch"' not in process.stdout.readline():
        assert process.poll() is None
    launcher = child_with(process, "mpirun" if framework == "jittor" else "torch.distributed.run")
    second = sorted(descendants(launcher))[1]  # in the order in which they were begun
    os.kill(second, signal.SIGKILL)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1 and "rank 1 was killed by SIGKILL (of 2)" in errors
    assert "Traceback" not in errors
    load_file(tmp_path / "checkpoint.safetensors")
    options = ("train", f"--framework={framework}", *SMALL, "--ranks=2", "--resume")
    run(*options, "--set=optimiser.epochs=4", f"--out={tmp_path}")
