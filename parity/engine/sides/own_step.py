"""A user's own training step, watched in its framework's process: function(model, batch, step) with its own loop,
optimiser, schedule, clipping, EMA, freezing, train() and eval(). Nothing here sets a mode or freezes anything.

The function returns {name: value}, or nothing. A value may be a number (a loss), numbers (rates), an optimiser (its
groups' rates are read) or a model, a mapping of tensors, an object that holds one (what EMA holds).

Before: runner.py. ask/training.py begins; tell/own_steps.py judges what is seen here.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from parity.engine.values.parts import visible
from parity.errors import InputError

BEGUN = "begun"  # in a worker's folder: what a step tells before it is done
HOLDERS = ("module", "ema", "ema_model", "model", "shadow", "params")


def has_own_step(server) -> bool:
    """In a worker: whether the subject's training step takes the model."""
    step = server.runner.subject.train_step
    if step is None:
        return False
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(step).parameters.values()
    return sum(p.kind in kinds and p.default is p.empty for p in parameters) >= 3


def one_step(server, inputs, step: int, begun: Path | None = None) -> dict:
    """In a worker: what the step returned, and what it left behind.

    numbers, rates: by name, of optimisers those of the last update; held: arrays by name of what EMA holds; state:
    parameters and buffers by the reference's names; gradients: their L2 norms by name, summed over backward passes;
    trainable: names; modes: whether each module was in training mode when it was called; classes: of the modules.
    The last three stand in the file `begun` as soon as they are known: Jittor may compile for minutes behind them.
    """
    runner, backend = server.runner, server.backend
    trainable = visible(
        [n for n, x in runner.tensors.items() if backend.is_differentiable(x)],
        *(runner.wholes, runner.hidden),
    )
    modes: dict[str, bool] = {}
    used: dict[int, list[float]] = {}  # rates by the optimiser's id
    modules = {name or "(model)": module for name, module in runner.modules().items()}
    classes = {name: type(module).__name__ for name, module in modules.items()}
    notes = Notes(begun, {"step": step, "trainable": trainable, "classes": classes})

    def noting(name: str):
        def around(call):
            def noted(*args, **named):
                mode = modes[name] = backend.is_training(modules[name])
                notes.add([name, mode])
                return call(*args, **named)

            return noted

        return around

    with ExitStack() as stack:
        for name, module in modules.items():
            stack.callback(backend.surround(module, noting(name)))
        gradients = stack.enter_context(backend.watching_gradients(runner.tensors))
        stack.enter_context(backend.watching_updates(lambda o: used.update({id(o): rates_of(o)})))
        model = runner.subject.model
        returned = runner.subject.train_step(model, runner.prepare(inputs), step)
    runner.optimiser = runner.optimiser or "the subject's own"  # what was built is used up
    found = {"numbers": {}, "rates": {}, "held": {}}
    if returned is not None and not isinstance(returned, Mapping):
        returned = {"loss": returned}
    for name, value in (returned or {}).items():
        sort(runner, name, value, found, used)
    return found | {
        "state": runner.state(),
        "gradients": whole_norms(gradients, runner),
        "trainable": trainable,
        "modes": modes,
        "classes": classes,
    }


class Notes:
    """A file of JSON lines that can be read while it is written; nothing without a path."""

    def __init__(self, path: Path | None, first):
        self.path = path
        if path is not None:
            path.write_text("")
        self.add(first)

    def add(self, value) -> None:
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(f"{json.dumps(value)}\n")


def begun_in(path: Path, step: int) -> dict | None:
    """What a side told of a step that was not done; None where it had not begun."""
    whole = path.read_text().rpartition("\n")[0] if path.exists() else ""
    first, *modes = [json.loads(line) for line in whole.splitlines()] or [{}]
    return first | {"modes": dict(modes)} if first.get("step") == step else None


def whole_norms(norms: Mapping[str, float], runner) -> dict[str, float]:
    """Norms of what one side holds in parts put together."""
    squares: dict[str, float] = {}
    whole_of = {part: whole for whole, parts in runner.wholes.items() for part in parts}
    for name, norm in norms.items():
        if name not in runner.hidden:
            whole = whole_of.get(name, name)
            squares[whole] = squares.get(whole, 0.0) + norm**2
    return {name: math.sqrt(x) for name, x in squares.items()}


def sort(runner, name: str, value, found: dict, used: Mapping) -> None:
    """One value that a step returned, where it belongs; InputError for what is none of these. used: rates by the
    optimiser's id, for a schedule may have gone on since."""
    backend = runner.backend
    if hasattr(value, "param_groups"):
        found["rates"][name] = used.get(id(value)) or rates_of(value)
        return
    if backend.is_tensor(value) and int(np.prod(value.shape)) == 1:
        value = float(backend.to_numpy(value).reshape(()))
    if isinstance(value, (bool, int, float, np.number)):
        found["numbers"][name] = float(value)
        return
    if isinstance(value, (list, tuple)) and all(isinstance(x, (int, float)) for x in value):
        found["rates"][name] = [float(x) for x in value]
        return
    held = tensors_of(backend, value)
    if held is None:
        raise InputError(
            f"the training step returned {name!r}, a {type(value).__name__}: return numbers, optimisers, models or "
            "mappings of tensors"
        )
    for own, tensor in held.items():
        canonical = runner.name_of(own)
        if "float" in str(tensor.dtype):
            found["held"][f"{name}/{canonical}"] = backend.to_numpy(tensor)


def rates_of(optimiser) -> list[float]:
    """The learning rate of every group; Jittor's groups have one only where it was given."""
    alone = getattr(optimiser, "lr", float("nan"))
    return [float(group.get("lr", alone)) for group in optimiser.param_groups]


def tensors_of(backend, value) -> dict | None:
    """Tensors by name of a model, a mapping, or what holds one; None for anything else."""
    if isinstance(value, backend.nn.Module):
        return backend.named_tensors(value)
    if isinstance(value, Mapping):
        tensors = {str(k): x for k, x in value.items() if backend.is_tensor(x)}
        return tensors or None
    for holder in HOLDERS:
        inner = getattr(value, holder, None)
        if inner is not None and inner is not value:
            return tensors_of(backend, inner)
    return None
