"""What Jittor's half of the contract sees of choices and branches, by functions put in the place of Jittor's."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import contextmanager

import jittor_setup

jt = jittor_setup.import_jittor()
nn = jt.nn


def _relu(choices, original: Callable) -> Callable:
    def watched(x, *rest, **named):
        # Relu's execute has the module before its argument
        value = x if isinstance(x, jt.Var) else rest[0]
        return choices.relu(value, value > 0, lambda: original(x, *rest, **named))

    return watched


def _pool(choices, original: Callable) -> Callable:
    def watched(layer, x):
        if layer.op != "maximum" or layer.return_indices or x.ndim != 4:
            return original(layer, x)
        window = (layer.kernel_size, layer.stride, layer.padding, 1, layer.ceil_mode)
        return choices.max_pool(x, window, lambda: original(layer, x))

    return watched


@contextmanager
def watching(choices):
    places = [
        (nn, "relu", _relu),
        (nn.Relu, "execute", _relu),
        (nn.Pool, "execute", _pool),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
    for owner, name, watch in places:
        setattr(owner, name, watch(choices, getattr(owner, name)))
    try:
        yield
    finally:
        for owner, name, original in before:
            setattr(owner, name, original)


TERNARY = ("ternary", "greater", "less", "greater_equal", "less_equal")


@contextmanager
def watching_branches(branches):
    names = (*branches.choosing, *TERNARY)
    wanted = [(owner, name) for owner in (jt, jt.Var, nn) for name in names]
    wanted += [(jt.Var, f"__{name}__") for name in branches.compared]
    before = [(owner, name, vars(owner)[name]) for owner, name in wanted if name in vars(owner)]

    def observed(name: str, function: Callable) -> Callable:
        def call(*args, **named):
            return branches.call(sys._getframe(1), name, function, args, named)

        return call

    for owner, name, original in before:
        setattr(owner, name, observed(name, original))
    try:
        yield
    finally:
        for owner, name, original in before:
            setattr(owner, name, original)
