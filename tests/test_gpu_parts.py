"""The steps of a GPU check that go in parts: what is kept, what fails, what is compiled ahead (scripts/gpu)."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from parity.engine.judge.verdicts import Status, Verdict
from scripts.gpu import harness, runner, timing, warm, warming, work
from scripts.gpu.plan import BY_NAME
from scripts.gpu.runner import Warmer


def carried(monkeypatch, tmp_path, parts) -> tuple[int, dict]:
    monkeypatch.setitem(work.PARTS, "tried", parts)
    out = tmp_path / "tried.json"
    code = work.carry_out("tried", "cpu", out)
    return code, json.loads(out.read_text())


def test_what_was_found_before_a_framework_broke_down_is_kept(monkeypatch, tmp_path):
    def parts(device):
        yield "good", {"failed": 0, "device": device}
        raise RuntimeError("CUDA error: an illegal memory access")

    code, found = carried(monkeypatch, tmp_path, parts)
    assert code == 1
    assert found["parts"]["good"]["device"] == "cpu"
    assert "illegal memory access" in found["broke down"]


@pytest.mark.parametrize(
    ("part", "code"),
    [
        ({"failed": 0, "verdicts": {"PASS": 3}}, 0),
        ({"failed": 2}, 1),
        ({"runs": 5, "different results": 1}, 0),
        ({"runs": 5, "different results": 2}, 1),
        ({"caught": True}, 0),
        ({"caught": False}, 1),
    ],
)
def test_a_part_that_tells_of_a_fault_fails_the_step(monkeypatch, tmp_path, part, code):
    assert carried(monkeypatch, tmp_path, lambda device: iter([("one", part)]))[0] == code


def test_a_summary_counts_all_and_shows_the_worst():
    verdicts = [
        Verdict("c", "forward", "a", Status.PASS, 1.0, 10.0),
        Verdict("c", "forward", "b", Status.FAIL, 50.0, 10.0, "too far"),
        Verdict("c", "choices", "d", Status.NOT_RUN, message="nothing there"),
    ]
    found = harness.summary(verdicts)
    assert found["verdicts"] == {"PASS": 1, "FAIL": 1, "NOT_RUN": 1} and found["failed"] == 1
    assert found["worst"]["forward"]["node"] == "b" and found["failures"][0]["message"] == "too far"
    assert harness.failed(found)


class Says:
    """A worker that answers run_op with `value`, exact or off by `error`; gradients are ones."""

    def __init__(self, error: float = 0.0):
        self.error, self.calls = error, []

    def run(self, target, name, arguments, device, dtype):
        self.calls.append((name, device, dtype))
        return [np.linspace(1, 2, 8) + self.error], [np.ones(8)]


@pytest.mark.parametrize(
    ("dtype", "guilty"),  # in float32 the reference's error is the other's allowance
    [
        ("float64", ""),
        ("float64", "torch"),
        ("float64", "jittor"),
        ("float32", ""),
        ("float32", "jittor"),
    ],
)
def test_ops_are_judged_on_both_sides_by_the_cpu(dtype, guilty):
    sides = {side: Says(1e-3 if side == guilty else 0.0) for side in ("torch", "jittor")}
    pair = type("Pair", (dict,), {"device": "cuda"})(sides)
    cpu = Says()
    verdicts = harness.compare_op(SimpleNamespace(name="x", arguments=()), "x", pair, cpu, dtype)
    failed = [v for v in verdicts if v.status is Status.FAIL]
    assert bool(failed) is bool(guilty)
    assert all(guilty in str(v) or v.guilty == guilty for v in failed)
    assert cpu.calls == [("x", "cpu", "float64")]
    assert sides["jittor"].calls == [("x", "cuda", dtype)]


def test_mutants_live_on_the_device(monkeypatch):
    asked = []
    monkeypatch.setattr(
        harness.Worker, "submit", lambda self, method, *args, **more: asked.append((method, *args))
    )
    worker = object.__new__(type("OnDevice", (harness.OnDevice,), {"device": "cuda"}))
    requests = "parity.suite.requests"
    worker.submit("run", f"{requests}:build", {"a": 1}, "cpu", "float64", 3)
    worker.submit("run", f"{requests}:run_op", "nms", (), "cpu", "float64")
    worker.submit("run", f"{requests}:reset", {"w": 1})
    worker.submit("state")
    assert asked == [
        ("run", f"{requests}:build", {"a": 1}, "cuda", "float64", 3),
        ("run", f"{requests}:run_op", "nms", (), "cuda", "float64"),
        ("run", f"{requests}:reset", {"w": 1}),
        ("state",),
    ]


def test_background_compiling_goes_on_after_a_failure(monkeypatch, capsys):
    class Fake:
        def __init__(self, side):
            assert side == "jittor"

        def close(self):
            done.append("closed")

    def fails(worker):
        raise harness.WorkerDied("jittor died in nvcc", "node")

    done: list = []
    monkeypatch.setattr(warm, "Worker", Fake)
    tasks = [("bad", fails), ("good", lambda worker: done.append("good"))]
    warm.lane(tasks, warm.threading.Lock())
    assert done == ["good", "closed"] and "bad: WorkerDied" in capsys.readouterr().out


def test_background_compiling_covers_what_is_ahead_and_can_be_ended(tmp_path, monkeypatch):
    tasks = [label for label, _ in warming.warm_tasks(["ops", "gates", "coupled-steps"], "cuda")]
    assert len(tasks) == 2 * len(harness.op_labels()) + 4 + 2
    assert Warmer([], "cpu", tmp_path, 4).process is None, "nothing ahead"
    assert Warmer([BY_NAME["ops"]], "cpu", tmp_path, 0).process is None, "no cores to spare"
    monkeypatch.setattr(runner.sys, "executable", "/bin/sh")  # sh -m scripts.gpu.warm: ends at once
    warmer = Warmer([BY_NAME["ops"]], "cpu", tmp_path, 1)
    warmer.wait(20)
    assert warmer.process is None and (tmp_path / "warm.log").exists()


def test_what_a_switch_gains():
    before = {"median": 2.0, "losses": [10.0]}
    after = {"median": 1.0, "losses": [10.1]}
    found = timing.gained(before, after)
    assert found["times as fast"] == 2.0
    assert found["first loss, relative difference"] == pytest.approx(0.01)
    assert timing.gained(before, {"refused": "no mixed precision"}) == {}
