"""Several processes that share the batches of a step: the same run as one process makes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from neutral.config import preset, with_overrides
from neutral.errors import InputError
from neutral.runlog import read_log
from scripts.ranks import Ranks, check_ranks
from tests.test_scripts import TINY, run

OPTIONS = (*TINY, "--set=optimiser.accumulate=2", "--set=optimiser.epochs=2")


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Another number of threads would sum in another order."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.mark.parametrize("framework", ["torch", "jittor"])
def test_two_processes_make_the_run_of_one(framework, tmp_path):
    """Losses, data stream and weights; PyTorch's bit for bit."""
    for ranks in (1, 2):
        more = (f"--ranks={ranks}", f"--out={tmp_path / str(ranks)}")
        run("train", f"--framework={framework}", *OPTIONS, *more)
    logs = [read_log(tmp_path / str(ranks) / "log.txt") for ranks in (1, 2)]
    steps = [[loss for e in log.epochs for loss in e["train_step_losses"]] for log in logs]
    assert len(steps[0]) == 4
    exact = framework == "torch"
    assert steps[0] == (steps[1] if exact else pytest.approx(steps[1], rel=1e-5))
    assert "ranks" not in json.dumps(logs[0].header)
    assert '"ranks": 2' in json.dumps(logs[1].header)
    chains = [(tmp_path / str(r) / "stream.jsonl").read_text() for r in (1, 2)]
    assert chains[0] == chains[1]
    one, two = (load_file(tmp_path / str(r) / "checkpoint.safetensors") for r in (1, 2))
    assert one.keys() == two.keys()
    for name in one:
        same = np.array_equal(one[name], two[name])
        assert same if exact else np.allclose(one[name], two[name], rtol=1e-3, atol=1e-5), name


def test_it_goes_on_from_a_checkpoint_of_one_process(tmp_path):
    """The helpers get weights and the optimiser's state."""
    whole = tmp_path / "whole"
    run("train", "--framework=torch", *OPTIONS, f"--out={whole}")
    parts = tmp_path / "parts"
    begin = [o for o in OPTIONS if "epochs" not in o] + ["--set=optimiser.epochs=1"]
    run("train", "--framework=torch", *begin, f"--out={parts}")
    run("train", "--framework=torch", *OPTIONS, "--resume", "--ranks=2", f"--out={parts}")
    one, two = (load_file(folder / "checkpoint.safetensors") for folder in (whole, parts))
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_uneven_shares_and_dead_helpers_are_told(tmp_path):
    failed = run("train", "--framework=torch", *OPTIONS, "--ranks=3", f"--out={tmp_path}", code=2)
    assert "--ranks 3: a step takes optimiser.accumulate=2 batches" in failed.stderr
    config = with_overrides(preset("scenes_detr"), ["optimiser.accumulate=2"])
    check_ranks(config, 2)
    ranks = Ranks("torch", config, "cpu", 2)
    try:
        with pytest.raises(InputError, match="do not fit the model"):
            ranks.load({})
        ranks.ask(1, "load", {})
        with pytest.raises(InputError, match=r"rank 1 of 2: InputError: .*do not fit the model"):
            ranks.answer(1)
        assert ranks.everywhere("shapes") == ranks.shapes()
        ranks.helpers[0][1].kill()
        ranks.helpers[0][1].join()
        with pytest.raises(InputError, match="rank 1 of 2 has died"):
            ranks.everywhere("shapes")
    finally:
        ranks.close()
