"""scripts/gpu_check, as far as a machine without a GPU goes: the clock, the record, children that end."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from jittor_setup.environment import cuda_usable
from neutral.errors import InputError
from scripts import gpu_check
from scripts.gpu import plan, work
from scripts.gpu.plan import BY_NAME, CLOSING, STEPS, Step
from scripts.gpu.runner import run_step
from tests.commands import run
from tests.test_gpu_plan import CORES, step


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


def test_kernels_that_were_carried_make_room(lease, monkeypatch):
    monkeypatch.setattr(plan, "A_KERNEL", gpu_check.A_KERNEL | {})
    monkeypatch.setattr(gpu_check, "A_KERNEL", plan.A_KERNEL)
    monkeypatch.setitem(plan.BY_NAME, "second", step("second", 5, 10, kernels=400))
    lease.main("--seconds=90", "--steps", "first", "second")
    assert [name for name, _, _ in lease.ran] == ["first"], "too many to be compiled"
    lease.main("--seconds=90", "--steps", "first", "second", "--kernel-seconds=0.01")
    assert [name for name, _, _ in lease.ran] == ["first", "second"]


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
