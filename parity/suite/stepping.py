"""Training steps of the suite's detectors: optimisers, coupled float64 steps, float32 steps in a tube."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict

import numpy as np

from door.randomness import stream
from neutral import parameters
from neutral.config import Config, OptimiserConfig, to_dict
from neutral.data.batching import Batch
from parity.engine.judge.gates import TUBE_COPIES
from parity.engine.judge.judging import judge_nodes
from parity.engine.judge.tube import compare_tube
from parity.engine.judge.ulps import judge_ulps, one_ulp_away
from parity.engine.judge.verdicts import Verdict
from parity.engine.sides.workers import FRAMEWORKS, Worker, Workers
from parity.suite import gates
from parity.suite.ask import ask


def drop_epochs(config: Config, steps: int) -> tuple[int, ...]:
    """Epochs of coupled steps: half of them before the first drop of the learning rate, half after it."""
    drop = (config.optimiser.lr_milestones or (config.optimiser.lr_drop,))[0]
    return tuple(0 if step < steps // 2 else drop for step in range(steps))


def step_rates(config: Config, names: list[str], epochs: tuple[int, ...]) -> list[dict]:
    """Learning rates of one step in each of these epochs, warm-up included."""
    every = config.optimiser.accumulate
    return [
        parameters.rates(names, config, epoch, step // every) for step, epoch in enumerate(epochs)
    ]


def collect_steps(
    worker: Worker, config: Config, weights: Callable, batch: Batch, epochs: tuple[int, ...]
) -> tuple:
    """One side's float64 steps: (weights at the start, trained names, losses per step, state at the end)."""
    ask(worker, "build", to_dict(config), "cpu", "float64")
    start = weights(worker.call("shapes"))
    worker.call("load", start)
    names = worker.call("trained_names")
    rates = step_rates(config, names, epochs)
    return start, names, *ask(worker, "train_steps", [batch] * len(epochs), rates)


RESET, TRAIN_STEPS = (f"parity.suite.requests:{name}" for name in ("reset", "train_steps"))

OPTIMISERS = {
    "sgd": OptimiserConfig(kind="sgd", momentum=0.9, weight_decay=5e-4),
    "sgd without momentum and decay": OptimiserConfig(kind="sgd", momentum=0.0, weight_decay=0.0),
    "adamw": OptimiserConfig(kind="adamw", weight_decay=1e-2),
    "adam": OptimiserConfig(kind="adam", weight_decay=5e-4),
    "adamw without decay": OptimiserConfig(kind="adamw", weight_decay=0.0),
}


INJECTED_STEPS = 6


SHAPES = {"weight": (33, 7), "bias": (33,), "tiny": (50,), "unused": (4,), "still": (5,)}


def injected_gradients(step: int) -> dict[str, np.ndarray | None]:
    """Of ordinary size and alternating sign, of 1e-12, absent, and zero."""
    scale = {"weight": 1.0, "bias": 30.0, "tiny": 1e-12, "still": 0.0}
    return {
        name: None
        if name == "unused"
        else (stream(0, "injected", step, name).standard_normal(shape) * scale[name]).astype("f4")
        for name, shape in SHAPES.items()
    }


def compare_optimiser(pair: Workers, name: str, milestone: int = 3) -> list[Verdict]:
    """Steps with injected gradients, each from PyTorch's state, with two groups and a drop of the rates."""
    options, case = OPTIMISERS[name], f"optimiser {name}"
    state = {
        n: stream(0, "optimiser", n).standard_normal(s).astype(np.float32)
        for n, s in SHAPES.items()
    }
    slots, verdicts = None, []
    decays = {n: options.weight_decay * (n != "bias") for n in SHAPES}
    limit = gates.OPTIMISER_ULPS[options.kind]
    for step in range(INJECTED_STEPS):
        drop = 0.1 if step >= milestone else 1.0
        rates = {n: drop * (1e-3 if n == "bias" else 1e-2) for n in SHAPES}
        gradients = injected_gradients(step)
        arguments = (asdict(options), state, slots, step, gradients, rates, decays)
        found = ask(pair, "optimise", *arguments)
        for part, before in enumerate((state, slots or {})):
            check = ("parameters", "state")[part]

            def judge_one(name, a, b, step=step, check=check, before=before, gradients=gradients):
                node = f"step{step}/{name}"
                of_gradient = None if check == "parameters" else gradients[name.partition("/")[2]]
                operands = (before.get(name), of_gradient)
                return judge_ulps(case, check, node, b, a, limit, *operands)

            verdicts += judge_nodes(case, check, *(found[s][part] for s in FRAMEWORKS), judge_one)
        state, slots = found["torch"]
    return verdicts


def compare_clipping(pair: Workers) -> list[Verdict]:
    """Norm and clipped gradients: far above the limit, just above it, below it, and switched off."""
    case, verdicts = "gradient clipping", []
    gradients = injected_gradients(0)
    for limit in (0.1, 200.0, 1e6, 0.0):
        found = ask(pair, "clip", gradients, limit, OptimiserConfig().clip_eps)
        ours, theirs = (found[side] for side in FRAMEWORKS)
        present = [{k: v for k, v in x.items() if v is not None} for x in (ours, theirs)]
        verdicts += judge_nodes(
            case,
            f"limit {limit:g}",
            *present,
            lambda n, a, b, limit=limit: judge_ulps(
                case, f"limit {limit:g}", n, b, a, gates.CLIPPING_ULPS
            ),
        )
    return verdicts


def float32_steps(worker: Worker, weights: Mapping, batch: Batch, rates: list[dict]) -> tuple:
    """(losses per step, state at the end) of float32 steps from these weights; the worker has built the model."""
    ask(worker, "reset", weights)
    return ask(worker, "train_steps", [batch] * len(rates), rates)


def run_tube(case: str, pair: Workers, config: Config, weights: Callable, batch: Batch, steps: int):
    """Builds both sides in float32 and compares `steps` of them; verdicts and the losses of all runs."""
    ask(pair, "build", to_dict(config), pair.device, "float32")
    names = pair["torch"].call("trained_names")
    start = weights(pair["torch"].call("shapes"))
    rates = step_rates(config, names, (0,) * steps)
    pair["jittor"].submit("run", RESET, start)
    pair.collect(("jittor",))
    pair["jittor"].submit("run", TRAIN_STEPS, [batch] * steps, rates)
    base = float32_steps(pair["torch"], start, batch, rates)
    copies = [
        float32_steps(pair["torch"], one_ulp_away(start, k), batch, rates)
        for k in range(TUBE_COPIES)
    ]
    other = pair.collect(("jittor",))["jittor"]
    verdicts = compare_tube(case, start, names, base, copies, other)
    return verdicts, {"torch": base[0], "jittor": other[0], "copies": [c[0] for c in copies]}
