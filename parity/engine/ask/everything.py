"""All that `parity run` asks of a pair, one part after the other, within a time limit.

Before: examine.py, probing.py and training.py, its parts. Asked by parity/cli.py.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from parity.case import Case
from parity.engine.ask.called import check_called
from parity.engine.ask.coverage import look_at_code
from parity.engine.ask.data import check_data
from parity.engine.ask.environment import examine_environment
from parity.engine.ask.examine import examine, workers_of
from parity.engine.ask.initial import check_initial
from parity.engine.ask.probing import check_branches
from parity.engine.ask.result import Result
from parity.engine.ask.training import check_steps, has_own_steps
from parity.engine.judge import kinds
from parity.engine.judge.checks import FUNCTIONS, NOT_LOOKED_INTO
from parity.engine.judge.floors import Floors
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.sides.workers import Workers
from parity.errors import InputError, OutOfTime, WorkerDied, WorkerError

# of the time that is left where there is a limit, for training steps of the users' own: they come first, for a side
# that is stopped is started, and built, anew
STEPS = 0.6
# of a limit: the rest is for judging what sides said, reading code that ran, and the page
SIDES = 0.95
# what quick leaves out
QUICK = ("float64 of the candidate", FUNCTIONS, "other branches", "training steps")


@dataclass(frozen=True)
class Wanted:
    """steps: of training, 0 for none; branches: values that reach other branches; quick: float32 against the float64
    reference and nothing else; limit: seconds for everything, None for as long as it takes."""

    device: str = "cpu"
    steps: int = 8
    branches: bool = True
    quick: bool = False
    limit: float | None = None


def examine_all(
    case: Case, wanted: Wanted, floors: Floors | None, scripts: Path, told: Callable
) -> Result:
    """Every verdict; told(stage, verdicts) hears of each part. What was not done in time is NOT_RUN.

    What of the code ran is in the result, for coverage.py to tell."""
    verdicts: list[Verdict] = []
    environment: dict = {}
    code: dict = {}
    left_out, why = QUICK if wanted.quick else (), "left out by --quick"
    case = replace(case, float64=False) if wanted.quick else case
    with workers_of(case, None, wanted.device) as workers:
        if wanted.limit:
            workers.limit(SIDES * wanted.limit)
        try:
            environment, verdicts = examine_environment(workers)
            if any(v.status is Status.FAIL for v in verdicts):
                pass
            elif case.inputs is None:
                left_out = ()
                verdicts += check_data(case, workers, device=wanted.device).verdicts
                told("data", verdicts)
            else:
                first = check_initial(case, workers, device=wanted.device).verdicts
                told("what constructors leave", first)
                verdicts += first
                if any(v.kind == kinds.CRASH and v.node == "build" for v in first):
                    left_out, why = ("(all)",), "a side cannot be built"
                else:
                    own = reserves(case, workers, wanted)
                    if own:
                        with within(workers, STEPS):
                            verdicts += steps_of(case, workers, wanted, told)
                    found = examine(case, workers, floors=floors, scripts=scripts, told=told)
                    verdicts += found.verdicts
                    for part in _more(case, workers, wanted, told, own):
                        verdicts += part
        except OutOfTime as error:
            verdicts.append(_not_run(case, "(all)", str(error)))
        with suppress(WorkerError, WorkerDied):  # which was told
            code = look_at_code(case, workers)
    verdicts += [_not_run(case, part, why) for part in left_out]
    return Result(verdicts, environment, code)


def _not_run(case: Case, part: str, why: str) -> Verdict:
    return Verdict(case.name, NOT_LOOKED_INTO, part, Status.NOT_RUN, message=why)


def reserves(case: Case, workers: Workers, wanted: Wanted) -> bool:
    """Whether time is kept for the user's own training steps."""
    if not wanted.limit or not wanted.steps or wanted.quick:
        return False
    with suppress(WorkerError, WorkerDied, InputError):  # which is told
        return has_own_steps(case, workers, wanted.device)
    return False


@contextmanager
def within(workers: Workers, share: float) -> Iterator[None]:
    """Inside, no more than that share of the time that is left may be used; a side that it stops is started anew."""
    left = workers.left()
    deadline = time.monotonic() + left
    workers.until(time.monotonic() + share * left)
    try:
        yield
    finally:
        workers.until(deadline)


def steps_of(case: Case, workers: Workers, wanted: Wanted, told: Callable) -> list[Verdict]:
    steps = partial(check_steps, case, workers, steps=wanted.steps, idle=False, told=told)
    return kept(case, "training steps", steps)


def _more(
    case: Case, workers: Workers, wanted: Wanted, told: Callable, stepped: bool
) -> Iterator[list[Verdict]]:
    """What there is beside the examination, part by part: data, functions, other branches, training steps where there
    were none yet."""
    found = check_data(case, workers, needed=False).verdicts
    if found:
        told("data", found)
    yield found
    if wanted.quick:
        return
    yield kept(case, FUNCTIONS, lambda: check_called(case, workers))
    if wanted.branches:
        yield kept(case, "branches", lambda: check_branches(case, workers, told=told))
    if wanted.steps and not stepped:
        yield steps_of(case, workers, wanted, told)


def kept(case: Case, part: str, ask: Callable[[], Result]) -> list[Verdict]:
    """The verdicts that ask() gives; NOT_RUN where the harness itself raises, so that none of before is lost."""
    try:
        return ask().verdicts
    except (InputError, OutOfTime):
        raise
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        why = (
            f"the harness raised {type(error).__name__}: {error} ({where.filename}:{where.lineno})"
        )
        return [_not_run(case, part, f"{why}; tell its authors")]
