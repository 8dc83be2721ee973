"""Inputs of a function through which nobody trains: labels, masks, and those whose gradients its framework refuses, as
of targets that the code goes on to write to.

Before: values/tree.py. ask/examination.py asks of the reference, and both sides hold it so; runner.py asks what is
refused, after a backward pass has raised.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import re
from collections.abc import Collection

import numpy as np

from parity.engine.sides.model import SMALL
from parity.engine.sides.weighting import is_float
from parity.engine.values import tree
from parity.errors import InputError

LABEL = re.compile(r"(?i)(^|_)(targets?|labels?|gts?|truth|true|teacher)(_|\d|$)")
GUESSED = re.compile(r"(?i)(^|_)(pred\w*|outputs?|logits?|student)(_|\d|$)")
BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
PART = re.compile(r"\[([^\]]*)\]")
NAMED, MASK = "it is called {}", "it holds 0 and 1 only"
GIVEN = "UNTRAINED names it: no gradient of it is compared"
TOLD = "taken for a label, as {}: no gradient of it is compared; UNTRAINED = () in the pair's file compares it"


def floats_of(inputs) -> dict[str, np.ndarray]:
    leaves = tree.leaves(inputs, lambda x: isinstance(x, np.ndarray))
    return {path: x for path, x in leaves if x.dtype.kind == "f"}


def untrained(server, inputs, said: Collection[str] | None = None) -> dict[str, str]:
    """In the reference's worker: {path of an input: why nobody trains through it}; {} where a model's own parameters
    are trained, or all inputs are such. said: names of arguments or keys that the pair has instead of a guess."""
    runner, floats = server.runner, floats_of(inputs)
    names = {path: names_on(path, runner.subject, inputs) for path in floats}
    if said is not None:
        return said_by(said, names, runner.trained)
    found = {path: why for path, x in floats.items() if (why := is_label(names[path], x))}
    return found if not runner.trained and len(found) < len(floats) else {}


def said_by(said: Collection[str], names: dict[str, list[str]], trained) -> dict[str, str]:
    """Of the inputs that a pair names; InputError where there is no such, or no gradient of an input is compared."""
    have = list(dict.fromkeys(n for found in names.values() for n in found))
    lost = sorted(set(said) - set(have))
    if lost:
        what = f"write {', '.join(have)}" if have else "none has a name: take it out"
        raise InputError(f"UNTRAINED: no input of floats is called {lost[0]!r}; {what}")
    if said and trained:
        raise InputError(
            "UNTRAINED: gradients are those of the parameters, and of no input; take it out"
        )
    return {p: GIVEN for p in names if set(said) & set(names[p])}


def names_on(path: str, subject, inputs) -> list[str]:
    """Keys and attributes on the way to a part of the inputs, the first by the name of its argument."""
    first, *rest = PART.findall(path) or [""]
    if isinstance(inputs, (tuple, list)) and subject.forward is None:
        model = subject.model
        with contextlib.suppress(TypeError, ValueError):
            call = getattr(model, "forward", None) or getattr(model, "execute", None) or model
            named = [p for p in inspect.signature(call).parameters.values() if p.kind in BY_PLACE]
            first = named[int(first)].name if int(first) < len(named) else first
    return [x for x in (first, *rest) if x and not x.isdigit()]  # a place in a list is no name


def is_label(names: list[str], values: np.ndarray) -> str:
    """Why an input is taken for one, "" where it is not."""
    name = next((n for n in names if LABEL.search(n) and not GUESSED.search(n)), "")
    if name:
        return TOLD.format(NAMED.format(name))
    return TOLD.format(MASK) if set(np.unique(values).tolist()) == {0, 1} else ""


def hold(server, paths: Collection[str]) -> None:
    """In a worker: inputs that are constants from now on, until another half is built."""
    server.runner.constant = frozenset(paths)


def refused(runner, inputs, targets) -> frozenset[str]:
    """Paths of the float inputs, beside those that are constants, that cannot be differentiated even alone."""
    floats = set(floats_of(inputs))
    left = floats - runner.constant
    return frozenset(p for p in left if not is_taken(runner, inputs, targets, floats - {p}))


def is_taken(runner, inputs, targets, constant: set[str]) -> bool:
    """Whether a backward pass succeeds while these inputs are constants."""
    before, runner.constant = runner.constant, frozenset(constant)
    backend, run = runner.backend, runner.plain_run()
    try:
        prepared = runner.prepare(inputs, differentiable=True)
        total, _ = runner.losses(runner.forward(prepared, run), targets, run)
        tensors = (x for _, x in tree.leaves(prepared, backend.is_tensor))
        sources = [x for x in tensors if backend.is_differentiable(x)]
        if total is not None and backend.is_differentiable(total):
            backend.vjp([total], [None], sources)
        return True
    except Exception:
        return False
    finally:
        runner.constant = before


def plain(server) -> dict[str, np.ndarray]:
    """In the reference's worker: small tensors of floats that modules hold as plain attributes, as name by name they
    would be in a state; Jittor counts every one of its own."""
    runner, backend, found = server.runner, server.backend, {}
    for name, module in runner.modules().items():
        for own, x in vars(module).items():
            full = f"{name}.{own}" if name else own
            is_plain = backend.is_tensor(x) and is_float(x) and full not in runner.tensors
            if is_plain and math.prod(x.shape) <= SMALL:
                found[full] = backend.to_numpy(x).copy()
    return found
