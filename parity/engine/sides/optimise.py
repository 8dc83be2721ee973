"""The harness's own optimiser, for subjects that bring none: NumPy, so that both sides make the same step.

What differs after steps with it was made by the gradients, not by an optimiser.

Before: nothing. stepper.py takes the steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from parity.errors import InputError


@dataclass(frozen=True)
class Options:
    """kind: sgd (with momentum, decay added to the gradient) or adamw (Loshchilov and Hutter 2019)."""

    kind: str = "sgd"
    lr: float = 1e-4
    momentum: float = 0.0
    weight_decay: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    @classmethod
    def from_mapping(cls, given: Mapping[str, object]) -> Options:
        """InputError on a name or kind that there is not."""
        names = {f.name for f in fields(cls)}
        unknown = sorted(set(given) - names)
        if unknown or given.get("kind", "sgd") not in ("sgd", "adamw"):
            odd = unknown[0] if unknown else f"kind={given['kind']!r}"
            raise InputError(
                f"optimiser options: no {odd}; there are {', '.join(sorted(names))}, and kind is sgd or adamw"
            )
        return cls(**given)


class Optimiser:
    """State by parameter name; `step` gives the new values, of the dtype of the old ones."""

    def __init__(self, options: Options):
        self.options, self.steps = options, 0
        self.first: dict[str, np.ndarray] = {}
        self.second: dict[str, np.ndarray] = {}

    def step(self, values: Mapping, gradients: Mapping) -> dict[str, np.ndarray]:
        """A parameter without a gradient stays where it is."""
        self.steps += 1
        update = self._sgd if self.options.kind == "sgd" else self._adamw
        return {
            name: value if gradients[name] is None else update(name, value, gradients[name])
            for name, value in values.items()
        }

    def _sgd(self, name: str, value: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        options = self.options
        gradient = gradient + options.weight_decay * value
        if options.momentum:
            gradient = self.first[name] = options.momentum * self.first.get(name, 0.0) + gradient
        return (value - options.lr * gradient).astype(value.dtype)

    def _adamw(self, name: str, value: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        o = self.options
        first = self.first[name] = o.beta1 * self.first.get(name, 0.0) + (1 - o.beta1) * gradient
        second = self.second[name] = (
            o.beta2 * self.second.get(name, 0.0) + (1 - o.beta2) * gradient**2
        )
        scale = np.sqrt(second / (1 - o.beta2**self.steps)) + o.eps
        decayed = value * (1 - o.lr * o.weight_decay)
        return (decayed - o.lr * first / (1 - o.beta1**self.steps) / scale).astype(value.dtype)
