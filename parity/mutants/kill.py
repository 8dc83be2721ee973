"""Tries mutants against the suite and tells who was caught, where, and what slipped through."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from parity.engine.judge.verdicts import Status, Verdict, first_divergence
from parity.engine.sides.workers import FRAMEWORKS, Worker
from parity.engine.values.scratch import discard, scratch
from parity.engine.values.transport import pack, unpack
from parity.errors import WorkerDied, WorkerError
from parity.mutants import Fault


class Expected(Fault, Protocol):
    """A fault that its `experiment` must show first at `check` and `node`; `source` says which known defect it is."""

    side: str
    file: str
    experiment: str
    check: str
    node: str
    source: str


@dataclass(frozen=True)
class Experiment:
    """What one side does, and how two sides' answers (the reference's first) are judged."""

    collect: Callable[[Worker], object]
    compare: Callable[[object, object], list[Verdict]]


@dataclass(frozen=True)
class Kill:
    """`check` and `node` are where the suite turned red first; empty when it did not."""

    mutant: Expected
    check: str
    node: str
    message: str

    @property
    def caught(self) -> bool:
        return bool(self.check)

    @property
    def as_named(self) -> bool:
        return (self.check, self.node) == (self.mutant.check, self.mutant.node)

    def to_dict(self) -> dict:
        wanted = {
            k: getattr(self.mutant, k) for k in ("name", "side", "file", "experiment", "source")
        }
        wanted |= {"expected": [self.mutant.check, self.mutant.node]}
        found = {k: v for k, v in dataclasses.asdict(self).items() if k != "mutant"}
        return wanted | found | {"caught": self.caught, "as_named": self.as_named}


class Hunt:
    """Keeps the two sound workers and their answers, so that a mutant costs one process and one run."""

    def __init__(
        self, experiments: Mapping[str, Experiment], planting: str, worker: type[Worker] = Worker
    ):
        """planting: the target that installs the mutant of a name in a worker; worker: what makes one."""
        self.experiments, self.planting, self.worker = experiments, planting, worker
        self.sound = {side: worker(side) for side in FRAMEWORKS}
        self.threads = ThreadPoolExecutor(3)  # both sound workers, and the mutant's
        self.folder = scratch("hunt")
        self.answers: dict[str, dict] = {}  # packed: together they take gigabytes

    def close(self) -> None:
        for worker in self.sound.values():
            worker.close()
        self.threads.shutdown(cancel_futures=True)
        discard(self.folder)

    def sound_answers(self, name: str, experiment: Experiment) -> dict:
        if name not in self.answers:
            self.answers[name] = {
                side: pack(answer, self.folder / f"{name} {side}")
                for side, answer in self.collect(experiment).items()
            }
        packed = self.answers[name].items()
        return {side: unpack(answer, self.folder / f"{name} {side}") for side, answer in packed}

    def collect(self, experiment: Experiment) -> dict:
        """The sound answers, of both sides at once."""
        asked = [self.threads.submit(experiment.collect, w) for w in self.sound.values()]
        return dict(zip(self.sound, [future.result() for future in asked], strict=True))

    def try_mutant(self, mutant: Expected) -> Kill:
        experiment = self.experiments[mutant.experiment]
        worker = self.worker(mutant.side, preload=(f"{self.planting}={mutant.name}",))
        try:
            asked = self.threads.submit(experiment.collect, worker)
            answers = self.sound_answers(mutant.experiment, experiment)
            try:
                answers |= {mutant.side: asked.result()}
            except (WorkerDied, WorkerError) as error:
                return Kill(mutant, "worker", getattr(error, "node", "(run)"), str(error)[:300])
        finally:
            worker.close()
        found = first_divergence(experiment.compare(*(answers[side] for side in FRAMEWORKS)))
        return Kill(mutant, *((found.check, found.node, str(found)) if found else ("", "", "")))

    def false_alarms(
        self, experiments: dict[str, Experiment]
    ) -> Iterable[tuple[str, list[Verdict]]]:
        """Name and FAILs of every sound run; no list should hold any."""
        for name, experiment in experiments.items():
            answers = self.collect(experiment)
            verdicts = experiment.compare(*(answers[side] for side in FRAMEWORKS))
            yield name, [v for v in verdicts if v.status is Status.FAIL]
