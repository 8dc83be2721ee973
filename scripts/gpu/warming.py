"""What makes Jittor compile the kernels of a step before the step is measured or judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from neutral.config import to_dict
from parity.engine.judge.weights import drawn_weights
from parity.engine.sides.workers import Worker
from parity.suite.ask import ask
from parity.suite.cases import STEPPING
from parity.suite.detector_case import DetectorCase, sizes
from parity.suite.stepping import step_rates
from scripts.gpu.harness import full_size, op_labels, run_op, scenes
from scripts.record import DATA


def warm_tasks(steps: list[str], device: str) -> list[tuple[str, Callable[[Worker], None]]]:
    """What makes Jittor compile the kernels of these steps, in their order: (label, run on a Jittor worker)."""
    tasks: list[tuple[str, Callable[[Worker], None]]] = []
    if "ops" in steps:
        for label, case in op_labels().items():
            tasks += [
                (f"{label} {dtype}", partial(run_op, case=case, device=device, dtype=dtype))
                for dtype in ("float64", "float32")
            ]
    if "gates" in steps:
        for case in scenes(device):
            tasks += [
                (f"{case.name} {dtype}", partial(trace, case=case, device=device, dtype=dtype))
                for dtype in ("float64", "float32")
            ]
    for step, preset in (
        ("full-size-detr", "detr_r50"),
        ("full-size-frcnn", "torchvision_r50_fpn"),
    ):
        if step in steps:
            (case,) = full_size(preset, device)
            small = replace(case, overrides=(*case.overrides, *sizes(192, 256)))
            tasks.append((case.name, partial(trace, case=small, device=device, dtype="float32")))
            tasks.append(
                (f"{preset}, step", partial(step_once, case=small, device=device, dtype="float32"))
            )
    if "coupled-steps" in steps:
        tasks += [
            (case.name, partial(step_once, case=case, device=device, dtype="float64"))
            for case in STEPPING.values()
        ]
    return tasks


def built(worker: Worker, case: DetectorCase, device: str, dtype: str) -> None:
    ask(worker, "build", to_dict(case.config()), device, dtype, case.dropout_step)
    worker.call("load", drawn_weights(worker.call("shapes")))


def trace(worker: Worker, case: DetectorCase, device: str, dtype: str) -> None:
    built(worker, case, device, dtype)
    worker.call("trace", case.batch(DATA))


def step_once(worker: Worker, case: DetectorCase, device: str, dtype: str) -> None:
    built(worker, case, device, dtype)
    config = case.config()
    count = config.optimiser.accumulate
    rates = step_rates(config, worker.call("trained_names"), (0,) * count)
    ask(worker, "train_steps", [case.batch(DATA)] * count, rates)
