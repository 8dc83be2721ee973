"""Optimisers and training steps: alike to the last place, alike over many steps, alike within the noise.

Three questions. Does one step of the optimiser do the same, from the same state, with the same gradients
(in units in the last place)? Do twenty whole steps in float64 end at the same weights? And do float32
steps, which any two correct programs part in, part no further than PyTorch does from itself when its
weights start one unit in the last place away?
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from neutral import parameters
from neutral.config import Config, OptimiserConfig, to_dict
from neutral.data.batching import Batch
from neutral.randomness import stream
from parity import gates
from parity.compare import compare_names
from parity.verdicts import Status, Verdict, judge, judge_nodes, structural_difference, total_norm
from parity.workers import FRAMEWORKS, Pair, Worker

TUBE_COPIES = 8  # of PyTorch, each started one unit in the last place away


def drop_epochs(config: Config, steps: int) -> tuple[int, ...]:
    """Epochs of coupled steps: half of them before the first drop of the learning rate, half after it."""
    drop = (config.optimiser.lr_milestones or (config.optimiser.lr_drop,))[0]
    return tuple(0 if step < steps // 2 else drop for step in range(steps))


def compare_steps(case: str, torch: tuple, jittor: tuple) -> list[Verdict]:
    """Coupled float64 training steps: (weights at the start, trained names, losses per step, state at the end)."""
    weights, names, losses_t, state_t = torch
    _, names_j, losses_j, state_j = jittor
    verdicts = [compare_names(case, names, names_j)]
    check = "float64 losses"
    for step, (a, b) in enumerate(zip(losses_t, losses_j, strict=True)):
        boxed = [{k: np.array([v]) for k, v in losses.items()} for losses in (a, b)]

        def judge_loss(node, x, y, step=step):
            return judge(case, check, f"step{step}/{node}", y, x, gates.STEPS_LOSS)

        verdicts += judge_nodes(case, check, *boxed, judge_loss)
    moved = [{k: s[k] - weights[k] for k in names} for s in (state_t, state_j)]
    floor = gates.EPS64 / gates.STEPS_STATE * total_norm({k: state_t[k] for k in names})

    def judge_moved(node, a, b):
        return judge(case, "float64 displacement", node, b, a, gates.STEPS_STATE, floor)

    return verdicts + judge_nodes(case, "float64 displacement", *moved, judge_moved)


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
    worker.call("build", to_dict(config), "cpu", "float64")
    start = weights(worker.call("shapes"))
    worker.call("load", start)
    names = worker.call("trained_names")
    rates = step_rates(config, names, epochs)
    return start, names, *worker.call("train_steps", [batch] * len(epochs), rates)


# optimisers

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


def ulps(a: np.ndarray, b: np.ndarray, *operands: np.ndarray | None) -> np.ndarray:
    """|a - b| in float32 units in the last place of b, or of the greatest operand that it was computed from:
    where these nearly cancel, the last place of what is left says nothing."""
    scale = np.abs(b)
    for operand in operands:
        scale = scale if operand is None else np.maximum(scale, np.abs(operand))
    return np.abs(a.astype(np.float64) - b) / np.spacing(scale.astype(np.float32))


def judge_ulps(case: str, check: str, node: str, a, b, limit: float, *operands) -> Verdict:
    """Greatest distance in units in the last place, see `ulps`."""
    problem = structural_difference(a, b)
    if problem:
        return Verdict(case, check, node, Status.FAIL, message=problem)
    measured = float(ulps(a, b, *operands).max())
    status = Status.PASS if measured <= limit else Status.FAIL
    return Verdict(case, check, node, status, measured, limit, "units in the last place")


def compare_optimiser(pair: Pair, name: str, milestone: int = 3) -> list[Verdict]:
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
        found = pair.both("optimise", *arguments)
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


def compare_clipping(pair: Pair) -> list[Verdict]:
    """Norm and clipped gradients: far above the limit, just above it, below it, and switched off."""
    case, verdicts = "gradient clipping", []
    gradients = injected_gradients(0)
    for limit in (0.1, 200.0, 1e6, 0.0):
        found = pair.both("clip", gradients, limit, OptimiserConfig().clip_eps)
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


# the tube


def one_ulp_away(weights: Mapping[str, np.ndarray], copy: int) -> dict[str, np.ndarray]:
    """Every element moved to the next float32, up or down as a stream says."""
    moved = {}
    for name, values in weights.items():
        up = stream(copy, "one ulp", name).random(values.shape) < 0.5
        target = np.where(up, np.float32(np.inf), np.float32(-np.inf)).astype(np.float32)
        moved[name] = np.nextafter(values.astype(np.float32), target)
    return moved


def float32_steps(worker: Worker, weights: Mapping, batch: Batch, rates: list[dict]) -> tuple:
    """(losses per step, state at the end) of float32 steps from these weights; the worker has built the model."""
    worker.call("reset", weights)
    return worker.call("train_steps", [batch] * len(rates), rates)


def compare_tube(
    case: str, weights: Mapping, names: list[str], base: tuple, copies: list[tuple], other: tuple
) -> list[Verdict]:
    """Jittor's distance from PyTorch against that of PyTorch's copies, for every loss and for the way gone.

    A tube is as wide, at each step, as the furthest copy has been until then.
    """
    if len(copies) < TUBE_COPIES:
        message = f"only {len(copies)} copies make no tube"
        return [Verdict(case, "tube", "copies", Status.INCONCLUSIVE, message=message)]
    verdicts = []

    def distances(run: tuple, component: str) -> np.ndarray:
        return np.array([abs(a[component] - b[component]) for a, b in zip(run[0], base[0])])

    for component in base[0][0]:
        if any(component not in losses for losses in other[0]):
            verdicts.append(
                Verdict(case, "tube", component, Status.FAIL, message="missing in Jittor's losses")
            )
            continue
        width = np.maximum.accumulate(np.max([distances(c, component) for c in copies], axis=0))
        scale = np.maximum.accumulate([abs(losses[component]) for losses in base[0]])
        limit = np.maximum(gates.TUBE * width, gates.TUBE_FLOOR * scale)
        reached = distances(other, component)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.where(reached == 0, 0.0, reached / limit)
        ratio = np.where(np.isfinite(reached), ratio, np.inf)
        worst = int(np.argmax(ratio))
        inside = bool(ratio[worst] <= 1)
        message = "" if inside else f"leaves the tube at step {int(np.argmax(ratio > 1))}"
        verdicts.append(
            Verdict(
                case,
                "tube",
                component,
                Status.PASS if inside else Status.FAIL,
                float(reached[worst]),
                float(limit[worst]),
                message,
            )
        )

    def gone(run: tuple) -> float:
        return total_norm({k: run[1][k].astype(np.float64) - base[1][k] for k in names})

    length = total_norm({k: base[1][k].astype(np.float64) - weights[k] for k in names})
    limit, measured = gates.TUBE * max(map(gone, copies)), gone(other)
    status = Status.PASS if measured <= limit else Status.FAIL
    message = f"of {length:.3g} gone in all"
    return [*verdicts, Verdict(case, "tube", "weights", status, measured, limit, message)]


def run_tube(case: str, pair: Pair, config: Config, weights: Callable, batch: Batch, steps: int):
    """Builds both sides in float32 and compares `steps` of them; verdicts and the losses of all runs."""
    pair.both("build", to_dict(config), pair.device, "float32")
    names = pair["torch"].call("trained_names")
    start = weights(pair["torch"].call("shapes"))
    rates = step_rates(config, names, (0,) * steps)
    pair["jittor"].submit("reset", start)
    pair.collect(("jittor",))
    pair["jittor"].submit("train_steps", [batch] * steps, rates)
    base = float32_steps(pair["torch"], start, batch, rates)
    copies = [
        float32_steps(pair["torch"], one_ulp_away(start, k), batch, rates)
        for k in range(TUBE_COPIES)
    ]
    other = pair.collect(("jittor",))["jittor"]
    verdicts = compare_tube(case, start, names, base, copies, other)
    return verdicts, {"torch": base[0], "jittor": other[0], "copies": [c[0] for c in copies]}


def step_pair(path: Path, pair: Pair, steps: int = 8) -> list[Verdict]:
    """Coupled float64 steps of a pair of modules (docs/pairs.md) on its inputs."""
    inputs = pair["torch"].call("pair_inputs", path)
    pair.both("build_pair", path, pair.device, "float64")
    weights = pair["torch"].call("pair_weights", path, pair["torch"].call("shapes"))
    pair.both("load", weights)
    names = pair.both("trained_names")
    rate = pair["torch"].call("learning_rate")
    rates = [dict.fromkeys(names["torch"], rate)] * steps
    found = pair.both("train_steps", [inputs] * steps, rates)
    sides = [(weights, names[side], *found[side]) for side in FRAMEWORKS]
    return compare_steps(f"{path.stem}: training steps", *sides)
