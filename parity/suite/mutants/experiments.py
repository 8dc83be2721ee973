"""The experiments that mutants are tried on: what one side does, and how two sides' answers are judged.

`collect` runs on one worker, so the sound answers of both sides are collected once and every mutant
costs one more process. All in float64, on small models.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from neutral.config import Config, to_dict, with_overrides
from parity.engine.judge.judging import judge_equal, judge_nodes
from parity.engine.judge.semantic import compare_semantics
from parity.engine.judge.steps import compare_steps
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.judge.weights import compare_names, compare_weights, drawn_weights
from parity.engine.sides.workers import Worker
from parity.errors import InputError
from parity.mutants.kill import Experiment
from parity.suite.ask import ask
from parity.suite.cases import CASES, FASTER_RCNN, POST_NORM, RANKED
from parity.suite.detector_case import DetectorCase, sizes
from parity.suite.op_cases import collect_ops, compare_ops_64
from parity.suite.ranks import collect_ranks, compare_frameworks, compare_ranks
from parity.suite.stepping import collect_steps, drop_epochs

SCENES = Path(__file__).resolve().parent.parent.parent.parent / "logs" / "data"
FROZEN = ("model.backbone.norm=frozen_batch", "model.backbone.frozen_stages=2")


def _trace(case: DetectorCase, worker: Worker, salt: str = "") -> dict:
    ask(worker, "build", to_dict(case.config()), "cpu", "float64", case.dropout_step)
    weights = drawn_weights(worker.call("shapes"), salt)
    worker.call("load", weights)
    return {
        "given": {k: v.astype(np.float64) for k, v in weights.items()},
        "state": worker.call("state"),
        "names": worker.call("trained_names"),
        "trace": worker.call("trace", case.batch(SCENES)),
    }


def _compare_traces(case: DetectorCase, torch: dict, jittor: dict) -> list[Verdict]:
    verdicts = [compare_names(case.name, torch["names"], jittor["names"])]
    verdicts += compare_weights(case.name, torch["given"], torch["state"], jittor["state"])
    return verdicts + compare_semantics(case.name, torch["trace"], jittor["trace"])


def trace(case: DetectorCase, salt: str = "") -> Experiment:
    """Weights, names, and everything that a trace holds."""
    return Experiment(partial(_trace, case, salt=salt), partial(_compare_traces, case))


def steps(case: DetectorCase) -> Experiment:
    """Coupled training steps across a learning-rate drop."""
    config = case.config()

    def collect(worker: Worker):
        epochs = drop_epochs(config, 4)
        return collect_steps(worker, config, drawn_weights, case.batch(SCENES), epochs)

    return Experiment(collect, partial(compare_steps, f"{case.preset}: training steps"))


def asked(method: str, config: Config, judge: Callable, *arguments) -> Experiment:
    """One question to the worker; judge(torch, jittor) -> verdicts. Bad input is an answer too."""

    def collect(worker: Worker):
        try:
            return ask(worker, method, to_dict(config), *arguments)
        except InputError as error:
            return error

    return Experiment(collect, judge)


def same_arrays(check: str, torch, jittor) -> list[Verdict]:
    """Both answers are dictionaries of arrays, bitwise equal; an error on one side is a FAIL."""
    for side, answer in (("torch", torch), ("jittor", jittor)):
        if isinstance(answer, InputError):
            return [Verdict(check, check, side, Status.FAIL, message=str(answer))]
    return judge_nodes(check, check, torch, jittor, partial(judge_equal, check, check))


def judge_both_ranks(torch: tuple, jittor: tuple) -> list[Verdict]:
    """Each side's ranks against one process of it; both sides' against each other."""
    case = RANKED["scenes_detr"]
    verdicts = compare_ranks(case, "torch", *torch) + compare_ranks(case, "jittor", *jittor)
    return verdicts + compare_frameworks(case, torch[0], jittor[0])


DETR, RCNN, LIKE_TF, LIKE_TRZY = CASES[0], FASTER_RCNN[0], FASTER_RCNN[1], FASTER_RCNN[2]
FROZEN_DETR = DetectorCase("frozen statistics", "scenes_detr", (*POST_NORM, *FROZEN), DETR.images)
DC5 = DetectorCase("DC5", "detr_r50_dc5", sizes(48, 60), (0,), padded=False)
SEGMENTING = next(case for case in CASES if case.name == "scenes_detr with masks")
MOBILENET = next(case for case in FASTER_RCNN if case.name == "tf_mobile")
UNCLIPPED = DetectorCase(
    "SGD without clipping",
    "scenes_frcnn",
    ("optimiser.kind=sgd", "optimiser.clip_max_norm=0", "optimiser.lr=1e-3"),
    (0, 8),
)
PRE_NORM = CASES[2]
AUGMENTED = with_overrides(
    DETR.config(), ["transform.crop_probability=1", "transform.train_sizes=112,128"]
)
EXPERIMENTS = {
    "ops": Experiment(partial(collect_ops, dtype="float64"), compare_ops_64),
    "detr": trace(DETR),
    "detr pre-norm": trace(PRE_NORM),
    "detr frozen": trace(FROZEN_DETR),
    "detr dc5": trace(DC5),
    "detr masks": trace(SEGMENTING),
    "detr steps": steps(CASES[1]),
    "frcnn": trace(RCNN),
    "frcnn as tf": trace(LIKE_TF),
    "frcnn as trzy": trace(LIKE_TRZY),
    "frcnn mobilenet": trace(MOBILENET),
    "frcnn steps": steps(UNCLIPPED),
    "data": asked("sample_data", AUGMENTED, partial(same_arrays, "data")),
    "initial weights": asked(
        "initial_weights", DETR.config(), partial(same_arrays, "initial weights")
    ),
    "perfect detections": asked(
        "perfect_detections", DETR.config(), partial(same_arrays, "ground truth as detections")
    ),
    "import": asked("import_trzy", LIKE_TRZY.config(), partial(same_arrays, "import")),
    "ranks": Experiment(
        partial(collect_ranks, RANKED["scenes_detr"], SCENES, steps=1), judge_both_ranks
    ),
    "snapshot": asked("snapshot", RCNN.config(), partial(same_arrays, "snapshot")),
}


def false_alarms(seeds: int) -> dict[str, Experiment]:
    """The sound pair with other weights: any FAIL is a false alarm."""
    return {
        f"{case.preset}, weights {seed}": trace(case, f"seed {seed}/")
        for case in (DETR, RCNN)
        for seed in range(seeds)
    }
