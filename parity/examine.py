"""A whole examination of one model on one batch: every run that the gates need, and all verdicts.

The runs, each a record on disk: float64 PyTorch (the reference) and float64 Jittor, free; Jittor forced by
the reference; float64 PyTorch forced by float32 values (what float32 could at best give); and both
frameworks in float32, free with the reference's decisions, and forced.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from neutral.config import to_dict
from parity import compare, localise
from parity.cases import Case
from parity.chain import Chain
from parity.floors import floors_of
from parity.golden import golden_weights
from parity.record import Record
from parity.reproduce import write_scripts
from parity.scratch import scratch
from parity.selection import Selection
from parity.verdicts import Status, Verdict
from parity.workers import FRAMEWORKS, Pair, WorkerDied, WorkerError

RESIDENT = 64 << 20  # bytes of each record that this process keeps in memory while it judges


class Examination:
    """Build, load and run a model on both sides; `build(sides, dtype)` makes the workers build it."""

    def __init__(
        self,
        case: str,
        pair: Pair,
        build: Callable[[tuple[str, ...], str], None],
        weights: Callable[[Mapping], dict[str, np.ndarray]],
        batch,
        float32: bool = True,
        float64: bool = True,
        origin: tuple[str, str] = ("", ""),
        scripts: Path | None = None,
        **options,
    ):
        """`weights(shapes)` are given to both sides; `options` go to every trace. Scripts that reproduce what
        fails go to the folder `scripts`; `origin` is what they need, see write_scripts."""
        self.case, self.pair, self.build, self.batch = case, pair, build, batch
        self.draw_weights, self.options = weights, options
        self.float32, self.float64 = float32, float64
        self.floors, self.origin, self.scripts = floors_of(case, pair.device), origin, scripts
        self.folder = scratch("records")
        self.weights: dict[str, np.ndarray] = {}
        self.records: dict[str, Record] = {}
        self.given: dict[str, tuple[list, dict]] = {}  # trained names and state, by side

    def __enter__(self) -> Examination:
        return self

    def __exit__(self, *_) -> None:
        self.records.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, told: Callable = lambda stage, verdicts: None) -> list[Verdict]:
        """Every verdict; told(stage, verdicts) hears of each stage as soon as it is judged.

        PyTorch's free float64 record stays until the end of the `with` block; the others go as soon as they are
        judged, so that they need not reach the disk.

        Each side goes through its runs at its own pace, waiting only for records of the other that it needs; what is
        there is judged meanwhile. A worker that fails or dies is a verdict too, and what was found before is not lost.
        """
        stages = [("free 64", self.judge_gradients_64), ("forced 64", self.judge_forced_64)]
        if self.float32:
            stages += [("free 32", self.judge_free_32), ("forced 32", self.judge_forced_32)]
        verdicts: list[Verdict] = []
        with Chain("torch") as torch, Chain("jittor") as jittor:
            try:
                self.weights = self.weights or torch.add(self.first_build).result()
                self.plan_torch(torch)
                self.plan_jittor(jittor, torch)
                verdicts += self.judge_early(torch, jittor)
                told("free 64, forward", verdicts)
                for name, judge in stages:
                    for chain in (torch, jittor):
                        chain.wait_for(name)
                    found = judge()
                    verdicts += found
                    told(f"{name}, backward" if name == "free 64" else name, found)
                    self.forget(f"jittor {name}", *(["torch free 32"] if name == "free 32" else []))
            except (WorkerDied, WorkerError) as error:
                node = getattr(error, "node", "run")
                message = str(error)
                verdicts.append(Verdict(self.case, "worker", node, Status.FAIL, message=message))
            except BaseException:  # interrupted: nobody waits for what the workers are at
                self.pair.kill()
                raise
        return self.with_scripts(verdicts)

    def first_build(self) -> dict[str, np.ndarray]:
        self.build(("torch",), "float64")
        return self.draw_weights(self.pair["torch"].call("shapes"))

    def plan_torch(self, chain: Chain) -> None:
        # float64 PyTorch is the reference, so it runs even where Jittor's float64 would take too long
        chain.add(self.prepare, ("torch",), "float64")
        self.plan(chain, "free 64", given=not self.float32)
        if not self.float32:
            return
        self.plan(chain, "forced 64", **self.forced)
        chain.add(self.prepare, ("torch",), "float32")
        self.plan(chain, "free 32", given=True, replay=self.path("torch", "free 64"))
        exact = self.path("torch", "forced 64")
        self.plan(chain, "forced 32", **self.forced, replay=exact)

    def plan_jittor(self, chain: Chain, torch: Chain) -> None:
        if self.float64:
            chain.add(self.prepare, ("jittor",), "float64")
            self.plan(chain, "free 64", given=not self.float32)
            reference = self.path("torch", "free 64")
            self.plan(chain, "forced 64", after=(torch, "free 64"), reference=reference)
        if not self.float32:
            return
        chain.add(self.prepare, ("jittor",), "float32")
        replay = self.path("torch", "free 64")
        self.plan(chain, "free 32", after=(torch, "free 64"), given=True, replay=replay)
        exact = self.path("torch", "forced 64")
        after = (torch, "forced 64")
        self.plan(chain, "forced 32", after=after, **self.forced, replay=exact)

    def plan(self, chain: Chain, name: str, after=None, given: bool = False, **options) -> None:
        """A trace of the chain's side under `name`, once `after` (a chain and a name of its) is there; `given`: and
        what the side says that it was given."""

        def run() -> None:
            if after is not None:
                after[0].wait_for(after[1])
            if given:
                worker = self.pair[chain.side]
                self.given[chain.side] = worker.call("trained_names"), worker.call("state")
            self.pair.collect(self.submit(name, (chain.side,), **options))

        chain.add(run, name=name)

    def judge_early(self, torch: Chain, jittor: Chain) -> list[Verdict]:
        """The semantic gate, forward: judged while gradients are still being computed."""
        given = []
        for chain in (torch, jittor) if self.float64 else ():
            chain.wait_for_file(self.path(chain.side, "free 64"), "free 64")
        if not self.float32:
            given = self.compare_given("float64")
        if not self.float64:
            return given
        two = (Record(self.path(s, "free 64"), RESIDENT, early=True) for s in FRAMEWORKS)
        return given + compare.compare_semantics(self.case, *two)

    def judge_gradients_64(self) -> list[Verdict]:
        """The semantic gate, backward."""
        two = (self["torch free 64"], self["jittor free 64"]) if self.float64 else ()
        return compare.compare_backward_64(self.case, *two) if two else []

    def judge_forced_64(self) -> list[Verdict]:
        if not self.float64:
            return []
        two = (self["torch free 64"], self["jittor forced 64"])
        return localise.compare_local_64(self.case, *two, self.weights)

    def judge_free_32(self) -> list[Verdict]:
        """The precision gate, decisions replayed."""
        three = [self[name] for name in ("torch free 64", "torch free 32", "jittor free 32")]
        given = self.compare_given("float32")
        return given + compare.compare_precision(self.case, *three, self.floors)

    def judge_forced_32(self) -> list[Verdict]:
        three = [self[name] for name in ("torch forced 64", "torch forced 32", "jittor forced 32")]
        return localise.compare_local_32(self.case, *three, self.floors)

    def with_scripts(self, verdicts: list[Verdict]) -> list[Verdict]:
        """What fails in a module gets the script that reproduces it."""
        if self.scripts is None or not localise.culprits(verdicts):
            return verdicts
        reference = self["torch free 64"]
        paths = write_scripts(self.case, reference, verdicts, self.origin, self.scripts)
        return [
            v.but(script=paths[v.owner].name) if v.status is Status.FAIL and v.owner in paths else v
            for v in verdicts
        ]

    @property
    def forced(self) -> dict:
        return {"reference": self.path("torch", "free 64"), "rounded": True}

    def run_reference(self) -> None:
        """What noise floors are measured against: both float64 runs of PyTorch, float32 built."""
        self.prepare(("torch",), "float64")
        self.pair.collect(self.submit("free 64", ("torch",)))
        self.pair.collect(self.submit("forced 64", ("torch",), **self.forced))
        self.prepare(("torch",), "float32")

    def variant_32(self) -> list[tuple[Record, Record, str]]:
        """Float32 PyTorch once more: (exact, run, prefix of the section) of a free and a forced run."""
        for name, replay, forced in (
            ("free 32", "free 64", {}),
            ("forced 32", "forced 64", self.forced),
        ):
            options = forced | {"replay": self.path("torch", replay)}
            self.pair.collect(self.submit(f"{name} again", ("torch",), **options))
        runs = [
            (self["torch free 64"], self["torch free 32 again"], ""),
            (self["torch forced 64"], self["torch forced 32 again"], "local "),
        ]
        self.forget("torch free 32 again", "torch forced 32 again")
        return runs

    def prepare(self, sides: tuple[str, ...], dtype: str) -> None:
        self.build(sides, dtype)
        if not self.weights:
            self.weights = self.draw_weights(self.pair["torch"].call("shapes"))
        self.pair.both("load", self.weights, sides=sides)

    def compare_given(self, dtype: str) -> list[Verdict]:
        """Names of trained parameters, and weights as both sides give them back."""
        wanted = Selection(self.weights, convert=lambda x: x.astype(dtype))
        names = [self.given[side][0] for side in FRAMEWORKS]
        verdicts = [compare.compare_names(self.case, *names)]
        for side in FRAMEWORKS:  # one state after the other: they are as large as a record
            verdicts += compare.compare_state(self.case, side, wanted, self.given.pop(side)[1])
        return verdicts

    def submit(self, name: str, sides: tuple[str, ...], **options) -> tuple[str, ...]:
        """Asks these sides for a trace, recorded under `name`; returns the sides that now owe an answer."""
        for side in sides:
            out = self.path(side, name)
            options = options | {"in_two": name == "free 64"}
            self.pair[side].submit("trace", self.batch, out=out, **self.options, **options)
        return sides

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


def examine_case(
    case: Case, pair: Pair, scenes_folder: Path, scripts: Path | None = None
) -> Examination:
    """The examination of one of the suite's own cases, with golden weights."""
    config = to_dict(case.config())

    def build(sides: tuple[str, ...], dtype: str) -> None:
        pair.both("build", config, pair.device, dtype, sides=sides)

    return Examination(
        case.name,
        pair,
        build,
        golden_weights,
        case.batch(scenes_folder),
        case.float32,
        case.float64,
        (repr(("build", config)), "golden_weights(shapes)"),
        scripts,
        dropout_step=case.dropout_step,
    )


def examine_pair(path: Path, pair: Pair, scripts: Path | None = None) -> Examination:
    """The examination of somebody's pair of modules (docs/pairs.md)."""

    def build(sides: tuple[str, ...], dtype: str) -> None:
        pair.both("build_pair", path, pair.device, dtype, sides=sides)

    worker = pair["torch"]
    return Examination(
        path.stem,
        pair,
        build,
        lambda shapes: worker.call("pair_weights", path, shapes),
        worker.call("pair_inputs", path),
        origin=(
            f'("build_pair", Path({str(path)!r}))',
            f'worker.call("pair_weights", Path({str(path)!r}), shapes)',
        ),
        scripts=scripts,
    )
