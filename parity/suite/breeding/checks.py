"""The checks that bred mutants are tried on, and the warm processes that they run in.

All in float64, each side's sound answers computed once. A check is asked with copies of the sides that have a mutant;
the other side's part is what its sound process gave.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from neutral.config import to_dict
from parity.engine.crashes import fine_calls, inherited_crashes, judge_crashes
from parity.engine.judging import judge, judge_nodes
from parity.engine.known import with_known
from parity.engine.localise import compare_local_64
from parity.engine.record import Record
from parity.engine.scratch import discard, scratch
from parity.engine.semantic import compare_backward_64, compare_forward_64
from parity.engine.transport import pack, unpack
from parity.engine.verdicts import Status, Verdict
from parity.engine.weights import compare_names, compare_weights, drawn_weights
from parity.engine.workers import FRAMEWORKS, Worker
from parity.errors import InputError, WorkerDied, WorkerError
from parity.mutants.kill import Probe
from parity.mutants.warm import Warm
from parity.suite.ask import ask
from parity.suite.cases import CASES, FASTER_RCNN, POST_NORM
from parity.suite.detector_case import DetectorCase
from parity.suite.mutants import probes
from parity.suite.regrets import collect_regrets, compare_regrets
from parity.suite.stepping import OPTIMISERS, injected_gradients

VGG16 = next(case for case in FASTER_RCNN if case.name == "simple_vgg16")
REGRETTED = ("detr", "frcnn", "frcnn as tf", "frcnn as trzy")
OPTIMISED = 1e-5  # float32, three steps each from the last: relative L2
# a small DC5: that of the kill matrix takes twenty seconds
DILATED = DetectorCase(
    "dilated",
    "scenes_detr",
    (*POST_NORM, *(f"model.backbone.{x}" for x in ("name=resnet50", "width=8", "dilation=true"))),
    (0,),
)
ACCUMULATED = DetectorCase(
    "accumulated gradients", "scenes_detr", (*POST_NORM, "optimiser.accumulate=2"), (0, 8)
)
APART = ("ranks", "detr dc5")  # starts processes; see DILATED
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

    def collect(self, worker: Worker, path: Path):
        raise NotImplementedError

    def judge(self, nursery: Nursery, copies: Mapping[str, Worker], answers: Mapping) -> list:
        raise NotImplementedError

    def attempt(self, nursery: Nursery, copies: Mapping[str, Worker]) -> list[Verdict]:
        """Verdicts with mutants on the sides that have a copy."""
        answers = {s: nursery.sound(self, s) for s in FRAMEWORKS if s not in copies}
        for side, worker in copies.items():
            path = nursery.path(self, side, "mutant")
            path.unlink(missing_ok=True)
            try:
                answers[side] = self.collect(worker, path)
            except (WorkerDied, WorkerError, InputError) as error:
                node = getattr(error, "node", "") or "(run)"
                text = told_of(error)
                return [Verdict(self.name, "worker", node, Status.FAIL, message=text, guilty=side)]
        return self.judge(nursery, copies, answers)


def told_of(error: Exception) -> str:
    """What is known of a side's end, with the lines of this project that its traceback went through."""
    trace = error.details if isinstance(error, WorkerError) else ""
    found = re.findall(r'File "[^"]*?(\w+_impl/[^"]+|neutral/[^"]+)", (line \d+)', trace)
    return "\n".join([str(error)[:600], *(f"{file}, {line}" for file, line in found[-6:])])


class Examined(Check):
    """A detector's case, as `examine` has it in float64: free runs, and a forced one where these differ."""

    def __init__(self, name: str, case: DetectorCase):
        self.name, self.case = name, case

    def collect(self, worker: Worker, path: Path) -> dict:
        self.build(worker)
        given = {"names": worker.call("trained_names"), "state": worker.call("state")}
        worker.call("trace", self.case.batch(probes.SCENES), out=path, survive=True)
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
            batch = self.case.batch(probes.SCENES)
            (worker or own).call("trace", batch, out=path, reference=source, survive=True)
        except (WorkerDied, WorkerError, InputError) as error:
            node = getattr(error, "node", "") or "(run)"
            return [Verdict(self.name, "worker", node, Status.FAIL, message=told_of(error))]
        finally:
            if own is not None:
                own.close()
        forced = Record(path)
        found = compare_local_64(self.name, records[reference], forced, self.drawn, order)
        fine[candidate] = fine_calls(forced)
        traces = {reference: records[reference], candidate: forced}
        return judge_crashes(self.name, traces, found, told, "forced")


class Probed(Check):
    """A probe of the kill matrix."""

    def __init__(self, name: str, probe: Probe):
        self.name, self.probe = name, probe

    def collect(self, worker: Worker, path: Path) -> tuple:
        return pack(self.probe.collect(worker), path), path

    def judge(self, nursery: Nursery, copies: Mapping[str, Worker], answers: Mapping) -> list:
        return self.probe.compare(*(unpack(*answers[side]) for side in FRAMEWORKS))


def optimisers(worker: Worker) -> dict[str, np.ndarray]:
    """Three steps of every optimiser from drawn parameters, and clipped gradients, in float32."""
    found = {}
    gradients = [injected_gradients(step) for step in range(3)]
    start = drawn_weights({n: g.shape for n, g in gradients[0].items() if g is not None})
    start["unused"] = np.ones(4, np.float32)
    for name, options in OPTIMISERS.items():
        state, slots = dict(start), None
        decays = {n: options.weight_decay * (n != "bias") for n in start}
        for step, given in enumerate(gradients):
            rates = {n: 1e-3 if n == "bias" else 1e-2 for n in start}
            settings = vars(options) | {"ema_decay": 0.9}
            state, slots = ask(
                worker, "optimise", settings, state, slots, step, given, rates, decays
            )
            found |= {f"{name}/step{step}/{k}": v for k, v in (state | slots).items()}
    for limit in (0.1, 200.0, 1e6, 0.0):
        clipped = ask(worker, "clip", gradients[0], limit, 1e-6)
        found |= {f"clip {limit:g}/{k}": v for k, v in clipped.items() if v is not None}
    return found


def judge_optimisers(torch: dict, jittor: dict) -> list[Verdict]:
    check = "optimisers"

    def judge_one(node, a, b):
        return judge(check, check, node, b, a, OPTIMISED)

    return judge_nodes(check, check, torch, jittor, judge_one)


class Regrets(Examined):
    """How much each side regrets what was chosen wrongly for it."""

    def collect(self, worker: Worker, path: Path) -> dict:
        return collect_regrets(worker, self.case, self.case.batch(probes.SCENES))

    def judge(self, nursery: Nursery, copies: Mapping[str, Worker], answers: Mapping) -> list:
        return compare_regrets(self.name, *(answers[side] for side in FRAMEWORKS))


def all_checks() -> dict[str, Check]:
    """By name: every trace of the kill matrix as an examination, its other probes as they are."""
    cases = {
        "detr": probes.DETR,
        "frcnn": probes.RCNN,
        "detr pre-norm": probes.PRE_NORM,
        "detr masks": probes.SEGMENTING,
        "detr frozen": probes.FROZEN_DETR,
        "frcnn as tf": probes.LIKE_TF,
        "frcnn as trzy": probes.LIKE_TRZY,
        "frcnn mobilenet": probes.MOBILENET,
        "detr dropout": CASES[1],
        "detr dilated": DILATED,
        "frcnn vgg16": VGG16,
    }
    found: dict[str, Check] = {name: Examined(name, case) for name, case in cases.items()}
    found |= {f"regrets, {n}": Regrets(f"regrets, {n}", cases[n]) for n in REGRETTED}
    others = [n for n in probes.PROBES if n not in (*cases, *APART)]
    found |= {name: Probed(name, probes.PROBES[name]) for name in others}
    found["detr accumulated"] = Probed("detr accumulated", probes.steps(ACCUMULATED))
    found["optimisers"] = Probed("optimisers", Probe(optimisers, judge_optimisers))
    return found
