"""The mutants themselves: patches that apply, defects that are covered, nothing left behind."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from parity.engine.judge.verdicts import Status, Verdict
from parity.errors import WorkerError
from parity.mutants import ROOT, install
from parity.mutants.kill import Experiment, Hunt, Kill
from parity.suite.mutants.catalogue import MUTANTS, PLANTING
from parity.suite.mutants.experiments import EXPERIMENTS
from parity.suite.mutants.mutant import Mutant


def test_every_patch_applies_and_compiles():
    for mutant in MUTANTS.values():
        assert mutant.patched() != mutant.path.read_text()
        compile(mutant.patched(), mutant.name, "exec")
        assert mutant.experiment in EXPERIMENTS, mutant.name
        assert mutant.side in ("torch", "jittor")


def test_there_are_enough_and_the_known_defects_are_among_them():
    assert len(MUTANTS) >= 40
    sources = " ".join(m.source for m in MUTANTS.values())
    for defect in range(1, 13):  # docs/mutants.md says why 13 to 16 are not
        assert f"port {defect}" in sources, defect
    assert sources.count("trzy") >= 3
    assert min(Counter(m.side for m in MUTANTS.values()).values()) >= 5


def test_a_patch_that_does_not_fit_is_an_error():
    stale = Mutant("stale", "torch", "ops/layers.py", "no such line", "", "detr", "", "")
    with pytest.raises(ValueError, match=r"stale.*0 times"):
        stale.patched()
    twice = Mutant("twice", "torch", "ops/layers.py", "Tensor", "", "detr", "", "")
    with pytest.raises(ValueError, match="twice"):
        twice.patched()


def test_a_module_that_is_already_there_cannot_be_patched():
    with pytest.raises(RuntimeError, match="too late"):
        install(Mutant("late", "torch", "neutral/errors.py", "a", "b", "detr", "", ""))


def test_only_the_process_that_is_told_to_is_faulty():
    code = (
        "import sys\n"
        "from parity.loading import resolve\n"
        f"[resolve({PLANTING!r})(name) for name in sys.argv[1:]]\n"
        "from neutral.data.transforms import resized_size; print(resized_size((143, 100), 99, None))"
    )

    def run(*names: str) -> str:
        command = [sys.executable, "-c", code, *names]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    assert run() == "(141, 99)"  # 99 * 143 / 100 = 141.57, cut
    assert run("resize_rounds") == "(142, 99)"


def test_killed_elsewhere_is_not_killed():
    mutant = MUTANTS["giou_sign"]
    assert Kill(mutant, mutant.check, mutant.node, "").as_named
    elsewhere = Kill(mutant, mutant.check, "loss/loss_ce", "")
    assert elsewhere.caught and not elsewhere.as_named
    assert not Kill(mutant, "", "", "").caught


class Answering:
    """A worker that needs no process."""

    def __init__(self, side: str, preload: tuple[str, ...] = ()):
        self.side, self.planted, self.closed = side, bool(preload), False

    def close(self) -> None:
        self.closed = True


def compared(torch: int, jittor: int) -> list[Verdict]:
    status = Status.PASS if torch == jittor else Status.FAIL
    return [Verdict("case", "check", "node", status)]


@pytest.fixture
def hunt():
    """made(breaks): the hunt whose workers raise where breaks(worker), and a mutant of Jittor's side."""
    mutant, made = next(m for m in MUTANTS.values() if m.side == "jittor"), []

    def make(breaks) -> tuple[Hunt, Mutant]:
        def collect(worker: Answering) -> int:
            if breaks(worker):
                raise WorkerError("broke", "")
            return int(worker.planted)

        experiments = {mutant.experiment: Experiment(collect, compared)}
        made.append(Hunt(experiments, PLANTING, Answering))
        return made[0], mutant

    yield make
    made[0].close()
    assert all(worker.closed for worker in made[0].sound.values())


def test_a_mutant_is_compared_with_the_sound_side(hunt):
    found, mutant = hunt(lambda worker: False)
    assert found.try_mutant(mutant).check == "check"
    assert [failures for _, failures in found.false_alarms(found.experiments)] == [[]]


def test_a_mutant_that_breaks_is_a_kill(hunt):
    found, mutant = hunt(lambda worker: worker.planted)
    assert found.try_mutant(mutant).check == "worker"


def test_a_sound_side_that_breaks_is_no_kill(hunt):
    found, mutant = hunt(lambda worker: not worker.planted)
    with pytest.raises(WorkerError, match="broke"):
        found.try_mutant(mutant)
