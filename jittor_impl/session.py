"""One detector being used: built, loaded, traced, trained, asked for detections. NumPy in, NumPy out.

This is all that the scripts and the parity workers see of an implementation.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from functools import partial
from hashlib import sha256

import numpy as np

from jittor_impl import ops
from jittor_impl.detr.detector import Detector as DETR
from jittor_impl.dropout import Dropout
from jittor_impl.faster_rcnn.detector import Detector as FasterRCNN
from jittor_impl.group import Group
from jittor_impl.outcome import Outcome
from jittor_impl.runtime import configure, describe, mixed_precision
from jittor_impl.training import OPTIMISERS, clip_gradients
from neutral.choices import Choices
from neutral.config import Config, OptimiserConfig
from neutral.data.batching import Batch
from neutral.errors import NonFinite
from neutral.parameters import decays, is_frozen_stage, trainable
from neutral.randomness import Draws
from neutral.weights import check_state

DETECTORS = {"detr": DETR, "faster_rcnn": FasterRCNN}


class Session:
    watch = None  # watch(step): a Runner of parity's around this session; set by who has one

    def __init__(
        self,
        config: Config,
        device: str = "cpu",
        dtype: str = "float32",
        group: Group | None = None,
    ):
        """Builds the model with zero weights; call `load` next. device cpu|cuda, dtype float32|float64."""
        configure(device, dtype, config.deterministic)
        self.config, self.device, self.group = config, device, group or Group()
        draws = Draws(config.seed, self.group.rank)
        detector = DETECTORS[config.model.detector](config, draws)
        names = ops.named_tensors(detector.model)
        self.set_up(detector, names, trainable(names, config), config.optimiser, dtype, draws)
        shared = config.model.dropout_source == "shared"
        for name, module in self.model.named_modules():
            if isinstance(module, Dropout):
                module.site, module.draws = name, self.draws if shared else None

    def set_up(
        self,
        detector,
        tensors: dict,
        trained: list[str],
        options: OptimiserConfig,
        dtype: str,
        draws: Draws,
    ) -> None:
        """`detector` has a model, run and detections; `tensors` are the model's by canonical name."""
        self.detector, self.model, self.dtype, self.draws = detector, detector.model, dtype, draws
        self.tensors, self.trained, self.options = tensors, trained, options
        for tensor in tensors.values():
            ops.update(tensor, ops.buffer(*tensor.shape))  # in the session's dtype
        ops.set_trainable(tensors, set(trained))
        self.group.watch(self.model, {name: tensors[name] for name in trained})
        self.pending: list[dict] = []
        self.optimiser = OPTIMISERS[options.kind](
            {name: tensors[name] for name in trained}, self.decays(), options
        )

    def decays(self) -> dict[str, float]:
        return decays(self.trained, self.config)

    def is_constant(self, node: str) -> bool:
        """Whether nothing before a node of a trace is trained."""
        return is_frozen_stage(re.split(r"[/\[#]", node)[0], self.config)

    def describe(self) -> dict:
        ranks = {"ranks": self.group.size} if self.group.size > 1 else {}
        return describe() | ranks

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
        self.optimiser.begin()

    def receive(self) -> None:
        """Weights and the optimiser's state become those of rank 0."""
        self.group.receive([*self.tensors.values(), *self.optimiser.tensors()])
        self.optimiser.steps = self.group.tell(self.optimiser.steps)
        self.pending = []

    def digests(self) -> dict[str, str]:
        """Of every parameter, buffer and array of the optimiser, by name."""
        arrays = self.state() | self.optimiser.state()
        return {name: sha256(x.tobytes()).hexdigest()[:16] for name, x in arrays.items()}

    @contextmanager
    def averaged(self):
        """Inside, the parameters are their running averages, when `optimiser.ema_decay` asks for these."""
        if not self.options.ema_decay:
            yield
            return
        own = {name: ops.to_numpy(self.tensors[name]) for name in self.trained}
        averages = {name: ops.to_numpy(x) for name, x in self.optimiser.averages().items()}
        try:
            for name in self.trained:
                ops.load_array(self.tensors[name], averages[name], name)
            yield
        finally:
            for name in self.trained:
                ops.load_array(self.tensors[name], own[name], name)

    def state(self) -> dict[str, np.ndarray]:
        return {name: ops.to_numpy(tensor) for name, tensor in self.tensors.items()}

    def optimiser_state(self) -> tuple[dict[str, np.ndarray], int]:
        return self.optimiser.state(), self.optimiser.steps

    def load_optimiser(self, arrays: dict[str, np.ndarray], steps: int) -> None:
        self.optimiser.load_state(arrays, steps)
        self.pending = []

    def prepare(self, dropout: bool, step: int) -> None:
        """Settles whether dropout drops, and what it and samplers draw."""
        for module in self.model.modules():
            if isinstance(module, Dropout):
                module.active = dropout
        self.draws.begin_step(step)

    def run(
        self,
        batch: Batch,
        dropout: bool,
        step: int = 0,
        choices: Choices | None = None,
        objects: float | None = None,
    ) -> Outcome:
        """Losses of a batch; `step` numbers what dropout and samplers draw.

        objects: by how many losses are divided that are per object; those of the batch when it is not given.
        """
        self.prepare(dropout, step)
        if objects is None:
            objects = float(count_objects(batch))
        with mixed_precision(self.options.precision):
            return self.detector.run(batch, self.dtype, choices or Choices(), max(objects, 1.0))

    def train_step(self, batch: Batch, step: int, rates: dict[str, float]) -> dict[str, float]:
        """One batch; every `accumulate`-th ends in a step of the optimiser with the mean of the gradients.

        `step` numbers batches, and what dropout and samplers draw. Losses, and grad_norm where a step was due:
        `loss` is the weighted total, the other losses are unweighted. Nothing moves when one of the two is not finite;
        "why" is there when that is known, "elsewhere" when it is another rank's loss. Of several ranks each has its own
        batch, and all make the same step.
        """
        values, gradients = self.backward(batch, step)
        return values if gradients is None else values | self.update(gradients, rates)

    def train_batches(self, batches: list[Batch], step: int, rates: dict[str, float]) -> list[dict]:
        """`train_step` of one after the other; the last one's values are the first that are not finite, if any are."""
        found = []
        for number, batch in enumerate(batches):
            found.append(self.train_step(batch, step + number, rates))
            if not np.isfinite([found[-1]["loss"], found[-1].get("grad_norm", 0.0)]).all():
                break
        return found

    def backward(self, batch: Batch, step: int) -> tuple[dict[str, float], dict | None]:
        """Losses, and the mean of the step's gradients by name: None when it is not due, or a loss is not finite."""
        due = (step + 1) % self.options.accumulate == 0
        objects = self.group.mean([float(count_objects(batch))])[0]
        try:
            work = partial(self.run, batch, True, step, objects=objects)
            outcome = self.group.forward(work, due)
            values = as_floats(outcome)
        except NonFinite as error:
            values = {"loss": float("nan"), "why": str(error)}
        finite = bool(np.isfinite(values["loss"]))
        if self.group.mean([float(finite)])[0] < 1:
            elsewhere = {"loss": float("nan"), "elsewhere": 1.0}
            return (values | elsewhere if finite else values), None
        if due:
            pending, self.pending = self.pending, []
            return values, self.group.gradients(outcome.total, pending)
        found = ops.grad(outcome.total, [self.tensors[n] for n in self.trained])
        ops.finish([g for g in found if g is not None])
        self.pending.append(dict(zip(self.trained, found)))
        return values, None

    def update(self, gradients: dict, rates: dict[str, float]) -> dict[str, float]:
        """A step of the optimiser, unless the norm of the gradients is not finite: {"grad_norm"}."""
        gradients, norm = clip_gradients(
            gradients, self.options.clip_max_norm, self.options.clip_eps
        )
        if np.isfinite(norm):
            self.optimiser.step(gradients, rates)
            # all of it: what a lazy framework leaves for the next step it would compute in another kernel
            ops.finish([*(self.tensors[name] for name in self.trained), *self.optimiser.tensors()])
        return {"grad_norm": norm}

    def detect(self, batch: Batch) -> list[dict[str, np.ndarray]]:
        """Detections per image, see the detector's post_process.py; no losses are computed."""
        self.prepare(False, 0)
        with ops.no_grad(), mixed_precision(self.options.precision):
            outcome = self.detector.predict(batch, self.dtype, Choices())
            return self.detector.detections(outcome, batch)

    def evaluate(self, batch: Batch) -> tuple[dict[str, float], list[dict[str, np.ndarray]]]:
        """Losses (as `train_step` names them) and detections of one forward pass without dropout."""
        with ops.no_grad():
            outcome = self.run(batch, False)
            return as_floats(outcome), self.detector.detections(outcome, batch)


def count_objects(batch: Batch) -> int:
    return sum(len(target.labels) for target in batch.targets)


def as_floats(outcome: Outcome) -> dict[str, float]:
    values = {"loss": float(ops.to_numpy(outcome.total).reshape(()))}
    values |= {n: float(ops.to_numpy(loss).reshape(())) for n, loss in outcome.losses.items()}
    return values | outcome.errors
