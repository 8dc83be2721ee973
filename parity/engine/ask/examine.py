"""`examine`: everything about a case, and whose workers run it.

Before: case.py. What the runs are stands in examination.py, what comes of them in result.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from parity.case import Case, FunctionCase, Side
from parity.engine.ask.environment import examine_environment
from parity.engine.ask.examination import Examination
from parity.engine.ask.result import Result
from parity.engine.judge import kinds
from parity.engine.judge.checks import NOT_LOOKED_INTO
from parity.engine.judge.floors import Floors
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.sides.workers import Workers
from parity.errors import InputError


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
    without them the case's own are started and ended. device: "cpu" or "cuda", of those. floors: measured noise, see
    measure_floors. scripts: a folder for scripts that reproduce failures.
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
            found = examination.run(told)
        narrow = refuses_float64(case, found)
        if narrow is not None:
            for label, half in zip(case.labels, (case.reference, case.candidate)):
                used[label].call("widen", half)
            with Examination(case, used, floors, folder) as again:
                found = [narrow, *again.run(told)]
        return Result(verdicts + found, environment)


# of what PyTorch raises where it is given both
WIDTHS = re.compile(r"(?i)(double|float64)\b.*\bfloat(32)?\b|\bfloat(32)?\b.*(double|float64)\b")


def refuses_float64(case: Case, verdicts: list[Verdict]) -> Verdict | None:
    """Of a reference whose own float32 cannot take float64 what is told of it; None where it can."""
    first = case.labels[0]
    for v in verdicts:
        is_own = v.kind == kinds.CRASH and v.guilty == first and first != case.labels[1]
        line = v.message.partition("\n")[0]
        if is_own and WIDTHS.search(line):
            place = f" ({v.code[0]})" if v.code and v.code[0] else ""
            message = (
                f"{first} says float32 itself{place}: in its float64 runs that is made float64"
            )
            return Verdict(case.name, NOT_LOOKED_INTO, "float32", Status.NOT_RUN, message=message)
    return None


@contextmanager
def workers_of(case: Case | FunctionCase, workers: Workers | None = None, device: str = "cpu"):
    """These workers, or the case's own for as long as the block lasts; InputError for those of other sides."""
    if workers is not None:
        lost = [label for label in getattr(case, "labels", ()) if label not in workers.labels]
        if lost:
            raise InputError(
                f"{case.name}: the workers are called {' and '.join(workers.labels)}, not {' and '.join(lost)}; "
                "make them by Workers(case.reference, case.candidate)"
            )
        yield workers
        return
    with Workers(case.reference, case.candidate, device=device) as own:
        yield own


def can_share(case: Case, workers: Workers) -> bool:
    """Whether these workers, which know of backends only, can run the case."""
    sides = (case.reference, case.candidate)
    plain = all(Side(s.build, s.backend, arguments=s.arguments) == s for s in sides)
    return plain and case.labels == workers.labels
