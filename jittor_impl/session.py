"""One detector being used: built, loaded, traced, trained, asked for detections. NumPy in, NumPy out.

This is all that the scripts and the parity workers see of an implementation.
"""

from __future__ import annotations

import numpy as np

from jittor_impl import ops
from jittor_impl.detr.detector import Detector as DETR
from jittor_impl.dropout import Dropout
from jittor_impl.faster_rcnn.detector import Detector as FasterRCNN
from jittor_impl.outcome import Outcome
from jittor_impl.runtime import configure, describe
from jittor_impl.training import OPTIMISERS, clip_gradients
from neutral.config import Config
from neutral.data.batching import Batch
from neutral.parameters import decays, is_frozen_stage, trainable
from neutral.randomness import Draws
from neutral.weights import check_state

DETECTORS = {"detr": DETR, "faster_rcnn": FasterRCNN}


class Session:
    def __init__(self, config: Config, device: str = "cpu", dtype: str = "float32"):
        """Builds the model with zero weights; call `load` next. device cpu|cuda, dtype float32|float64."""
        configure(device, dtype)
        self.config = config
        self.dtype = dtype
        self.draws = Draws(config.seed)
        self.detector = DETECTORS[config.model.detector](config, self.draws)
        self.model = self.detector.model
        self.tensors = ops.named_tensors(self.model)
        for tensor in self.tensors.values():
            ops.update(tensor, ops.buffer(*tensor.shape))  # in the session's dtype
        self.trained = trainable(self.tensors, config)
        ops.set_trainable(self.tensors, set(self.trained))
        shared = config.model.dropout_source == "shared"
        for name, module in self.model.named_modules():
            if isinstance(module, Dropout):
                module.site, module.draws = name, self.draws if shared else None
        self.optimiser = OPTIMISERS[config.optimiser.kind](
            {name: self.tensors[name] for name in self.trained},
            decays(self.trained, config),
            config.optimiser,
        )

    def describe(self) -> dict:
        return describe()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every parameter and buffer, by canonical name."""
        return {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}

    def trained_names(self) -> list[str]:
        return list(self.trained)

    def load(self, weights: dict[str, np.ndarray]) -> None:
        """Every parameter and buffer; InputError names missing, unexpected and mis-shaped keys."""
        check_state(self.shapes(), weights)
        for name, tensor in self.tensors.items():
            ops.load_array(tensor, weights[name], name)

    def state(self) -> dict[str, np.ndarray]:
        return {name: ops.to_numpy(tensor) for name, tensor in self.tensors.items()}

    def optimiser_state(self) -> tuple[dict[str, np.ndarray], int]:
        return self.optimiser.state(), self.optimiser.steps

    def load_optimiser(self, arrays: dict[str, np.ndarray], steps: int) -> None:
        self.optimiser.load_state(arrays, steps)

    def run(
        self, batch: Batch, dropout: bool, step: int = 0, replay: dict | None = None
    ) -> Outcome:
        """Losses of a batch; `step` numbers what dropout and samplers draw."""
        for module in self.model.modules():
            if isinstance(module, Dropout):
                module.active = dropout
        self.draws.begin_step(step)
        return self.detector.run(batch, self.dtype, replay)

    def train_step(self, batch: Batch, step: int, rates: dict[str, float]) -> dict[str, float]:
        """One step of the optimiser; `step` numbers the dropout masks. Losses and grad_norm.

        `loss` is the weighted total, the other losses are unweighted.
        """
        outcome = self.run(batch, True, step)
        values = as_floats(outcome)
        if not np.isfinite(values["loss"]):
            return values
        gradients = dict(
            zip(self.trained, ops.grad(outcome.total, [self.tensors[n] for n in self.trained]))
        )
        options = self.config.optimiser
        gradients, values["grad_norm"] = clip_gradients(
            gradients, options.clip_max_norm, options.clip_eps
        )
        self.optimiser.step(gradients, rates)
        ops.finish([self.tensors[name] for name in self.trained])
        return values

    def detect(self, batch: Batch) -> list[dict[str, np.ndarray]]:
        """Detections per image, see the detector's post_process.py."""
        return self.evaluate(batch)[1]

    def evaluate(self, batch: Batch) -> tuple[dict[str, float], list[dict[str, np.ndarray]]]:
        """Losses (as `train_step` names them) and detections of one forward pass without dropout."""
        with ops.no_grad():
            outcome = self.run(batch, False)
            return as_floats(outcome), self.detector.detections(outcome, batch)

    def trace(
        self,
        batch: Batch,
        dropout_step: int | None = None,
        gradients: bool = True,
        entered=None,
        replay: dict | None = None,
    ) -> dict:
        """Runs forward, losses, detections and backward and records everything on the way.

        entered(name) is called as each module is entered; `replay` holds decisions to repeat. Returns
        NumPy arrays:
        nodes: output of every named module in the order in which they finish ("name[i]" for tuples,
        "name#2" for a second call); total, losses, errors; detections; node_gradients: d total / d node,
        None where there is none; gradients: d total / d parameter for the trained ones; and what the
        detector adds: DETR outputs (logits and boxes) and matches per layer, Faster R-CNN decisions, and
        proposals among the nodes.
        """
        recorded = Recorder(self.model, entered)
        try:
            outcome = self.run(batch, dropout_step is not None, dropout_step or 0, replay)
            detections = self.detector.detections(outcome, batch)
        finally:
            recorded.active = False
        total = outcome.total
        result = outcome.record()
        result |= {
            "nodes": recorded.arrays() | result.pop("values", {}),
            "total": ops.to_numpy(total),
            "losses": {name: ops.to_numpy(loss) for name, loss in outcome.losses.items()},
            "errors": outcome.errors,
            "detections": detections,
        }
        if gradients:
            # what a frozen stage gives may leave its container under another name
            frozen = {id(t) for n, t in recorded.nodes.items() if is_frozen_stage(n, self.config)}
            nodes = {
                name: tensor
                for name, tensor in recorded.nodes.items()
                if ops.is_differentiable(tensor) and id(tensor) not in frozen
            }
            sources = {
                id(t): t for t in [*nodes.values(), *(self.tensors[name] for name in self.trained)]
            }
            gradients = ops.grad(total, list(sources.values()))
            found = {
                key: None if g is None else ops.to_numpy(g) for key, g in zip(sources, gradients)
            }
            result["node_gradients"] = {name: found[id(tensor)] for name, tensor in nodes.items()}
            result["gradients"] = {name: found[id(self.tensors[name])] for name in self.trained}
        return result


class Recorder:
    """Keeps the tensors that the named modules of a model return, by node name."""

    def __init__(self, model, entered=None):
        self.nodes: dict[str, object] = {}
        self.active = True
        for name, module in model.named_modules():
            if name:
                before, after = self.hooks(name, entered)
                ops.watch(module, before, after)

    def hooks(self, name: str, entered):
        def before():
            if self.active and entered is not None:
                entered(name)

        def after(output):
            if not self.active:
                return
            several = isinstance(output, (tuple, list))
            for i, tensor in enumerate(output if several else [output]):
                label, calls = f"{name}[{i}]" if several else name, 1
                while (node := label if calls == 1 else f"{label}#{calls}") in self.nodes:
                    calls += 1
                self.nodes[node] = tensor
                ops.finish([tensor])

        return before, after

    def arrays(self) -> dict[str, np.ndarray]:
        """One array per distinct tensor, so that pass-through modules cost nothing."""
        seen: dict[int, np.ndarray] = {}
        for tensor in self.nodes.values():
            if id(tensor) not in seen:
                seen[id(tensor)] = ops.to_numpy(tensor)
        return {name: seen[id(tensor)] for name, tensor in self.nodes.items()}


def as_floats(outcome: Outcome) -> dict[str, float]:
    values = {"loss": float(ops.to_numpy(outcome.total).reshape(()))}
    values |= {n: float(ops.to_numpy(loss).reshape(())) for n, loss in outcome.losses.items()}
    return values | outcome.errors
