"""scripts/gpu_check, as far as a machine without a GPU goes."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from jittor_setup.environment import cuda_usable
from neutral.errors import InputError
from scripts import gpu_check
from scripts.gpu_check import STAGES, Stage, chosen, run_stage
from tests.test_scripts import run


def test_refused_without_a_gpu(tmp_path):
    if cuda_usable():
        pytest.skip("this machine has a GPU")
    assert "no CUDA driver" in run("gpu_check", f"--out={tmp_path / 'out'}", code=2).stderr
    assert not (tmp_path / "out").exists()


def test_a_rehearsal_goes_on_where_it_was(tmp_path, monkeypatch):
    quick = (
        Stage("good", "scripts.atlas --explain cumsum-bool"),
        Stage("bad", "scripts.atlas --explain nothing-like-it"),
        Stage("absent", "scripts.doctor", needs=tmp_path / "nowhere"),
        Stage("slow", "scripts.gpu_check --help", long=True),
    )
    monkeypatch.setattr(gpu_check, "STAGES", quick)
    monkeypatch.setattr(gpu_check, "BY_NAME", {s.name: s for s in quick})
    arguments = ["gpu_check", "--device=cpu", f"--out={tmp_path}"]
    monkeypatch.setattr("sys.argv", arguments)
    assert gpu_check.main() == 1, "a stage that failed is told by the exit code"
    record = json.loads((tmp_path / "check.json").read_text())
    codes = {name: result["exit code"] for name, result in record["stages"].items()}
    assert codes == {"good": 0, "bad": 2, "absent": None}
    assert "nothing-like-it" in record["stages"]["bad"]["tail"][-1]
    assert "cumsum" in (tmp_path / "good.log").read_text()
    assert record["machine"]["cpu"] and record["device"] == "cpu"
    options = SimpleNamespace(stages=None, again=[], long=False)
    assert [s.name for s in chosen(options, record["stages"])] == ["bad", "absent"]
    options = SimpleNamespace(stages=["slow"], again=["good"], long=False)
    assert [s.name for s in chosen(options, record["stages"])] == ["slow", "good"]
    with pytest.raises(InputError, match="no stage 'none'"):
        chosen(SimpleNamespace(stages=["none"], again=[], long=False), {})


def test_a_stage_that_takes_too_long_is_ended(tmp_path):
    result = run_stage(
        Stage("sleeps", "timeit -n 1 -r 1 __import__('time').sleep(60)"), "cpu", tmp_path, 2
    )
    assert result["exit code"] == 124 and 2 <= result["seconds"] < 40


def test_every_stage_is_a_command_that_exists():
    """--help of each script knows the options that a stage gives it."""
    seen = set()
    for stage in STAGES:
        name, *arguments = stage.command.format(device="cpu", out="OUT").split()
        if name in seen or not name.startswith("scripts."):
            continue
        seen.add(name)
        told = run(name.removeprefix("scripts."), "--help").stdout
        for option in (a for a in arguments if a.startswith("--")):
            assert option in told, f"{stage.name}: {option}"
