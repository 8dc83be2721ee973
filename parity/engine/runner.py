"""One half in its own process: a Subject that is built, loaded, run, traced and trained. NumPy in, NumPy out.

Reads: case.py (what a Subject may say), backends/base.py (what a framework must offer), tracer.py, choices.py.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from parity.backends.base import Backend
from parity.case import Subject
from parity.engine import tree
from parity.engine.choices import Choices
from parity.engine.nodes import ROOT
from parity.engine.optimise import Optimiser, Options
from parity.engine.tracer import Lazy, Tracer
from parity.engine.weights import drawn_weights
from parity.errors import InputError


@dataclass
class Run:
    """What forward and losses are told of a run."""

    choices: Choices
    dtype: str
    device: str
    step: int = 0
    training: bool = False


class Runner:
    def __init__(
        self,
        backend: Backend,
        subject: Subject,
        device: str = "cpu",
        dtype: str = "float32",
        training: bool | None = False,
        take_over: bool = True,
    ):
        """The backend is configured already. `training` None leaves the modules' modes as they are; without
        `take_over` weights, dtypes and what is trained stay as they are too."""
        self.backend, self.subject, self.device, self.dtype = backend, subject, device, dtype
        self.training = training
        found = subject.model if isinstance(subject.model, Mapping) else {"": subject.model}
        self.models = dict(found)
        self.tensors: dict[str, object] = {}
        self.own_names: dict[str, str] = {}
        for part, model in self.models.items():
            if training is not None:
                backend.set_mode(model, training)
            for name, tensor in backend.named_tensors(model).items():
                own = f"{part}.{name}" if part else name
                if "float" in str(tensor.dtype):
                    self.own_names[self.name_of(own)] = own
                    self.tensors[self.name_of(own)] = tensor
        trained = subject.trained
        if trained is None:
            trained = [n for n, x in self.tensors.items() if backend.is_differentiable(x)]
        self.trained = list(trained)
        for tensor in self.tensors.values() if take_over else ():
            shape = tuple(tensor.shape)
            backend.update(tensor, backend.array(np.zeros(shape, dtype=dtype)))
        if take_over:
            backend.set_trainable(self.tensors, set(self.trained))
        self.optimiser = None

    # names

    def name_of(self, name: str) -> str:
        """The reference's name of a parameter or module."""
        return self.subject.name(name) if self.subject.name and name else name

    def modules(self) -> dict[str, object]:
        """The models and their modules by canonical name; a single model is "" itself."""
        found = {}
        for part, model in self.models.items():
            for name, module in self.backend.named_modules(model).items():
                own = ".".join(filter(None, (part, name)))
                if not any(fnmatch.fnmatchcase(own, pattern) for pattern in self.subject.skip):
                    found[self.name_of(own)] = module
        return found

    def skipped(self) -> list[str]:
        """Modules that the subject asks not to look into."""
        return sorted(
            own
            for part, model in self.models.items()
            for name in self.backend.named_modules(model)
            for own in [".".join(filter(None, (part, name)))]
            if any(fnmatch.fnmatchcase(own, pattern) for pattern in self.subject.skip)
        )

    def trained_names(self) -> list[str]:
        return list(self.trained)

    def layout_of(self, name: str):
        own = self.own_names[name]
        return next(
            (x for pattern, x in self.subject.layout.items() if fnmatch.fnmatchcase(own, pattern)),
            None,
        )

    def to_reference(self, name: str, array: np.ndarray | None) -> np.ndarray | None:
        layout = self.layout_of(name)
        return array if layout is None or array is None else layout.to_reference(array)

    # weights

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every float parameter and buffer, by the reference's name, as the reference holds it."""
        found = {}
        for name, tensor in self.tensors.items():
            shape = tuple(tensor.shape)
            if self.layout_of(name) is not None:
                shape = self.to_reference(name, np.broadcast_to(np.float32(0), shape)).shape
            found[name] = shape
        return found

    def load(self, weights: Mapping[str, np.ndarray], strict: bool = True) -> None:
        """InputError names what is missing, unexpected or of another shape; not `strict`: what fits is loaded, and
        what this side has alone is drawn by its name."""
        shapes = self.shapes()
        if strict:
            check_names(shapes, weights)
        for name, tensor in self.tensors.items():
            values = weights.get(name)
            if values is None or values.shape != shapes[name]:
                values = drawn_weights({name: shapes[name]})[name]
            layout = self.layout_of(name)
            values = values if layout is None else layout.to_own(values)
            self.backend.update(tensor, self.backend.array(np.asarray(values), like=tensor))
        self.optimiser = None

    def state(self) -> dict[str, np.ndarray]:
        return {
            name: self.to_reference(name, self.backend.to_numpy(tensor))
            for name, tensor in self.tensors.items()
        }

    # runs

    def prepare(self, inputs):
        """What forward is given for these inputs."""
        if self.subject.cast:
            inputs = tree.replaced(
                inputs,
                lambda x: isinstance(x, np.ndarray),
                lambda _, x: x.astype(self.dtype) if x.dtype.kind == "f" else x,
            )
        if self.subject.prepare is not None:
            return self.subject.prepare(inputs)
        return tree.replaced(
            inputs, lambda x: isinstance(x, np.ndarray), lambda _, x: self.backend.array(x)
        )

    def forward(self, prepared, run: Run):
        if self.subject.forward is not None:
            return self.subject.forward(prepared, run)
        (model,) = self.models.values()
        if isinstance(prepared, Mapping):
            return model(**prepared)
        return model(*prepared) if isinstance(prepared, (tuple, list)) else model(prepared)

    def losses(self, outputs, targets, run: Run) -> tuple[object, dict]:
        """(total, losses by name); the total is None where nothing can be differentiated."""
        subject = self.subject
        if subject.losses is not None:
            losses = subject.losses(outputs, targets, run)
        else:
            floats = [x for _, x in tree.leaves(outputs, self.backend.is_tensor) if is_float(x)]
            losses = {f"output{i}": self.weighted(x) for i, x in enumerate(floats)}
        if subject.total is not None:
            return subject.total(outputs, losses), losses
        total = None
        for name, loss in losses.items():
            weight = subject.loss_weights.get(name, 1.0)
            part = loss if weight == 1.0 else loss * self.backend.scalar(weight, loss)
            total = part if total is None else total + part
        return total, losses

    def weighted(self, x):
        """Sum of x, each element times a weight of its own between -1 and 1."""
        return (x * self.backend.array(fixed_weighting(tuple(x.shape)), like=x)).sum()

    def call(self, name: str, arguments: list, arrays: Mapping) -> dict[str, np.ndarray]:
        """What the module `name` makes of recorded arguments (see Tracer), whose values `arrays` holds by node.

        Outputs by number, and the gradients of the float arguments when there is a "gradient of output 0".
        """
        backend, leaves = self.backend, {}

        def restore(value):
            if isinstance(value, dict) and value.keys() == {"node"}:
                values = arrays[value["node"]]
                if values.dtype.kind != "f":
                    return backend.array(values)
                leaf = leaves[value["node"]] = backend.array(values.astype(self.dtype))
                backend.set_trainable({name: leaf}, {name})
                return leaf
            if isinstance(value, dict):
                return {k: restore(v) for k, v in value.items()}
            return [restore(v) for v in value] if isinstance(value, list) else value

        positional, named = map(restore, arguments)
        module = self.modules()["" if name == ROOT else name]
        outputs = [x for _, x in tree.leaves(module(*positional, **named), backend.is_tensor)]
        found = {f"output {k}": backend.to_numpy(x) for k, x in enumerate(outputs)}
        given = {k: arrays.get(f"gradient of output {k}") for k in range(len(outputs))}
        given = {k: g for k, g in given.items() if g is not None}
        if given:
            cotangents = [backend.array(g, like=outputs[k]) for k, g in given.items()]
            gradients = backend.vjp([outputs[k] for k in given], cotangents, list(leaves.values()))
            for node, gradient in zip(leaves, gradients):
                if gradient is not None:
                    found[f"gradient of {node}"] = backend.to_numpy(gradient)
        return found

    def trace(
        self,
        inputs,
        targets=None,
        step: int = 0,
        gradients: bool = True,
        entered: Callable[[str], None] | None = None,
        replay: Mapping | None = None,
        reference: Mapping | None = None,
        rounded: bool = False,
    ) -> dict:
        """Runs forward, losses, post-processing and backward and records everything on the way.

        entered(name) is called as each module is entered; `replay` holds choices to repeat. With a
        `reference`, an earlier trace, every node is computed from what that had before it (see tracer.py),
        `rounded` from its float32 values. Returns NumPy arrays, converted when they are looked at:
        nodes, and owners, the modules whose code computed them; order, in which nodes and choices came; modules and
        arguments (see Tracer); total, losses, errors; detections, what post-processing gives; choices and ledger (see
        choices.py); node_gradients: d total / d node, None where there is none; gradients: d total / d parameter for
        the trained ones; and what the subject's `record` adds.
        """
        backend, subject = self.backend, self.subject
        constant = subject.constant or (lambda node: False)
        tracer = Tracer(backend, self.modules(), entered, reference, rounded, constant)
        choices = Choices(backend, replay, tracer)
        run = Run(choices, self.dtype, self.device, step, bool(self.training))
        try:
            with ExitStack() as stack:
                stack.enter_context(backend.watching(choices, tracer.modules))
                if subject.watch is not None:
                    stack.enter_context(subject.watch(choices))
                stack.enter_context(tracer)
                outputs = self.forward(self.prepare(inputs), run)
                total, losses = self.losses(outputs, targets, run)
                found = subject.postprocess and subject.postprocess(outputs, inputs, run)
        except ValueError as error:
            if hasattr(error, "nodes"):  # something is not finite: what was computed until then
                error.nodes = Lazy(backend, tracer.arrived)
            raise
        result = {
            "nodes": Lazy(backend, tracer.arrived),
            "order": tracer.order,
            "owners": tracer.owners,
            "arguments": tracer.arguments,
            "modules": tracer.describe(),
            "evidence": list(subject.evidence),
            "losses": {name: backend.to_numpy(loss) for name, loss in losses.items()},
            "errors": subject.metrics(outputs) if subject.metrics else {},
        }
        result |= {} if total is None else {"total": backend.to_numpy(total)}
        result |= {} if found is None else {"detections": self.as_arrays(found)}
        result |= choices.record() | (subject.record(outputs) if subject.record else {})
        if gradients and total is not None and backend.is_differentiable(total):
            sources = {n: self.tensors[n] for n in self.trained}
            by_node, by_parameter = tracer.gradients(total, sources)
            result["node_gradients"] = Lazy(backend, by_node)
            result["gradients"] = Lazy(backend, by_parameter, self.to_reference)
        return result

    def plain_run(self, step: int = 0, training: bool | None = None) -> Run:
        """A run that nobody watches."""
        training = bool(self.training) if training is None else training
        return Run(Choices(self.backend), self.dtype, self.device, step, training)

    def as_arrays(self, value):
        return tree.replaced(value, self.backend.is_tensor, lambda _, x: self.backend.to_numpy(x))

    # training

    def train_step(self, inputs, step: int = 0, targets=None) -> dict[str, float]:
        """One step: the subject's own, or forward, losses, backward and its optimiser; losses by name and "loss"."""
        subject, backend = self.subject, self.backend
        if subject.train_step is not None:
            return {k: float(v) for k, v in subject.train_step(inputs, step).items()}
        run = self.plain_run(step, training=True)
        total, losses = self.losses(self.forward(self.prepare(inputs), run), targets, run)
        values = {k: float(backend.to_numpy(x).reshape(())) for k, x in losses.items()}
        values |= {"loss": float(backend.to_numpy(total).reshape(()))}
        trained = {name: self.tensors[name] for name in self.trained}
        if subject.optimiser is not None:
            if self.optimiser is None:
                self.optimiser = subject.optimiser(trained)
            if subject.schedule is not None:
                subject.schedule(self.optimiser, step)
            backend.step(self.optimiser, total)
            return values
        if self.optimiser is None:
            self.optimiser = Optimiser(Options.from_mapping(subject.options))
        found = backend.vjp([total], [None], list(trained.values()))
        gradients = {
            name: None if g is None else backend.to_numpy(g) for name, g in zip(trained, found)
        }
        values_now = {name: backend.to_numpy(x) for name, x in trained.items()}
        for name, value in self.optimiser.step(values_now, gradients).items():
            backend.update(trained[name], backend.array(value, like=trained[name]))
        return values

    def train_steps(self, batches: list, targets=None) -> tuple[list[dict], dict]:
        """Losses of every step, and the state after the last."""
        return [self.train_step(b, k, targets) for k, b in enumerate(batches)], self.state()


def is_float(tensor) -> bool:
    return "float" in str(tensor.dtype)


def fixed_weighting(shape: tuple[int, ...]) -> np.ndarray:
    """Weights between -1 and 1, another one for each element, so that no two errors cancel."""
    return np.cos(np.arange(np.prod(shape), dtype=np.float64)).reshape(shape)


def check_names(shapes: Mapping[str, tuple], weights: Mapping[str, np.ndarray]) -> None:
    """InputError unless the weights are exactly these."""
    problems = [f"missing {name}" for name in shapes if name not in weights]
    problems += [f"unexpected {name}" for name in weights if name not in shapes]
    problems += [
        f"{name} has shape {tuple(weights[name].shape)}, the model {tuple(shapes[name])}"
        for name in shapes
        if name in weights and tuple(weights[name].shape) != tuple(shapes[name])
    ]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise InputError("weights do not fit: " + "; ".join(problems[:5]) + more)
