"""What a time limit leaves: a share for the user's own training steps, and what they came to until then."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest

from parity import Case, Result, Side
from parity.engine.ask import everything, training
from parity.engine.ask.everything import SIDES as SHARE
from parity.engine.ask.everything import STEPS, Wanted, examine_all
from parity.engine.judge import checks
from parity.engine.judge.verdicts import Status
from parity.engine.sides.own_step import Notes, begun_in
from parity.engine.sides.workers import Workers
from parity.errors import OutOfTime
from tests.test_own_steps_answers import BEFORE, answer

SIDES = Side("", "torch", label="reference"), Side("", "torch", label="candidate")
CASE = Case("pair", *SIDES, lambda: ())


@pytest.mark.parametrize("own", [True, False])
def test_time_is_kept_for_training_steps_of_the_users_own(tmp_path, monkeypatch, own):
    left: dict[str, float] = {}

    def part(name, found=()):
        def ask(case, workers, *_, **__):
            left[name] = workers.left()
            return Result(list(found))

        return ask

    for name in ("check_initial", "check_data", "examine", "check_called", "check_branches"):
        monkeypatch.setattr(everything, name, part(name))
    monkeypatch.setattr(everything, "check_steps", part("check_steps"))
    monkeypatch.setattr(everything, "has_own_steps", lambda *_: own)
    monkeypatch.setattr(everything, "examine_environment", lambda _: ({}, []))
    monkeypatch.setattr(everything, "look_at_code", lambda *_: {})
    examine_all(CASE, Wanted(limit=1000.0), None, tmp_path, lambda *_: None)
    parts = ("examine", "check_steps", "check_called", "check_branches")
    order = [name for name in left if name in parts]
    assert (order[0] if own else order[-1]) == "check_steps"
    for name, whole in left.items():
        share = STEPS if own and name == "check_steps" else 1.0
        assert whole == pytest.approx(1000.0 * SHARE * share, abs=10), name
    assert not everything.reserves(CASE, None, Wanted(limit=None)), "nothing is to be shared"


def test_steps_that_the_limit_ends_are_told_as_far_as_they_came(tmp_path, monkeypatch):
    heard = []

    class Here:
        folder = tmp_path

        def __getitem__(self, side):
            return self

        def submit(self, method, target, batch, step, begun):
            self.step = step
            notes = Notes(tmp_path / "begun", {"step": step, "trainable": ["a"], "classes": {}})
            for name in ("a", "b"):
                notes.add([name, True])

        def collect(self, sides):
            if self.step == 2:
                raise OutOfTime("jittor worker was stopped by the time limit", "run")
            pair = {side: answer(self.step) for side in sides}
            pair["candidate"]["rates"] = {"optimiser": [0.1, 0.02]}
            return pair

    def prepared(case, workers, device, ask, dtype):
        return Result(ask(SimpleNamespace(inputs=(), weights=BEFORE), Here()))

    monkeypatch.setattr(training, "prepared", prepared)
    monkeypatch.setattr(Case, "made_batches", lambda *_: [np.zeros(1)] * 5)
    told = lambda stage, verdicts: heard.append(stage)  # noqa: E731
    found = training.own_steps(CASE, None, 5, "cpu", told)
    assert heard == ["training step 0", "training step 1"]
    assert {v.node for v in found if v.status is Status.FAIL} == {
        f"rates/optimiser/step{k}" for k in range(2)
    }
    (left,) = (v for v in found if v.status is Status.NOT_RUN)
    assert left.node == "from step2 on" and "time limit" in left.message
    assert {"modes/step2", "frozen/step2"} <= {v.node for v in found}, "of the step that was begun"
    assert {checks.MOVES, checks.REACHED} <= {v.check for v in found}


def test_a_share_of_the_time_ends_and_the_rest_is_there_again():
    workers = Workers(*SIDES)
    assert workers.left() > 1e9
    workers.limit(100.0)
    with everything.within(workers, 0.25):
        assert workers.left() == pytest.approx(25.0, abs=5)
        workers.until(time.monotonic() - 1)
        with pytest.raises(OutOfTime):
            workers["reference"].submit("shapes")
    assert workers.left() == pytest.approx(100.0, abs=20)
    workers.close()


HALVES = """
import time

from torch import nn

from parity import Subject


def half(slow=False):
    def step(model, batch, step):
        model[1].eval() if slow else model.train()
        model[0].bias.requires_grad_(not slow)
        model(*batch).sum().backward()
        if slow:
            time.sleep(600)  # as Jittor compiles

    return Subject(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), train_step=step)
"""


def test_a_first_step_that_is_not_done_in_time_tells_modes_and_what_is_frozen(tmp_path):
    path = tmp_path / "halves.py"
    path.write_text(HALVES)
    arguments = {"reference": {}, "candidate": {"slow": True}}
    sides = [
        Side(f"{path}:half", "torch", arguments=given, label=label)
        for label, given in arguments.items()
    ]
    case = Case("pair", *sides, lambda: (np.arange(6.0).reshape(3, 2) ** 2,))
    with Workers(*sides) as workers:
        assert training.has_own_steps(case, workers, "cpu")
        workers.limit(4.0)
        found = training.check_steps(case, workers, steps=3).verdicts
    failed = {v.node: v.message for v in found if v.status is Status.FAIL}
    assert failed.keys() == {"modes/step0"} and "1 BatchNorm1d" in failed["modes/step0"]
    assert "frozen/step0" in {v.node for v in found if v.status is Status.PASS}, "not frozen yet"
    (left,) = (v for v in found if v.status is Status.NOT_RUN)
    assert left.node == "from step0 on" and "kernels that were compiled are kept" in left.message


def test_what_a_step_told_last_is_no_half_line(tmp_path):
    assert begun_in(tmp_path / "begun", 0) is None
    (tmp_path / "begun").write_text('{"step": 1, "trainable": []}\n["a", true]\n["b", fal')
    assert begun_in(tmp_path / "begun", 1) == {"step": 1, "trainable": [], "modes": {"a": True}}
    assert begun_in(tmp_path / "begun", 0) is None, "of another step"


BUSY = """
import time


def half():
    def wait(x):
        time.sleep(60)

    return wait
"""


def test_a_side_that_is_busy_when_the_time_is_over_is_not_awaited(tmp_path):
    path = tmp_path / "halves.py"
    path.write_text(BUSY)
    side = Side(f"{path}:half", "torch")
    with Workers(side) as workers:
        worker = workers["torch"]
        worker.call("build", side, "cpu", "float32", None)
        worker.submit("trace", (np.ones(2),))
        workers.until(time.monotonic())
        began = time.monotonic()
    assert time.monotonic() - began < 3.0
