"""Our two sides as systems to be measured, and the weights from which all systems start."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np

from neutral import parameters
from neutral.config import Config
from neutral.data.batching import Batch
from neutral.weights import initial_weights, save_weights
from parity.suite.subjects import runner_of

SMALLEST = float(np.finfo(np.float32).tiny)  # below it numbers are denormal


class Model:
    def __init__(self, framework: str, config: Config, device: str):
        self.config, self.framework = config, framework
        self.ops = importlib.import_module(f"{framework}_impl.ops")
        self.session = importlib.import_module(f"{framework}_impl.session").Session(config, device)
        self.rates = parameters.rates(self.session.trained, config, 0)
        self.steps = 0

    def load(self, weights: dict[str, np.ndarray]) -> None:
        self.session.load(weights)

    def train(self, batch: Batch) -> float:
        self.steps += 1
        return self.session.train_step(batch, self.steps, self.rates)["loss"]

    def detect(self, batch: Batch) -> list[np.ndarray]:
        return [found["scores"] for found in self.session.detect(batch)]

    def finish(self) -> None:
        self.ops.finish(list(self.session.tensors.values()))

    def watch(self, seen: list[int]):
        head = dict(self.session.model.named_modules()).get("roi_heads.box_head")
        if head is None:
            return lambda: None

        def around(call):
            def counting(x, *others):
                seen.append(int(x.shape[0]))
                return call(x, *others)

            return counting

        return self.ops.surround(head, around)

    def describe(self) -> dict:
        trained = self.session.trained
        shapes = self.session.shapes()
        return {
            "environment": self.session.describe(),
            "trained parameters": sum(int(np.prod(shapes[n])) for n in trained),
        }


def calibrate(session, ops, batch: Batch) -> int:
    """Gives frozen batch normalisation the statistics of `batch`, layer after layer; how many layers have it.

    With statistics of 0 and 1 and drawn weights every block doubles what flows through it, and gradients come out
    so small that PyTorch's CPU kernels compute with denormal numbers, which takes several times as long.
    """
    tensors, release = session.tensors, []

    def around(name: str):
        def surround(call):
            def measured(x):
                values = ops.to_numpy(x).astype(np.float64)
                for statistic, value in (
                    ("running_mean", values.mean((0, 2, 3))),
                    ("running_var", values.var((0, 2, 3))),
                ):
                    key = f"{name}.{statistic}"
                    ops.load_array(tensors[key], value.astype(np.float32), key)
                return call(x)

            return measured

        return surround

    for name, module in dict(session.model.named_modules()).items():
        if f"{name}.running_var" in tensors:
            release.append(ops.surround(module, around(name)))
    with ops.no_grad():
        session.run(batch, False)
    for undo in release:
        undo()
    return len(release)


def denormals(arrays) -> dict[str, int]:
    """How many numbers there are, and how many of them are denormal."""
    total = small = 0
    for array in arrays:
        if array is not None:
            size = np.abs(np.asarray(array))
            total, small = total + size.size, small + int(((size > 0) & (size < SMALLEST)).sum())
    return {"numbers": total, "denormal": small}


def prepare_weights(config: Config, device: str, batch: Batch, out: Path) -> dict:
    """Writes the weights that every system starts from; how they were made, and the denormal gradients they cause."""
    model = Model("torch", config, device)
    session = model.session
    session.load(initial_weights(session.shapes(), config))
    layers = calibrate(session, model.ops, batch)
    save_weights(out, session.state())
    trace = runner_of("torch", session).trace(batch)
    return {
        "made": "initial values of the recipe (neutral/weights/initial.py)"
        + (f", {layers} frozen normalisations with the batch's statistics" if layers else ""),
        "loss": float(trace["total"].reshape(())),
        "gradients of parameters": denormals(trace["gradients"][n] for n in trace["gradients"]),
        "gradients of activations": denormals(
            trace["node_gradients"][n] for n in trace["node_gradients"]
        ),
    }
