"""Jittor's norms with the variance of what is left after the mean, in the place of E[x²] - E[x]², which cancels. And
its cross entropy by sums (jittor_wide.py).

Where a run agrees with these, its own code is not to blame. Arguments and results are those of jittor.nn's functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import jittor_setup
from parity.backends import jittor_wide
from parity.backends.replacing import replaced

jt = jittor_setup.import_jittor()
nn = jt.nn


def moments(x, dims: list[int]) -> tuple:
    """x less its mean over `dims`, and its variance there, with these axes of length 1."""
    apart = x - jt.mean(x, dims=dims, keepdims=True)
    return apart, jt.mean(apart * apart, dims=dims, keepdims=True)


def standardised(x, dims: list[int], eps: float):
    apart, var = moments(x, dims)
    return apart / jt.sqrt(var + eps)


def by_channel(value, x):
    """A parameter with one number a channel as x [B, C, ...] takes it; a number as it is."""
    return value.reshape((1, -1) + (1,) * (x.ndim - 2)) if isinstance(value, jt.Var) else value


def instance_norm(x, running_mean=None, running_var=None, weight=1, bias=0, momentum=0.1, eps=1e-5):
    found = standardised(x, list(range(2, x.ndim)), eps)
    return found * by_channel(weight, x) + by_channel(bias, x)


def layer_norm(x, normalized_shape, weight=1, bias=0, eps=1e-5, elementwise_affine=True):
    return standardised(x, [-i for i in range(len(normalized_shape), 0, -1)], eps) * weight + bias


def grouped(x, num_groups, weight, bias, eps):
    found = standardised(x.reshape((x.shape[0], num_groups, -1)), [2], eps).reshape(x.shape)
    return found * by_channel(weight, x) + by_channel(bias, x)


def group_norm(x, num_groups, weight=1, bias=0, eps=1e-05):
    found = grouped(x, num_groups, weight, bias, eps)
    return found if x.ndim == 4 else found.reshape((x.shape[0], -1))


def batch_norm(layer, x):
    """Of a BatchNorm in training mode, whose running statistics are updated."""
    dims = [0, *range(2, x.ndim)]
    apart, var = moments(x, dims)
    found = apart / jt.sqrt(var + layer.eps)
    mean = jt.mean(x, dims=dims)
    for running, value in ((layer.running_mean, mean), (layer.running_var, var)):
        running.update(running + (value.reshape((-1,)) - running) * layer.momentum)
    return found * by_channel(layer.weight, x) + by_channel(layer.bias, x)


LAYERS: dict[type, Callable] = {
    nn.InstanceNorm: lambda m, x: instance_norm(x, weight=m.weight, bias=m.bias, eps=m.eps),
    nn.LayerNorm: lambda m, x: layer_norm(x, m.normalized_shape, m.weight, m.bias, m.eps),
    nn.GroupNorm: lambda m, x: grouped(x, m.num_groups, m.weight, m.bias, m.eps),
}
FUNCTIONS = {nn.instance_norm: instance_norm, nn.layer_norm: layer_norm, nn.group_norm: group_norm}


@contextmanager
def steady_norms() -> Iterator[list[str]]:
    """Inside, norms do not cancel, and cross entropies add no 1/n; gives the names of those that were called."""
    called: list[str] = []

    def noting(function: Callable) -> Callable:
        def call(*args, **named):
            called.append(function.__name__)
            return function(*args, **named)

        return call

    own = nn.BatchNorm.execute
    layers = LAYERS | {nn.BatchNorm: lambda m, x: (batch_norm if m.is_train else own)(m, x)}
    before = {layer: layer.execute for layer in layers}
    for layer, function in layers.items():
        layer.execute = noting(function)
    try:
        functions = {own: noting(other) for own, other in FUNCTIONS.items()}
        with replaced(functions), jittor_wide.steady(called):
            yield called
    finally:
        for layer, execute in before.items():
            layer.execute = execute
