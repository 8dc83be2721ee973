"""`examine`, and what it found.

The runs are examine.py's; causes.py says what to mend.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from parity.case import Case, FunctionCase, Side
from parity.engine.ask.environment import examine_environment
from parity.engine.ask.examine import Examination
from parity.engine.judge.floors import Floors
from parity.engine.judge.localise import classify, culprits
from parity.engine.judge.verdicts import Status, Verdict, first_divergence, is_nothing
from parity.engine.sides.workers import Workers
from parity.engine.tell.causes import Cause, causes_of, told


@dataclass(frozen=True)
class Culprit:
    """A module whose own code fails: `kind` as classify has it, `guilty` the side or "", `script` a file's name."""

    kind: str
    guilty: str
    verdicts: list[Verdict]
    script: str = ""


@dataclass
class Result:
    """Verdicts in the order of execution, and what ran where."""

    verdicts: list[Verdict] = field(default_factory=list)
    environment: dict = field(default_factory=dict)

    @property
    def first(self) -> Verdict | None:
        """The first FAIL, None when there is none."""
        return first_divergence(self.verdicts)

    @property
    def failures(self) -> list[Verdict]:
        return [v for v in self.verdicts if v.status is Status.FAIL]

    @property
    def culprits(self) -> dict[str, Culprit]:
        """By module, in the order of execution."""
        found = {}
        for module, verdicts in culprits(self.verdicts).items():
            guilty = next((v.guilty for v in verdicts if v.guilty), "")
            script = next((v.script for v in verdicts if v.script), "")
            found[module] = Culprit(classify(verdicts), guilty, verdicts, script)
        return found

    @property
    def causes(self) -> list[Cause]:
        """What to mend, the likeliest first; see causes.py for what each says."""
        return causes_of(self.verdicts)

    def counts(self) -> dict[str, int]:
        """By status; every status is there."""
        counter = Counter(v.status.value for v in self.verdicts)
        return {status.value: counter[status.value] for status in Status}

    def raise_for_failures(self) -> None:
        """AssertionError that names the causes, the modules to blame and the first FAILs; also when nothing was
        compared."""
        if not self.failures:
            if is_nothing(self.verdicts):
                why = [v.message for v in self.verdicts if v.status is Status.NOT_RUN]
                raise AssertionError("; ".join(["nothing was compared", *dict.fromkeys(why[:3])]))
            return
        blamed = [f"{m}: {c.kind} {c.guilty}".rstrip() for m, c in self.culprits.items()]
        lines = [f"{len(self.failures)} of {len(self.verdicts)} comparisons failed"]
        lines += ["the modules to blame: " + "; ".join(blamed[:8])] if blamed else []
        lines += told(self.causes)
        raise AssertionError("\n".join([*lines, *map(str, self.failures[:8])]))


def examine(
    case: Case,
    workers: Workers | None = None,
    *,
    device: str = "cpu",
    floors: Floors | None = None,
    scripts: Path | str | None = None,
    told: Callable = lambda stage, verdicts: None,
) -> Result:
    """Everything about a case: weights, forward, choices, losses, post-processing, gradients, local errors.

    workers: with a worker for each of the case's labels, to be used again (how they compute is not looked at);
    without them the case's own are started
    and ended. floors: measured noise, see measure_floors. scripts: a folder for scripts that reproduce failures.
    told(stage, verdicts) hears of each stage as it is judged.
    """
    with workers_of(case, workers, device) as used:
        environment, verdicts = examine_environment(used) if workers is None else ({}, [])
        if any(
            v.status is Status.FAIL for v in verdicts
        ):  # whatever was compared would mean nothing
            return Result(verdicts, environment)
        folder = Path(scripts) if scripts is not None else None
        with Examination(case, used, floors, folder) as examination:
            return Result(verdicts + examination.run(told), environment)


@contextmanager
def workers_of(case: Case | FunctionCase, workers: Workers | None = None, device: str = "cpu"):
    """These workers, or the case's own for as long as the block lasts."""
    if workers is not None:
        yield workers
        return
    with Workers(case.reference, case.candidate, device=device) as own:
        yield own


def can_share(case: Case, workers: Workers) -> bool:
    """Whether these workers, which know of backends only, can run the case."""
    sides = (case.reference, case.candidate)
    plain = all(Side(s.build, s.backend, arguments=s.arguments) == s for s in sides)
    return plain and case.labels == workers.labels
