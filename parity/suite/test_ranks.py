"""Data parallel on the frameworks' own engines, two processes each: equal to one process, and to each other.

And the ways to get it wrong are caught. Without MPI Jittor's part is skipped, with the line that installs it.
"""

from __future__ import annotations

import pytest

from neutral.errors import InputError
from neutral.launchers import check_launcher
from parity.engine.judge.verdicts import Status, Verdict, first_divergence
from parity.engine.sides.workers import FRAMEWORKS
from parity.suite.cases import RANKED
from parity.suite.mutants.catalogue import MUTANTS, PLANTING
from parity.suite.rank import SOUND
from parity.suite.ranks import (
    GRADIENTS,
    LOSSES,
    SHARES,
    alone,
    compare_first_step,
    compare_frameworks,
    compare_ranks,
    run_ranks,
)

STEPS = {"scenes_detr": 20, "scenes_frcnn": 4}
NAMES = ["scenes_detr", pytest.param("scenes_frcnn", marks=pytest.mark.full)]
WRONG = {
    side: [m for m in MUTANTS.values() if m.experiment == "ranks" and m.side == side]
    for side in FRAMEWORKS
}


@pytest.fixture(scope="module")
def told(pair, device, scenes_folder):
    """By framework and case: what one process tells, the ranks' sound answer, and those with faults by name."""
    if device != "cpu":
        pytest.skip("two processes on the CPU")
    found: dict = {}

    def of(framework: str, name: str) -> tuple:
        case, steps = RANKED[name], STEPS[name]
        if (framework, case.name) not in found:
            try:
                check_launcher(framework)
            except InputError as error:
                pytest.skip(str(error))
            task, one = alone(pair[framework], case, scenes_folder, steps)
            faults = WRONG[framework] if name == "scenes_detr" else []
            variants = [SOUND, *(f"{PLANTING}={mutant.name}" for mutant in faults)]
            sound, *faulty = run_ranks(framework, task, variants)
            found[framework, case.name] = one, sound, dict(zip([m.name for m in faults], faulty))
        return found[framework, case.name]

    return of


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", NAMES)
def test_ranks_are_one_process(name, framework, told, conclude):
    """Shares, losses, gradients, norm, equal weights, and whole steps, against one process with the same batches."""
    one, ranks, _ = told(framework, name)
    conclude(compare_ranks(RANKED[name], framework, ranks, one))


@pytest.mark.parametrize("name", NAMES)
def test_ranks_of_both_frameworks_are_coupled(name, told, conclude):
    """Float64 steps of two ranks each."""
    found = [told(framework, name)[1] for framework in FRAMEWORKS]
    conclude(compare_frameworks(RANKED[name], *found))


@pytest.mark.parametrize("name", [m.name for side in FRAMEWORKS for m in WRONG[side]])
def test_a_wrong_way_to_share_is_caught(name, told, conclude):
    mutant, case = MUTANTS[name], RANKED["scenes_detr"]
    one, _, faulty = told(mutant.side, "scenes_detr")
    found = first_divergence(compare_first_step(case, mutant.side, faulty[name], one))
    as_named = found is not None and (found.check, found.node) == (mutant.check, mutant.node)
    status = Status.PASS if as_named else Status.FAIL
    message = (
        "" if as_named else f"wanted {mutant.check} / {mutant.node}, found {found or 'nothing'}"
    )
    conclude([Verdict("planted faults", "of several ranks", name, status, message=message)])


def test_every_check_of_ranks_has_a_fault_that_it_catches():
    assert {m.check for side in FRAMEWORKS for m in WRONG[side]} >= {SHARES, LOSSES, GRADIENTS}
