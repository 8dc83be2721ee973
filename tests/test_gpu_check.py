"""scripts/gpu_check, as far as a machine without a GPU goes: the plan, the clock, the record, the parts."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jittor_setup.environment import cuda_usable
from neutral.errors import InputError
from parity.engine.verdicts import Status, Verdict
from scripts import gpu_check
from scripts.gpu import harness, plan, runner, timing, warm, work
from scripts.gpu.plan import BY_NAME, CLOSING, STEPS, Step, choose, next_step
from scripts.gpu.runner import Warmer, run_step
from tests.commands import run

CORES = 16


def step(name: str, seconds: float = 10.0, value: float = 1.0, **more) -> Step:
    return Step(name, "timeit -n 1 -r 1 pass", seconds, value=value, **more)


small = st.tuples(st.floats(0.5, 30), st.integers(1, 9))


@settings(deadline=None, max_examples=60)
@given(st.lists(small, min_size=1, max_size=7), st.floats(0, 90))
def test_what_is_chosen_is_worth_most_of_all_that_fits(table, seconds):
    steps = [step(str(i), s, v) for i, (s, v) in enumerate(table)]
    chosen = choose(steps, seconds, CORES)

    def cost(subset) -> float:  # whole seconds, as the table counts
        return sum(-(-s.expected(CORES) // 1) for s in subset)

    assert chosen == [s for s in steps if s in chosen], "in the plan's order"
    assert sum(s.expected(CORES) for s in chosen) <= seconds
    every = (c for n in range(len(steps) + 1) for c in itertools.combinations(steps, n))
    best = max(sum(s.value for s in c) for c in every if cost(c) <= int(seconds))
    assert sum(s.value for s in chosen) == best


def test_what_comes_after_another_is_chosen_with_it_only():
    first = step("first", 10, 5, kernels=300)
    second, third = step("second", 10, 100, after="first"), step("third", 10, 40, after="first")
    other = step("other", 30, 60)
    steps, dear = [first, other, second, third], first.expected(CORES)
    assert dear > 100
    assert choose(steps, dear + 15, CORES) == [first, second], "its kernels are paid once"
    assert choose(steps, dear + 25, CORES) == [first, second, third]
    assert choose(steps, dear + 5, CORES) == [other]
    assert choose([second, other], 12, CORES) == [second], "when the other has run"


def test_what_others_would_have_compiled_costs_where_they_did_not(monkeypatch):
    first, second = step("first", 10, kernels=300), step("second", 10, after="first")
    monkeypatch.setattr(plan, "BY_NAME", {"first": first, "second": second})
    assert plan.settled([first, second], []) == [first, second]
    (alone,) = plan.settled([second], [])
    assert alone.expected(CORES) == first.expected(CORES) and not alone.after
    (ready,) = plan.settled([second], ["first"])
    assert ready.expected(CORES) == 10
    assert all(BY_NAME[s.after] in STEPS[: STEPS.index(s)] for s in STEPS if s.after)


def test_what_is_left_at_the_end_goes_to_a_step_that_keeps_its_parts():
    whole, parts = step("whole", 100, 5), step("parts", 100, 1, parts=True)
    assert next_step([whole, parts], 60, CORES) is parts
    assert next_step([whole], 60, CORES) is None
    assert next_step([whole, parts], CLOSING + 5, CORES) is None, "too little to begin anything"
    assert next_step([step("timed", 100, parts=True, alone=True)], 60, CORES) is None
    assert next_step([whole, parts], None, CORES) is whole, "without a limit, one after the other"


def test_kernels_count_by_the_cores_that_compile_them():
    compiling = step("x", 10, kernels=300)
    assert compiling.expected(16) > 10 + 300 * plan.A_KERNEL["cuda"] / 16
    assert compiling.expected(2) > 5 * compiling.expected(16)
    assert compiling.expected(2, "cpu") < compiling.expected(2) / 3


def test_what_nothing_can_be_known_before_comes_first_even_if_it_does_not_fit():
    environment, other = step("environment", 100, first=True), step("other", 20, 1000)
    assert next_step([environment, other], 60, CORES) is environment
    assert choose([environment, other], 60, CORES) == [environment], "nothing is left for another"
    assert choose([environment, other], 140, CORES) == [environment, other]
    assert STEPS[0].first and not any(s.first for s in STEPS[1:])


class Clock:
    """Seconds that pass only where a fake step lets them."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def lease(tmp_path, monkeypatch):
    """main() with fake steps: .takes tells how long each really takes, .ran what ran, .out where."""
    clock, ran, takes, codes = Clock(), [], {}, {}
    plan_of_mine = [
        step("first", 10, 100),
        step("second", 30, 10),
        step("third", 30, 10, parts=True),
        step("dear", 500, 1),
        step("absent", 1, 1, needs=tmp_path / "nowhere"),
    ]
    by_name = {s.name: s for s in plan_of_mine}
    monkeypatch.setattr(plan, "BY_NAME", by_name)
    monkeypatch.setattr(gpu_check, "BY_NAME", by_name)

    class NoWarmer:
        def __init__(self, *given):
            self.given = given

        def wait(self, seconds: float) -> None:
            clock.now += seconds

        def stop(self) -> None:
            pass

    def fake(chosen: Step, device: str, out, limit, watcher) -> dict:
        record = json.loads((out / "check.json").read_text())
        ran.append((chosen.name, limit, set(record["steps"])))
        real = takes.get(chosen.name, chosen.expected(CORES))
        cut = limit is not None and real > limit
        clock.now += limit if cut else real
        if chosen.parts:
            (out / f"{chosen.name}.json").write_text('{"parts": {"one": {"failed": 0}}}')
        code = 124 if cut else codes.get(chosen.name, 0)
        state = "time was up" if cut else "failed" if code else "done"
        return {"state": state, "exit code": code, "seconds": real, "tail": ["said"]}

    monkeypatch.setattr(gpu_check, "run_step", fake)
    monkeypatch.setattr(gpu_check, "Warmer", NoWarmer)
    monkeypatch.setattr(gpu_check, "describe_machine", lambda: {"cpu": "mine"})
    out = tmp_path / "out"

    def main(*arguments: str, folder=out) -> int:
        monkeypatch.setattr(
            "sys.argv", ["gpu_check", "--device=cpu", f"--out={folder}", *arguments]
        )
        return gpu_check.main(clock)

    return SimpleNamespace(main=main, clock=clock, ran=ran, takes=takes, codes=codes, out=out)


def record_of(folder) -> dict:
    return json.loads((folder / "check.json").read_text())


def test_a_lease_that_goes_as_foreseen(lease):
    began = lease.clock()
    assert lease.main("--seconds=90") == 0
    assert [name for name, _, _ in lease.ran] == ["first", "second", "third"], "dear does not fit"
    assert [before for _, _, before in lease.ran] == [
        {"absent"},
        {"absent", "first"},
        {"absent", "first", "second"},
    ], "written after every step"
    assert lease.clock() - began <= 90
    found = record_of(lease.out)["steps"]
    assert found["absent"]["state"] == "left out" and "nowhere" in found["absent"]["tail"][0]
    assert found["third"]["found"] == {"parts": {"one": {"failed": 0}}}


def test_a_clock_that_runs_out_costs_nothing_that_was_found(lease):
    lease.takes |= {"first": 40, "second": 300}
    began = lease.clock()
    assert lease.main("--seconds=100") == 1
    assert lease.clock() - began <= 100
    found = record_of(lease.out)["steps"]
    assert found["first"]["state"] == "done"
    assert found["second"]["state"] == "time was up"
    limits = {name: limit for name, limit, _ in lease.ran}
    assert limits == {"first": 100 - CLOSING, "second": 60 - CLOSING}, (
        "no step gets more than is left"
    )


def test_a_step_that_is_slow_makes_room_by_what_is_worth_least(lease):
    lease.takes["first"] = 45
    assert lease.main("--seconds=90") == 0
    ran = [name for name, _, _ in lease.ran]
    assert len(ran) == 2 and ran[0] == "first"


def test_two_leases_add_up(lease, tmp_path):
    lease.codes["second"] = 1
    assert lease.main("--seconds=90") == 1
    first = record_of(lease.out)
    assert first["steps"]["second"]["state"] == "failed"
    lease.ran.clear()
    lease.codes.clear()
    second = tmp_path / "second"
    assert lease.main("--seconds=900", f"--resume-from={lease.out}", folder=second) == 0
    assert [name for name, _, _ in lease.ran] == ["second", "dear"], (
        "what is done is not done again"
    )
    both = record_of(second)["steps"]
    assert set(both) == {"first", "second", "third", "dear", "absent"}
    assert both["third"]["found"] and (second / "third.json").exists()
    assert record_of(lease.out) == first, "the earlier results stay as they were"
    lease.ran.clear()
    assert lease.main("--again", "first", folder=second) == 0
    assert [name for name, _, _ in lease.ran] == ["first"]


def test_bad_input_is_one_error_and_nothing_is_written(lease, tmp_path):
    def refused(*arguments: str) -> str:
        with pytest.raises(InputError) as error:
            lease.main(*arguments)
        assert not lease.out.exists() and not lease.ran
        return str(error.value)

    for seconds in ("-5", "0", "nan", "inf", str(CLOSING)):
        assert "--seconds" in refused(f"--seconds={seconds}")
    assert "no step 'none'" in refused("--steps", "none")
    assert "no step 'none'" in refused("--again", "none")
    assert "no such file" in refused(f"--resume-from={tmp_path / 'no.json'}")
    bad = tmp_path / "bad.json"
    steps = {"first": {"state": "done"}}
    for text, told in (
        ("{", "not valid JSON"),
        ("[]", "not the results"),
        ('{"format": 1, "steps": {}}', "not the results"),
        ('{"format": 2, "device": "cpu", "steps": {"a": 3}}', "cannot be read"),
        ('{"format": 2, "device": "cpu", "steps": {"a": {"state": "fine"}}}', "cannot be read"),
        (json.dumps({"format": 2, "device": "cuda", "steps": steps}), "--device cuda"),
    ):
        bad.write_text(text)
        message = refused(f"--resume-from={bad}")
        assert told in message and "bad.json" in message


def test_refused_without_a_gpu(tmp_path):
    if cuda_usable():
        pytest.skip("this machine has a GPU")
    assert "no CUDA driver" in run("gpu_check", f"--out={tmp_path / 'out'}", code=2).stderr
    assert not (tmp_path / "out").exists()


def test_a_step_that_takes_too_long_is_ended_with_its_children(tmp_path):
    sleeper = "__import__('subprocess').run(['sleep','54321'])"
    found = run_step(Step("sleeps", f"timeit -n 1 -r 1 {sleeper}", 1), "cpu", tmp_path, 2)
    assert found["state"] == "time was up" and found["exit code"] == 124
    assert 2 <= found["seconds"] < 12
    for _ in range(20):
        alive = [p for p in processes() if b"54321" in p]
        if not alive:
            break
        time.sleep(0.1)
    assert not alive


KILLED = """
import sys
from pathlib import Path
from scripts.gpu.plan import Step
from scripts.gpu.runner import Warmer, run_step
from scripts.gpu.watcher import Watcher
sleeper = "__import__('subprocess').run(['sleep','65432'])"
run_step(Step("sleeps", f"timeit -n 1 -r 1 {sleeper}", 1), "cpu", Path(sys.argv[1]), None, Watcher())
"""


def sleepers(seconds: bytes, wanted: bool) -> bool:
    """Whether processes that sleep so long are there, or are gone, soon."""
    for _ in range(200):
        if any(seconds in p for p in processes() if p.startswith(b"sleep")) is wanted:
            return True
        time.sleep(0.05)
    return False


def test_a_check_that_is_killed_ends_its_step_with_its_children(tmp_path):
    check = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], cwd=plan.ROOT)
    try:
        assert sleepers(b"65432", True)
    finally:
        check.kill()  # it has no time to end anything
        check.wait()
    assert sleepers(b"65432", False)


def processes() -> list[bytes]:
    found = []
    for path in plan.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes())
        except OSError:
            continue
    return found


def test_every_step_is_a_command_that_exists():
    """--help of each script knows the options that a step gives it, and the suite has the files."""
    seen = set()
    for each in STEPS:
        name, *arguments = each.command.format(device="cpu", out="OUT", name=each.name).split()
        if name == "pytest":
            assert (plan.ROOT / arguments[1]).is_file(), each.name
        if name in seen or not name.startswith("scripts."):
            continue
        seen.add(name)
        told = run(name.removeprefix("scripts."), "--help").stdout
        for option in (a for a in arguments if a.startswith("--")):
            assert option in told, f"{each.name}: {option}"
        if name == "scripts.gpu.work":
            assert all(s.name in work.PARTS for s in STEPS if s.command.startswith(name))
    assert set(gpu_check.WARMED) <= set(BY_NAME)


# parts


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
    tasks = [label for label, _ in harness.warm_tasks(["ops", "gates", "coupled-steps"], "cuda")]
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
