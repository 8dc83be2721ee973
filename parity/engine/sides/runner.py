"""One half in its own process: a Subject that is built, loaded, run and traced. NumPy in, NumPy out.

Before: case.py (what a Subject may say), backends/base.py (what a framework must offer), model.py (names and weights),
tracer.py and choices.py (how a run is watched). server.py asks; stepper.py trains it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np

from parity.engine.judge.outcomes import changed_inputs
from parity.engine.sides.choices import Choices
from parity.engine.sides.constants import refused
from parity.engine.sides.imports import real
from parity.engine.sides.makers import Makers
from parity.engine.sides.model import Model
from parity.engine.sides.tracer import Tracer
from parity.engine.sides.weighting import fixed_weighting, is_float
from parity.engine.values import places, tree
from parity.engine.values.lazy import Lazy
from parity.engine.values.nodes import OUTSIDE, ROOT
from parity.engine.values.parts import Joined


@dataclass
class Run:
    """What forward and losses are told of a run."""

    choices: Choices
    dtype: str
    device: str
    step: int = 0
    training: bool = False


@dataclass
class Came:
    """How far a watched run came: `changed` inputs, forward's outputs, and what was made of them."""

    outputs: object = None
    changed: list[str] = field(default_factory=list)
    moved: dict[str, bool] = field(default_factory=dict)  # buffers, see Model.moved
    total: object = None
    losses: dict = field(default_factory=dict)
    makers: dict = field(default_factory=dict)  # of losses and their total, see Makers
    detections: object = None


class Runner(Model):
    """What is asked of one half. constant: paths of float inputs of a function that are not differentiated."""

    constant: frozenset[str] = frozenset()

    def prepare(self, inputs, differentiable: bool = False):
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
            inputs,
            lambda x: isinstance(x, np.ndarray),
            lambda path, x: self.tensor(x, differentiable and path not in self.constant),
        )

    def tensor(self, values: np.ndarray, differentiable: bool = False):
        tensor = self.backend.array(values)
        if differentiable and values.dtype.kind == "f":
            self.backend.set_trainable({"input": tensor}, {"input"})
        return tensor

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
            floats = self.floats(outputs)
            losses = {f"output{i}": self.weighted(x) for i, x in enumerate(floats)}
        if subject.total is not None:
            return subject.total(outputs, losses), losses
        total = None
        for name, loss in losses.items():
            weight = subject.loss_weights.get(name, 1.0)
            part = loss if weight == 1.0 else loss * self.backend.scalar(weight, loss)
            total = part if total is None else total + part
        return total, losses

    def floats(self, outputs) -> list:
        """Tensors of floats, NumPy's as constants."""
        backend = self.backend
        is_leaf = lambda x: isinstance(x, np.ndarray) or backend.is_tensor(x)  # noqa: E731
        found = (x for _, x in tree.leaves(outputs, is_leaf) if is_float(x))
        return [backend.array(x.copy()) if isinstance(x, np.ndarray) else x for x in found]

    def sizes(self, outputs) -> dict[str, float]:
        """What the harness's own losses would be if nothing cancelled in them, by name, and their total."""
        found = {}
        for i, x in enumerate(self.floats(outputs)):
            weights = fixed_weighting(tuple(x.shape))
            found[f"output{i}"] = float(np.abs(self.backend.to_numpy(x) * weights).sum())
        return found | {"total": sum(found.values())}

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
        survive: bool = False,
    ) -> dict:
        """Runs forward, losses, post-processing and backward and records everything on the way.

        entered(name) is called as each module is entered; `replay` holds choices to repeat. With a
        `reference`, an earlier trace, every node is computed from what that had before it (see tracer.py),
        `rounded` from its float32 values. `survive`: what raises is noted in "crashes", and what there is is returned.
        Returns NumPy arrays, converted when they are looked at:
        nodes, and owners, the modules whose code computed them; order, in which nodes and choices came; modules and
        arguments (see Tracer); total, losses, errors; makers of losses, in float64; detections, what post-processing
        gives; choices and ledger (see choices.py); node_gradients: d total / d node, None where there is none;
        gradients: d total / d parameter for the trained ones; and what the subject's `record` adds.
        """
        backend, record = self.backend, self.subject.record
        constant = self.subject.constant or (lambda node: False)
        tracer = Tracer(
            *(backend, self.modules(), entered, reference, rounded, constant, survive, self.dtype)
        )
        choices = Choices(backend, replay, tracer)
        run = Run(choices, self.dtype, self.device, step, bool(self.training))
        try:
            came = self.watched_run(tracer, run, inputs, targets, gradients)
        except ValueError as error:
            if hasattr(error, "nodes"):  # something is not finite: what was computed until then
                error.nodes = Lazy(backend, tracer.arrived)
            raise
        result = self.told(tracer, came) | choices.record()
        if record is not None and came.outputs is not None:
            result |= record(came.outputs)
        if gradients and came.total is not None and backend.is_differentiable(came.total):
            found = self.differentiated(tracer, came.total)
            if not (found or self.trained):  # it raised
                more = refused(self, inputs, targets)
                if more:
                    self.constant |= more
                    rest = (entered, replay, reference, rounded, survive)
                    return self.trace(inputs, targets, step, gradients, *rest)
            result |= found
        return result

    def watched_run(self, tracer: Tracer, run: Run, inputs, targets, gradients: bool) -> Came:
        """Forward, losses and post-processing, as far as they come; losses where they are given or differentiated."""
        subject, attempt, came = self.subject, tracer.attempt, Came()
        with ExitStack() as stack:
            stack.enter_context(self.backend.watching(run.choices))
            if subject.watch is not None:
                stack.enter_context(subject.watch(run.choices))
            stack.enter_context(tracer)
            # where nothing is trained, gradients are those of the inputs
            makers = Makers(self.backend.is_tensor, self.modules())
            if self.dtype == "float64":  # whoever looks keeps values alive, and Jittor fuses less
                stack.enter_context(makers)
            prepared = attempt(self.prepare, inputs, differentiable=not self.trained)
            if not tracer.crashes:
                if self.training:
                    self.rewind()
                forward = attempt(self.watched_forward, tracer, prepared, run)
                came.outputs, came.changed = forward or (None, [])
                came.moved = self.moved() if self.training else {}
            if came.outputs is None:
                return came
            if gradients or subject.losses is not None:
                found = attempt(self.losses, came.outputs, targets, run)
                came.total, came.losses = found or (None, {})
                came.makers = makers.of(came.losses | {"total": came.total})
            if subject.postprocess is not None:
                came.detections = attempt(subject.postprocess, came.outputs, inputs, run)
        return came

    def told(self, tracer: Tracer, came: Came) -> dict:
        """What `trace` returns of a run, gradients and choices left out."""
        backend, subject = self.backend, self.subject
        result = {
            "nodes": Lazy(backend, tracer.arrived),
            "order": tracer.order,
            "owners": tracer.owners,
            "arguments": tracer.arguments,
            "results": tracer.results,
            "called": tracer.called,
            "written": {"losses": places.of_function(subject.losses)},
            "makers": came.makers,
            "crashes": tracer.crashes,
            **{"changed": came.changed, "moved": came.moved, "weighted": subject.losses is None},
            "stood_in": backend.stood_in(),
            "modules": tracer.describe(),
            "evidence": list(subject.evidence),
            "losses": {name: backend.to_numpy(loss) for name, loss in came.losses.items()},
            "errors": {},
        }
        if came.total is not None:
            result["total"] = backend.to_numpy(came.total)
        if subject.metrics and came.outputs is not None:
            result["errors"] = subject.metrics(came.outputs)
        if subject.losses is None and came.outputs is not None:
            result["sizes"] = self.sizes(came.outputs)
        if came.detections is not None:
            result["detections"] = self.as_arrays(came.detections)
        return result

    def differentiated(self, tracer: Tracer, total) -> dict:
        """Gradients of the total by node and by trained parameter; {} where that raised."""
        sources = {n: self.tensors[n] for n in self.trained}
        by_node, by_parameter = tracer.attempt(tracer.gradients, total, sources) or (None, None)
        if by_node is None:
            return {}
        held = Lazy(self.backend, by_parameter, self.to_reference)
        return {
            "node_gradients": Lazy(self.backend, by_node),
            "gradients": Joined(held, self.wholes) if self.wholes else held,
        }

    def watched_forward(self, tracer: Tracer, prepared, run: Run) -> tuple[object, list[str]]:
        """What forward gives, and which inputs it changed in place."""
        own = self.subject.forward is not None
        given = dict(tree.leaves(prepared, self.backend.is_tensor)) if own else {}
        before = {path: self.backend.to_numpy(x) for path, x in given.items()}
        outputs = real(self.forward(prepared, run))
        if own:
            if self.subject.losses is None:  # which nothing else may look at
                outputs = tracer.visit_all(f"{OUTSIDE} outputs", "", outputs, OUTSIDE)
            tracer.results[f"{OUTSIDE} outputs"] = tree.results(
                outputs, tracer.is_array, lambda part: f"{OUTSIDE} outputs{part}"
            )
        return outputs, changed_inputs(tracer, given, before)

    def plain_run(self, step: int = 0, training: bool | None = None) -> Run:
        """A run that nobody watches."""
        training = bool(self.training) if training is None else training
        return Run(Choices(self.backend), self.dtype, self.device, step, training)

    def as_arrays(self, value):
        return tree.replaced(value, self.backend.is_tensor, lambda _, x: self.backend.to_numpy(x))
