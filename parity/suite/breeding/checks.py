"""The checks that bred mutants are tried on, and the warm processes that they run in.

All in float64, each side's sound answers computed once. A check is asked with copies of the sides that have a mutant;
the other side's part is what its sound process gave.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from neutral.config import to_dict
from parity.engine.judge.crashes import (
    fine_calls,
    inherited_crashes,
    judge_crashes,
    raised,
    unfinished,
)
from parity.engine.judge.localise import compare_local_64
from parity.engine.judge.semantic import compare_backward_64, compare_forward_64
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.judge.weights import compare_names, compare_weights, drawn_weights
from parity.engine.sides.workers import FRAMEWORKS, Worker
from parity.engine.tell.known import with_known
from parity.engine.values.record import Record
from parity.engine.values.scratch import discard, scratch
from parity.engine.values.transport import pack, unpack
from parity.errors import InputError, WorkerDied, WorkerError
from parity.mutants.kill import Experiment
from parity.mutants.warm import Warm
from parity.suite.ask import ask
from parity.suite.detector_case import DetectorCase
from parity.suite.mutants import experiments
from parity.suite.regrets import collect_regrets, compare_regrets

FRESH = ("torch_impl", "jittor_impl", "neutral", "parity.suite")  # imported anew in every copy


class Nursery:
    """A warm process a side, and what their sound copies answered."""

    def __init__(self) -> None:
        self.warm = {side: Warm(side, FRESH) for side in FRAMEWORKS}
        self.folder = scratch("nursery", memory=False)  # sound records of all checks: gigabytes
        self.answers: dict[tuple[str, str], object] = {}
        self.seconds: dict[str, float] = {}  # of each check, the slower side's

    def close(self) -> None:
        for worker in self.warm.values():
            worker.close()
        discard(self.folder)

    def sound(self, check: Check, side: str):
        """What a side without a mutant gives; the first time the warm process itself runs, which loads its kernels."""
        key = (check.name, side)
        if key not in self.answers:
            check.collect(self.warm[side], self.path(check, side, "warm-up"))
            started = time.monotonic()
            with self.warm[side].copy() as worker:
                self.answers[key] = check.collect(worker, self.path(check, side, "free"))
            taken = time.monotonic() - started
            self.seconds[check.name] = max(taken, self.seconds.get(check.name, 0.0))
            self.path(check, side, "warm-up").unlink(missing_ok=True)
        return self.answers[key]

    def forget(self, check: Check) -> None:
        """What a check that is asked once left."""
        for side in FRAMEWORKS:
            self.answers.pop((check.name, side), None)
            self.path(check, side, "free").unlink(missing_ok=True)

    def path(self, check: Check, side: str, what: str) -> Path:
        return self.folder / f"{check.name} {side} {what}.safetensors"


class Check:
    """One question to both sides. `collect` asks one and leaves large answers in a file."""

    name: str
    elsewhere: tuple[
        str, ...
    ] = ()  # files that it runs in processes of its own, where nobody learns their lines

    def collect(self, worker: Worker, path: Path):
        raise NotImplementedError

    def judge(self, nursery: Nursery, copies: Mapping[str, Worker], answers: Mapping) -> list:
        raise NotImplementedError

    def attempt(self, nursery: Nursery, copies: Mapping[str, Worker]) -> list[Verdict]:
        """Verdicts with mutants on the sides that have a copy."""
        # of all sides, mutants or not: kernels are loaded then, and weights drawn by a side without any
        answers = {side: nursery.sound(self, side) for side in FRAMEWORKS}
        for side, worker in copies.items():
            path = nursery.path(self, side, "mutant")
            path.unlink(missing_ok=True)
            try:
                answers[side] = self.collect(worker, path)
            except (WorkerDied, WorkerError, InputError) as error:
                return [ended(self.name, error, side).but(guilty=side)]
        return self.judge(nursery, copies, answers)


def ended(case: str, error: Exception, side: str) -> Verdict:
    """What is known of a side's end; of input that the harness itself refused no place is."""
    if not isinstance(error, InputError):
        return unfinished(case, error, [])[0]
    told = getattr(error, "told", {})
    if not told:
        return Verdict(case, "worker", "(run)", Status.FAIL, message=str(error)[:600])
    return raised(case, side, told.get("node") or "(run)", told, side == FRAMEWORKS[0])


class Examined(Check):
    """A detector's case, as `examine` has it in float64: free runs, and a forced one where these differ."""

    def __init__(self, name: str, case: DetectorCase):
        self.name, self.case = name, case

    def collect(self, worker: Worker, path: Path) -> dict:
        self.build(worker)
        given = {"names": worker.call("trained_names"), "state": worker.call("state")}
        worker.call("trace", self.case.batch(experiments.SCENES), out=path, survive=True)
        return given | {"path": path}

    def build(self, worker: Worker) -> None:
        config = to_dict(self.case.config())
        ask(worker, "build", config, "cpu", "float64", self.case.dropout_step)
        worker.call("load", self.weights(worker), strict=False)

    def weights(self, worker: Worker) -> dict[str, np.ndarray]:
        """Those of the first who asks, which is a sound side."""
        if not hasattr(self, "drawn"):
            self.drawn = drawn_weights(worker.call("shapes"))
        return self.drawn

    def judge(self, nursery: Nursery, copies: Mapping[str, Worker], answers: Mapping) -> list:
        name, told = self.name, set()
        given = {k: v.astype(np.float64) for k, v in self.drawn.items()}
        verdicts = [compare_names(name, *(answers[s]["names"] for s in FRAMEWORKS))]
        verdicts += compare_weights(name, given, *(answers[s]["state"] for s in FRAMEWORKS))
        records = {side: Record(answers[side]["path"]) for side in FRAMEWORKS}
        two = tuple(records.values())
        found = compare_forward_64(name, *two) + compare_backward_64(name, *two)
        verdicts += judge_crashes(name, records, found, told, "free")
        fine: dict[str, set[str]] = {}
        if any(v.status is Status.FAIL for v in verdicts):
            verdicts += self.localised(nursery, copies, records, told, fine)
        return with_known(inherited_crashes(verdicts, fine))

    def localised(
        self, nursery: Nursery, copies: Mapping, records: dict, told: set, fine: dict
    ) -> list:
        """Local errors of one side, forced by the other's record: Jittor's by PyTorch's, unless this alone raised.
        `fine` gets the calls that did not raise then."""
        order = FRAMEWORKS
        if records[order[0]].get("crashes") and not records[order[1]].get("crashes"):
            order = order[::-1]
        reference, candidate = order
        path = nursery.path(self, candidate, "forced")
        path.unlink(missing_ok=True)
        worker = copies.get(candidate)
        own = nursery.warm[candidate].copy() if worker is None else None
        try:
            if own is not None:
                self.build(own)
            source = records[reference].path
            batch = self.case.batch(experiments.SCENES)
            (worker or own).call("trace", batch, out=path, reference=source, survive=True)
        except (WorkerDied, WorkerError, InputError) as error:
            return [ended(self.name, error, candidate)]
        finally:
            if own is not None:
                own.close()
        forced = Record(path)
        found = compare_local_64(self.name, records[reference], forced, self.drawn, order)
        fine[candidate] = fine_calls(forced)
        traces = {reference: records[reference], candidate: forced}
        return judge_crashes(self.name, traces, found, told, "forced")


class Tried(Check):
    """A experiment of the kill matrix."""

    def __init__(self, name: str, experiment: Experiment):
        self.name, self.experiment = name, experiment

    def collect(self, worker: Worker, path: Path) -> tuple:
        return pack(self.experiment.collect(worker), path), path

    def judge(self, nursery: Nursery, copies: Mapping[str, Worker], answers: Mapping) -> list:
        found = {side: unpack(*answers[side]) for side in FRAMEWORKS}
        for side in copies:  # no sound side refuses what it is given
            if isinstance(found[side], InputError):
                return [ended(self.name, found[side], side).but(guilty=side)]
        return self.experiment.compare(*found.values())


class Ranked(Tried):
    """Several processes a side, started by its own launcher with what the copy has planted."""

    elsewhere = ("group.py",)


class Regrets(Examined):
    """How much each side regrets what was chosen wrongly for it."""

    def collect(self, worker: Worker, path: Path) -> dict:
        return collect_regrets(worker, self.case, self.case.batch(experiments.SCENES))

    def judge(self, nursery: Nursery, copies: Mapping[str, Worker], answers: Mapping) -> list:
        return compare_regrets(self.name, *(answers[side] for side in FRAMEWORKS))
