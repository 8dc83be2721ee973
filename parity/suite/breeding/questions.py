"""What bred mutants are asked: every trace of the kill matrix as an examination, its other experiments as they are, and
what neither has: other options, batches without objects, what scripts ask of a session, what only edges show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from neutral.config import to_dict, with_overrides
from parity.engine.judge.judging import judge, judge_nodes
from parity.engine.judge.verdicts import Verdict
from parity.engine.judge.weights import drawn_weights
from parity.engine.sides.workers import Worker
from parity.mutants.kill import Experiment
from parity.suite.ask import ask
from parity.suite.breeding.checks import Check, Examined, Ranked, Regrets, Tried
from parity.suite.cases import AREAS, C4, CASES, FASTER_RCNN, POST_NORM, RANKED
from parity.suite.detector_case import DetectorCase
from parity.suite.mutants import experiments
from parity.suite.ranks import collect_ranks
from parity.suite.stepping import OPTIMISERS, injected_gradients

VGG16 = next(case for case in FASTER_RCNN if case.name == "simple_vgg16")
REGRETTED = ("detr", "frcnn", "frcnn as tf", "frcnn as trzy")
OPTIMISED = 1e-5  # float32, three steps each from the last: relative L2
EXACT = 1e-12  # float64: numbers that are to be the same
USED, NOTHING = 1e-6, 1e-9  # float64, steps each from the last; gradients that are rounding alone
# a small DC5: that of the kill matrix takes twenty seconds
DILATED = DetectorCase(
    "dilated",
    "scenes_detr",
    (*POST_NORM, *(f"model.backbone.{x}" for x in ("name=resnet50", "width=8", "dilation=true"))),
    (0,),
)
# what no other case has: a pooled level more, and a sample for which there are too few regions, so that some are drawn
# again; means over regions, and nothing to regress
OPTIONS = DetectorCase(
    "options",
    "scenes_frcnn",
    (
        *("model.fpn.extra=max_pool", "model.rpn.anchors.sizes=20.3;36.7;60.1;90.9"),
        *("model.roi.sampler.refill=true", "model.roi.sampler.count=200"),
    ),
    experiments.RCNN.images,
)
MEANS = DetectorCase(
    "means",
    "scenes_frcnn",
    (
        *C4,
        *AREAS,
        "model.rpn.anchors.unit=areas",
        "model.roi.head=layer4",
        "model.roi.regress=false",
    ),
    experiments.RCNN.images,
)
ACCUMULATED = DetectorCase(
    "accumulated gradients", "scenes_detr", (*POST_NORM, "optimiser.accumulate=2"), (0, 8)
)
APART = ("ranks", "detr dc5")  # see RANKS and DILATED
WAITING = 300.0  # seconds until ranks that wait for each other are ended; a launch takes 10, 60 on a busy machine
RANKS = Ranked(
    "ranks",
    Experiment(
        partial(collect_ranks, RANKED["scenes_detr"], experiments.SCENES, steps=1, limit=WAITING),
        experiments.judge_both_ranks,
    ),
)


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


def alike(check: str, limit: float, scale: float = 0.0) -> Callable[[dict, dict], list[Verdict]]:
    """Judges two dictionaries of arrays, each by its relative L2; what is below the scale is as good as nothing."""

    def judge_all(torch: dict, jittor: dict) -> list[Verdict]:
        def judge_one(node, a, b):
            return judge(check, check, node, b, a, limit, scale)

        return judge_nodes(check, check, torch, jittor, judge_one)

    return judge_all


def session(name: str, case: DetectorCase) -> Tried:
    """What scripts ask of a session, in float64."""
    config = with_overrides(case.config(), ["optimiser.ema_decay=0.9"])

    def collect(worker: Worker) -> dict[str, np.ndarray]:
        target = "parity.suite.session_requests:used"
        return worker.run(target, to_dict(config), case.batch(experiments.SCENES))

    return Tried(name, Experiment(collect, alike("session", USED, NOTHING)))


def at_edges(worker: Worker) -> dict[str, np.ndarray]:
    return worker.run("parity.suite.edges:edges")


def initial(name: str, case: DetectorCase) -> Tried:
    same = partial(experiments.same_arrays, "initial weights")
    return Tried(name, experiments.asked("initial_weights", case.config(), same))


def all_checks() -> dict[str, Check]:
    """By name: every trace of the kill matrix as an examination, its other experiments as they are."""
    cases = {
        "detr": experiments.DETR,
        "frcnn": experiments.RCNN,
        "detr pre-norm": experiments.PRE_NORM,
        "detr masks": experiments.SEGMENTING,
        "detr frozen": experiments.FROZEN_DETR,
        "frcnn as tf": experiments.LIKE_TF,
        "frcnn as trzy": experiments.LIKE_TRZY,
        "frcnn mobilenet": experiments.MOBILENET,
        "detr dropout": CASES[1],
        "detr dilated": DILATED,
        "frcnn vgg16": VGG16,
        "frcnn options": OPTIONS,
        "frcnn means": MEANS,
        "detr masks, no objects": replace(experiments.SEGMENTING, images=(20,)),
    }
    found: dict[str, Check] = {name: Examined(name, case) for name, case in cases.items()}
    found |= {f"regrets, {n}": Regrets(f"regrets, {n}", cases[n]) for n in REGRETTED}
    others = [n for n in experiments.EXPERIMENTS if n not in (*cases, *APART)]
    found |= {name: Tried(name, experiments.EXPERIMENTS[name]) for name in others}
    found["detr accumulated"] = Tried("detr accumulated", experiments.steps(ACCUMULATED))
    found["optimisers"] = Tried(
        "optimisers", Experiment(optimisers, alike("optimisers", OPTIMISED))
    )
    for what, case in {"detr": experiments.DETR, "frcnn": experiments.RCNN}.items():
        found[f"session, {what}"] = session(f"session, {what}", case)
    found["ranks"] = RANKS
    found["edges"] = Tried("edges", Experiment(at_edges, alike("edges", EXACT)))
    for what in ("frcnn", "detr masks", "frcnn mobilenet"):
        found[f"initial weights, {what}"] = initial(f"initial weights, {what}", cases[what])
    return found
