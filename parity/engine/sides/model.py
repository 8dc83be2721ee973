"""A Subject's modules, parameters and weights under the reference's names, in their framework's process.

Before: case.py. runner.py runs it, tracer.py watches it.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping

import numpy as np

from parity.backends.base import Backend
from parity.case import Subject
from parity.engine.judge.weights import drawn_weights
from parity.engine.sides.optimise import Options
from parity.engine.sides.plain import Function
from parity.engine.values.parts import cut, hidden_by, joined, visible, wholes_of
from parity.errors import InputError

SMALL = 1 << 16  # elements
STATISTICS = ("running_mean", "running_var")  # buffers that are no tables


class Model:
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
        Options.from_mapping(subject.options)  # wrong ones are told before anything runs
        whole = {} if subject.model is None else {"": subject.model}
        found = subject.model if isinstance(subject.model, Mapping) else whole
        self.models = {part: as_module(backend, model) for part, model in found.items()}
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
        self.wholes = wholes_of(subject.split, self.own_names)
        self.hidden = hidden_by(subject.dropped, self.tensors)
        self.trained = [name for name in trained if name not in self.hidden]
        # what constructors made of small arrays, and of those that are not trained: tables, masks
        self.made = {
            name: backend.to_numpy(tensor).copy()
            for name, tensor in (self.tensors.items() if take_over else ())
            if name not in self.trained or math.prod(tensor.shape) <= SMALL
        }
        for tensor in self.tensors.values() if take_over else ():
            shape = tuple(tensor.shape)
            backend.update(tensor, backend.array(np.zeros(shape, dtype=dtype)))
        if take_over:
            backend.set_trainable(self.tensors, set(self.trained))
        self.kept: dict[str, np.ndarray] | None = None  # buffers before the first run
        self.optimiser = None  # of the training steps since the weights were loaded

    def goes_on(self, training: bool | None) -> bool:
        """Whether it can be used in that mode as it is: not after training steps, nor where modes were set that are
        to be left alone, or the others."""
        if self.optimiser is not None or (self.training is not None and training != self.training):
            return False
        for model in self.models.values() if training != self.training else ():
            self.backend.set_mode(model, training)
        self.training = training
        return True

    # names

    def name_of(self, name: str) -> str:
        """The reference's name of a parameter or module."""
        found = self.subject.name(name) if self.subject.name and name else name
        if not isinstance(found, str):
            raise InputError(f"the reference's name of {name!r} is {found!r}; return a name")
        return found

    def modules(self) -> dict[str, object]:
        """The models and their modules by canonical name; a single model is "" itself."""
        found = {}
        for part, model in self.models.items():
            for name, module in self.backend.named_modules(model).items():
                own = ".".join(filter(None, (part, name)))
                if not self.is_skipped(own):
                    found[self.name_of(own)] = module
        return found

    def is_skipped(self, own: str) -> bool:
        return any(fnmatch.fnmatchcase(own, pattern) for pattern in self.subject.skip)

    def buffers(self) -> dict[str, object]:
        """Small tensors of floats that are not trained, live."""
        found = {}
        for part, model in self.models.items():
            for name, tensor in self.backend.named_tensors(model).items():
                name = self.name_of(f"{part}.{name}" if part else name)
                is_buffer = name in self.tensors and name not in self.trained
                if is_buffer and math.prod(tensor.shape) <= SMALL:
                    found[name] = tensor
        return found

    def rewind(self) -> None:
        """Puts into buffers what they held before the first run, in the place of what runs have left: each is to begin
        with the same."""
        live = self.buffers()
        if self.kept is None:
            self.kept = {name: self.backend.to_numpy(x).copy() for name, x in live.items()}
        for name in (n for n, moved in self.moved().items() if moved):
            self.backend.update(live[name], self.backend.array(self.kept[name]))

    def moved(self) -> dict[str, bool]:
        """Whether each of these holds something else than before."""
        kept, live = self.kept or {}, self.buffers()
        return {
            name: not np.array_equal(self.backend.to_numpy(live[name]), x, equal_nan=True)
            for name, x in kept.items()
            if name in live
        }

    def left_out(self) -> dict[str, str]:
        """Why by own name: modules that are not looked into, parameters and buffers that are not compared."""
        found = {name: f"dropped: {reason}" for name, reason in self.hidden.items()}
        for part, model in self.models.items():
            for name in self.backend.named_modules(model):
                own = ".".join(filter(None, (part, name)))
                if self.is_skipped(own):
                    found[own] = "the subject asks not to look into it"
            for name, tensor in self.backend.named_tensors(model).items():
                own = ".".join(filter(None, (part, name)))
                bookkeeping = name.rpartition(".")[2] == "num_batches_tracked"
                if "float" not in str(tensor.dtype) and not bookkeeping:
                    found[own] = f"of dtype {tensor.dtype}: only floats are given and compared"
        return found

    def trained_names(self) -> list[str]:
        return visible(self.trained, self.wholes)

    def layout_of(self, name: str):
        own = self.own_names[name]
        return next(
            (x for pattern, x in self.subject.layout.items() if fnmatch.fnmatchcase(own, pattern)),
            None,
        )

    def to_reference(self, name: str, array: np.ndarray | None) -> np.ndarray | None:
        layout = self.layout_of(name)
        if layout is None or array is None:
            return array
        try:
            return layout.to_reference(array)
        except ValueError as error:
            raise InputError(f"the layout of {name}, shape {array.shape}: {error}") from None

    # weights

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every float parameter and buffer, by the reference's name, as the reference holds it."""
        held = {n: np.broadcast_to(np.int8(0), shape) for n, shape in self.held_shapes().items()}
        return {n: x.shape for n, x in joined(held, self.wholes, self.hidden).items()}

    def held_shapes(self) -> dict[str, tuple[int, ...]]:
        """The same of what this side holds in parts, and of what is left out."""
        found = {}
        for name, tensor in self.tensors.items():
            shape = tuple(tensor.shape)
            if self.layout_of(name) is not None:
                shape = self.to_reference(name, np.broadcast_to(np.float32(0), shape)).shape
            found[name] = shape
        return found

    def tables(self) -> dict[str, np.ndarray]:
        """float32 of the buffers that are neither statistics nor all one value: masks, positions, anchors. Drawn values
        would mean nothing to the code that reads them."""
        parameters = {n for n, x in self.tensors.items() if type(x).__name__ == "Parameter"}
        names = self.shapes().keys() & self.made.keys() - parameters - set(self.trained)
        held = {n: self.made[n] for n in names if n.rpartition(".")[2] not in STATISTICS}
        return {
            n: self.to_reference(n, x).astype(np.float32)
            for n, x in held.items()
            if x.size and np.ptp(x)
        }

    def load(self, weights: Mapping[str, np.ndarray], strict: bool = True) -> None:
        """InputError names what is missing, unexpected or of another shape; not `strict`: what fits is loaded, what
        this side has alone is as it was made, as a table is, or drawn by its name, and so is what has another shape."""
        self.optimiser = self.kept = None
        if self.subject.load is not None:
            return self.subject.load(weights if strict else self.fitting(weights))
        if strict:
            check_names(self.shapes(), weights)
        shapes = self.held_shapes()
        weights = cut(weights, self.wholes, shapes)
        for name, tensor in self.tensors.items():
            values = weights.get(name)
            if values is None and name in self.made:
                values = self.to_reference(name, self.made[name])
            if values is not None and values.size == math.prod(shapes[name]) == 1:
                values = values.reshape(shapes[name])  # Jittor has no scalars
            if values is None or values.shape != shapes[name]:
                values = drawn_weights({name: shapes[name]})[name]
            layout = self.layout_of(name)
            values = values if layout is None else layout.to_own(values)
            self.backend.update(tensor, self.backend.array(np.asarray(values), like=tensor))

    def fitting(self, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the subject's own function can load: as many values as it has."""
        shapes = self.shapes()
        own = {n: s for n, s in shapes.items() if n not in weights or weights[n].shape != s}
        return {n: weights[n] for n in shapes if n not in own} | drawn_weights(own)

    def state(self) -> dict[str, np.ndarray]:
        if self.subject.state is not None:
            return self.subject.state()
        held = {
            name: self.to_reference(name, self.backend.to_numpy(tensor))
            for name, tensor in self.tensors.items()
            if name not in self.hidden
        }
        return joined(held, self.wholes)


def as_module(backend: Backend, model):
    """The module, or the function as one; InputError for anything else."""
    if isinstance(model, backend.nn.Module):
        return model
    if callable(model) and not hasattr(model, "named_parameters"):
        return Function(model)
    what = f"the class {model.__name__}" if isinstance(model, type) else f"a {type(model).__name__}"
    raise InputError(
        f"{backend.NAME}'s half is {what}; build a module of {backend.NAME}, a function or a Subject"
    )


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
