"""Any pair of modules under the harness: what docs/pairs.md registers, used like a detector."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neutral.config import OptimiserConfig
from neutral.pairs import Inputs, load_pair
from neutral.randomness import Draws
from torch_impl import ops
from torch_impl.decisions import Decisions
from torch_impl.outcome import Outcome
from torch_impl.runtime import FRAMEWORK, configure
from torch_impl.session import Session
from torch_impl.tracing import tensors_in


class ModuleDetector:
    """Runs the module on its inputs; the loss is a fixed weighting of everything that it returns."""

    def __init__(self, model):
        self.model = model

    def run(self, inputs: Inputs, dtype: str, decisions: Decisions) -> Outcome:
        def convert(x: np.ndarray):
            return ops.array(x.astype(dtype) if x.dtype.kind == "f" else x)

        if isinstance(inputs, dict):
            outputs = self.model(**{name: convert(x) for name, x in inputs.items()})
        else:
            outputs = self.model(*map(convert, inputs))
        floats = [x for x in tensors_in(outputs) if "float" in str(x.dtype)]
        losses = {f"output{i}": weighted(x) for i, x in enumerate(floats)}
        total = None
        for loss in losses.values():
            total = loss if total is None else total + loss
        return Outcome(total, losses, {}, outputs)

    def detections(self, outcome: Outcome, inputs) -> None:
        """A module detects nothing."""


def weighted(x):
    """Sum of x, each element times a weight of its own between -1 and 1."""
    weights = np.cos(np.arange(np.prod(x.shape), dtype=np.float64)).reshape(tuple(x.shape))
    return (x * ops.array(weights, like=x)).sum()


class ModuleSession(Session):
    """A session of one side of a pair; its batches are the pair's inputs."""

    def __init__(self, path: Path, device: str = "cpu", dtype: str = "float32"):
        configure(device, dtype)
        self.pair = load_pair(path)
        model = self.pair.build(FRAMEWORK)
        ops.set_mode(model, self.pair.training)
        tensors = {
            self.name_of(name): x
            for name, x in ops.named_tensors(model).items()
            if "float" in str(x.dtype)
        }
        trained = [name for name, x in tensors.items() if ops.is_differentiable(x)]
        options = OptimiserConfig(**self.pair.optimiser)
        self.set_up(ModuleDetector(model), tensors, trained, options, dtype, Draws(0))

    def decays(self) -> dict[str, float]:
        return dict.fromkeys(self.trained, self.options.weight_decay)

    def is_constant(self, node: str) -> bool:
        return False

    def name_of(self, name: str) -> str:
        return self.pair.rename(FRAMEWORK, name)
