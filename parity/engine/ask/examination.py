"""A whole examination of one case: every run that the gates need, and all verdicts.

The runs, each a record on disk: the float64 reference and the float64 candidate, free; the candidate forced by
the reference; the float64 reference forced by float32 values (what float32 could at best give); and both
sides in float32, free with the reference's choices, and forced.

Before: values/chain.py and values/record.py. Asked by examine.py; gates are judge/semantic.py, precision.py and
localise.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from parity.case import DRAWN, Case, Side
from parity.engine.ask.again import idle_of, look_again, look_at_resized, look_at_whole
from parity.engine.ask.by_loss import told_by_loss
from parity.engine.judge.checks import GRADIENTS_64, NOT_LOOKED_INTO
from parity.engine.judge.crashes import Crashes, unfinished
from parity.engine.judge.floors import Floors
from parity.engine.judge.localise import compare_local_32, compare_local_64, culprits
from parity.engine.judge.precision import PrecisionGate
from parity.engine.judge.semantic import compare_backward_64, compare_forward_64
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.judge.weights import compare_given, idle_names, with_idle
from parity.engine.sides.workers import Workers
from parity.engine.tell.known import with_known
from parity.engine.tell.reproduce import with_scripts
from parity.engine.tell.shown import with_values
from parity.engine.values.arrays import Selection
from parity.engine.values.chain import Chain
from parity.engine.values.nodes import ROOT
from parity.engine.values.proposing import DESCRIBE
from parity.engine.values.record import Record
from parity.engine.values.scratch import discard, scratch
from parity.engine.values.stopwatch import COMPARING
from parity.errors import WorkerDied, WorkerError

HELD = "parity.engine.sides.constants"
RESIDENT = 64 << 20  # bytes of each record that this process keeps in memory while it judges


class Examination:
    """Builds, loads and runs both sides of a case in `workers`, which have a worker for each of its labels."""

    def __init__(
        self,
        case: Case,
        workers: Workers,
        floors: Floors | None = None,
        scripts: Path | None = None,
    ):
        """Scripts that reproduce what fails go to the folder `scripts`."""
        self.case, self.workers, self.scripts = case, workers, scripts
        self.sides = case.labels
        self.halves: dict[str, Side] = dict(zip(self.sides, (case.reference, case.candidate)))
        floors = floors or Floors()
        floors.check_device(workers.device)
        self.gate = PrecisionGate(case.name, floors, self.sides)
        self.folder = scratch("records")
        self.inputs = self.targets = None
        self.untrained: dict[str, str] = {}  # inputs, and why
        self.weights: dict[str, np.ndarray] = {}
        self.records: dict[str, Record] = {}
        self.crashes = Crashes()
        self.judged: set[str] = set()  # stages
        self.idle: dict[str, set[str]] = {}  # parameters by side, see idle_names
        self.given: dict[str, tuple] = {}  # names, state, what is left out, parameters

    def __enter__(self) -> Examination:
        return self

    def __exit__(self, *_) -> None:
        self.records.clear()
        discard(self.folder)

    def run(self, told: Callable = lambda stage, verdicts: None) -> list[Verdict]:
        """Every verdict; told(stage, verdicts) hears of each stage as soon as it is judged.

        The reference's free float64 record stays until the end of the `with` block; the others go when they are judged.

        Each side goes at its own pace, waiting only for records of the other that it needs; what is there is judged
        meanwhile. A worker that fails or dies is a verdict too, and what was found before is not lost.
        """
        stages = [("free 64", self.judge_gradients_64), ("forced 64", self.judge_forced_64)]
        if self.case.float32:
            stages += [("free 32", self.judge_free_32), ("forced 32", self.judge_forced_32)]
        verdicts: list[Verdict] = []
        idle: set[str] = set()
        first, second = self.sides
        with Chain(first) as reference, Chain(second) as candidate:
            try:
                reference.add(self.first_build).result()
                self.plan_reference(reference)
                self.plan_candidate(candidate, reference)
                verdicts += self.survived(
                    self.judge_early(reference, candidate), "free 64", early=True
                )
                told("free 64, forward", verdicts)
                for name, judge in stages:
                    for chain in (reference, candidate):
                        chain.wait_for(name)
                    with COMPARING:
                        found = self.survived(judge(), name)
                    verdicts += found
                    self.judged.add(name)
                    told(f"{name}, backward" if name == "free 64" else name, found)
                    self.forget(f"{second} {name}")
                verdicts = look_at_resized(self, look_at_whole(self, verdicts))
                idle = idle_of(self)
                self.forget(f"{first} free 32")
            except (WorkerDied, WorkerError) as error:
                left = [n for n, _ in stages if n not in self.judged]
                verdicts += unfinished(self.case.name, error, left, first)
            except BaseException:  # interrupted: nobody waits for what the workers are at
                self.workers.kill()
                raise
        verdicts = told_by_loss(self, self.crashes.inherited(verdicts))
        verdicts = with_known(with_idle(verdicts, idle))
        free = self.path(first, "free 64")  # not there where no inputs could be made
        if self.scripts is None or not culprits(verdicts) or not free.exists():
            return verdicts
        return with_scripts(self.case, self[free.stem], verdicts, self.weights, self.scripts)

    def survived(self, found: list[Verdict], name: str, early: bool = False) -> list[Verdict]:
        """The verdicts of a stage, after what raised in its runs."""
        there = {s: p for s in self.sides if (p := self.path(s, name)).exists()}
        traces = {
            side: Record(path, RESIDENT, early=True) if early else self[path.stem]
            for side, path in there.items()
        }
        gradients = [t["gradients"] for t in traces.values() if not early and "gradients" in t]
        if len(gradients) == 2 and name.startswith("free"):
            self.idle = dict(zip(self.sides, idle_names(*gradients)))
        return self.crashes.judge(self.case.name, traces, found, name)

    def first_build(self) -> None:
        """The reference, and what both sides are given."""
        self.build(self.sides[:1], "float64")
        worker, case = self.workers[self.sides[0]], self.case
        if self.inputs is None:
            self.inputs, self.targets = worker.made(case.inputs), worker.made(case.targets)
            if case.gradients:
                self.untrained = worker.run(f"{HELD}:untrained", self.inputs, case.untrained)
        self.plain = worker.run(f"{HELD}:plain")
        tables = worker.call("tables") if case.weights == DRAWN else {}
        self.weights = self.weights or worker.weights(case) | tables

    def build(self, sides: tuple[str, ...], dtype: str) -> None:
        for side in sides:
            self.workers[side].submit(
                "build", self.halves[side], self.workers.device, dtype, self.case.training, side
            )
        self.workers.collect(sides)

    def plan_reference(self, chain: Chain) -> None:
        # the float64 reference runs even where the candidate's float64 would take too long
        first = self.sides[0]
        chain.add(self.prepare, (first,), "float64")
        self.plan(chain, "free 64", given=not self.case.float32)
        if not self.case.float32:
            return
        self.plan(chain, "forced 64", **self.forced)
        chain.add(self.prepare, (first,), "float32")
        self.plan(chain, "free 32", given=True, replay=self.path(first, "free 64"))
        exact = self.path(first, "forced 64")
        self.plan(chain, "forced 32", **self.forced, replay=exact)

    def plan_candidate(self, chain: Chain, reference: Chain) -> None:
        first, second = self.sides
        free = self.path(first, "free 64")
        if self.case.float64:
            chain.add(self.prepare, (second,), "float64")
            self.plan(chain, "free 64", given=not self.case.float32)
            self.plan(chain, "forced 64", after=(reference, "free 64"), reference=free)
        if not self.case.float32:
            return
        chain.add(self.prepare, (second,), "float32")
        self.plan(chain, "free 32", after=(reference, "free 64"), given=True, replay=free)
        exact = self.path(first, "forced 64")
        after = (reference, "forced 64")
        self.plan(chain, "forced 32", after=after, **self.forced, replay=exact)

    def plan(self, chain: Chain, name: str, after=None, given: bool = False, **options) -> None:
        """A trace of the chain's side under `name`, once `after` (a chain and a name of its) is there; `given`: and
        what the side says that it was given."""

        def run() -> None:
            if after is not None:
                after[0].wait_for(after[1])
            if given:
                worker = self.workers[chain.side]
                asked = [worker.call(what) for what in ("trained_names", "state", "left_out")]
                self.given[chain.side] = (*asked, worker.call("run", DESCRIBE))
            self.workers.collect(self.submit(name, (chain.side,), **options))

        chain.add(run, name=name)

    def judge_early(self, reference: Chain, candidate: Chain) -> list[Verdict]:
        """The semantic gate, forward: judged while gradients are still being computed."""
        given = []
        for chain in (reference, candidate) if self.case.float64 else ():
            chain.wait_for_file(self.path(chain.side, "free 64"), "free 64")
        if not self.case.float32:
            given = self.compare_given("float64")
        if not self.case.float64:
            return given
        with COMPARING:
            two = [Record(self.path(s, "free 64"), RESIDENT, early=True) for s in self.sides]
            found = compare_forward_64(self.case.name, *two, self.sides)
            return given + with_values(found, *two)

    def judge_gradients_64(self) -> list[Verdict]:
        """The semantic gate, backward."""
        if not self.case.float64:
            return []
        two = [self[f"{side} free 64"] for side in self.sides]
        found = with_values(compare_backward_64(self.case.name, *two, self.sides), *two)
        if not found and self.case.gradients:
            message = "neither side has a total that anything trained leads to"
            return [self.not_run(GRADIENTS_64, "(all)", message)]
        return found

    def not_run(self, check: str, node: str, message: str) -> Verdict:
        return Verdict(self.case.name, check, node, Status.NOT_RUN, message=message)

    def judge_forced_64(self) -> list[Verdict]:
        if not self.case.float64:
            return []
        two = (self[f"{self.sides[0]} free 64"], self[f"{self.sides[1]} forced 64"])
        return with_values(compare_local_64(self.case.name, *two, self.weights, self.sides), *two)

    def judge_free_32(self) -> list[Verdict]:
        """The precision gate, choices replayed."""
        first, second = self.sides
        three = [self[n] for n in (f"{first} free 64", f"{first} free 32", f"{second} free 32")]
        given = self.compare_given("float32")
        return given + with_values(self.gate.compare(*three), *three[1:])

    def judge_forced_32(self) -> list[Verdict]:
        first, second = self.sides
        three = [self[f"{side} forced {n}"] for side, n in ((first, 64), (first, 32), (second, 32))]
        found = compare_local_32(self.gate, *three, self.weights)
        return with_values(look_again(self, found), *three[1:])

    @property
    def forced(self) -> dict:
        return {"reference": self.path(self.sides[0], "free 64"), "rounded": True}

    def run_reference(self) -> None:
        """What noise floors are measured against: both float64 runs of the reference, float32 built."""
        first = self.sides[:1]
        self.first_build()
        self.prepare(first, "float64")
        self.workers.collect(self.submit("free 64", first))
        self.workers.collect(self.submit("forced 64", first, **self.forced))
        self.prepare(first, "float32")

    def prepare(self, sides: tuple[str, ...], dtype: str) -> None:
        self.build(sides, dtype)
        self.workers.both("load", self.weights, strict=False, sides=sides)
        if self.untrained:
            self.workers.run(f"{HELD}:hold", list(self.untrained), sides=sides)

    def compare_given(self, dtype: str) -> list[Verdict]:
        """What both sides say that they were given, and inputs that are taken for labels."""
        wanted = Selection(self.weights, convert=lambda x: x.astype(dtype))
        told = ((f"{ROOT}/in{path}", why) for path, why in self.untrained.items() if why)
        verdicts = [self.not_run(NOT_LOOKED_INTO, node, why) for node, why in told]
        return verdicts + compare_given(self.case.name, self.sides, wanted, self.given, self.plain)

    def submit(self, name: str, sides: tuple[str, ...], **options) -> tuple[str, ...]:
        """Asks these sides for a trace, recorded under `name`; returns the sides that now owe an answer."""
        for side in sides:
            options |= {"in_two": name == "free 64", "out": self.path(side, name)}
            self.workers[side].submit("trace", self.inputs, **self.options, **options)
        return sides

    @property
    def options(self) -> dict:  # of every trace
        return {"gradients": self.case.gradients, "targets": self.targets, "survive": True}

    def path(self, side: str, name: str) -> Path:
        return self.folder / f"{side} {name}.safetensors"

    def forget(self, *names: str) -> None:
        """Deletes these records, where they are."""
        for name in names:
            self.records.pop(name, None)
            for path in self.folder.glob(f"{name}.*"):
                path.unlink()

    def __getitem__(self, name: str) -> Record:
        if name not in self.records:
            self.records[name] = Record(self.folder / f"{name}.safetensors", RESIDENT)
        return self.records[name]
