"""A fast part of `make mutants`: planted faults turn red where they should, the sound pair does not."""

from __future__ import annotations

import pytest

from parity.engine.judge.verdicts import Status, Verdict
from parity.mutants.kill import Hunt
from parity.suite.mutants.catalogue import MUTANTS, PLANTING
from parity.suite.mutants.experiments import EXPERIMENTS, false_alarms

FAST = [name for name, mutant in MUTANTS.items() if mutant.fast]


@pytest.fixture(scope="module")
def hunt(device):
    if device != "cpu":
        pytest.skip("mutants are tried on the CPU")
    hunt = Hunt(EXPERIMENTS, PLANTING)
    yield hunt
    hunt.close()


@pytest.mark.parametrize("name", FAST)
def test_a_planted_fault_is_caught_where_it_is(name, hunt, conclude):
    kill = hunt.try_mutant(MUTANTS[name])
    status = Status.PASS if kill.as_named else Status.FAIL
    wanted = f"{kill.mutant.check} / {kill.mutant.node}"
    message = "" if kill.as_named else f"wanted {wanted}, found {kill.message or 'nothing'}"
    conclude([Verdict("planted faults", "caught where they are", name, status, message=message)])


def test_other_weights_give_no_alarm(hunt, conclude):
    verdicts = []
    for name, failures in hunt.false_alarms(false_alarms(1)):
        status = Status.FAIL if failures else Status.PASS
        message = str(failures[0]) if failures else ""
        verdicts.append(Verdict("planted faults", "false alarms", name, status, message=message))
    conclude(verdicts)
