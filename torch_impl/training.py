"""AdamW, Adam, SGD, gradient clipping and the running average of the weights.

AdamW (Loshchilov and Hutter 2019) and Adam in the arithmetic of torch.optim's, clipping as
torch.nn.utils.clip_grad_norm_, skipped when clip_max_norm is 0 (engine.py:54 of DETR's reference); SGD
with momentum in the arithmetic of torch.optim.SGD. Written out because Jittor's own AdamW counts
backward passes instead of steps, decays parameters without a gradient and takes its learning rate
from a key that callers easily miss.
"""

from __future__ import annotations

import math

from neutral.config import OptimiserConfig
from torch_impl import ops

AVERAGE = "average"  # what the running average is called among the state arrays


class Optimiser:
    """State arrays per parameter name; the learning rate of each parameter is handed to every step.

    With `ema_decay` there is one more, the exponential moving average of the parameters; `begin` starts it.
    """

    slots: tuple[str, ...] = ()  # names of the state arrays, zero at the beginning

    def __init__(self, parameters: dict, decays: dict[str, float], config: OptimiserConfig):
        self.parameters = parameters
        self.decays = decays
        self.config = config
        self.steps = 0
        with ops.no_grad():
            self.arrays = {
                slot: {name: ops.frozen(p) * 0 for name, p in parameters.items()}
                for slot in self.slots
            }
            if config.ema_decay:
                self.arrays[AVERAGE] = {name: ops.frozen(p) * 0 for name, p in parameters.items()}

    def begin(self) -> None:
        """The average starts from the weights as they are now; call it when they have been loaded."""
        with ops.no_grad():
            for name, average in self.arrays.get(AVERAGE, {}).items():
                ops.update(average, ops.frozen(self.parameters[name]) * 1)

    def averages(self) -> dict:
        """The averaged parameters by name; the parameters themselves without `ema_decay`."""
        return self.arrays.get(AVERAGE, self.parameters)

    def step(self, gradients: dict, rates: dict[str, float]) -> None:
        """Updates every parameter that has a gradient; `rates` are learning rates by name."""
        self.steps += 1
        with ops.no_grad():
            for name, gradient in gradients.items():
                if gradient is None:
                    continue
                arrays = [self.arrays[slot][name] for slot in self.slots]
                parameter = self.parameters[name]
                value, *states = self.moved(
                    parameter, gradient, rates[name], self.decays[name], *arrays
                )
                ops.update(parameter, value)
                for array, state in zip(arrays, states):
                    ops.update(array, state)
                if self.config.ema_decay:
                    average = self.arrays[AVERAGE][name]
                    share = ops.scalar(1 - self.config.ema_decay, gradient)
                    ops.update(average, average + (ops.frozen(parameter) - average) * share)

    def moved(self, parameter, gradient, rate: float, decay: float, *arrays) -> tuple:
        """New value of one parameter, then of its state arrays in the order of `slots`."""
        raise NotImplementedError

    def tensors(self) -> list:
        """All state arrays."""
        return [x for arrays in self.arrays.values() for x in arrays.values()]

    def state(self) -> dict:
        """Arrays by slot and name, for checkpoints."""
        return {
            f"{slot}/{name}": ops.to_numpy(x)
            for slot, arrays in self.arrays.items()
            for name, x in arrays.items()
        }

    def load_state(self, arrays: dict, steps: int) -> None:
        self.steps = steps
        for slot, own in self.arrays.items():
            for name, x in own.items():
                ops.load_array(x, arrays[f"{slot}/{name}"], f"optimiser state {slot} of {name}")


class AdamW(Optimiser):
    slots = ("first", "second")

    def moved(self, parameter, gradient, rate, decay, first, second):
        moved, first_new, second_new = self.moment_step(gradient, rate, first, second)
        kept = parameter * ops.scalar(1 - rate * decay, gradient)
        return kept - moved, first_new, second_new

    def moment_step(self, gradient, rate, first, second) -> tuple:
        """By how much the parameter moves, and the moments."""
        beta1, beta2 = self.config.betas
        correction1 = 1 - beta1**self.steps
        correction2 = math.sqrt(1 - beta2**self.steps)
        first_new = first + (gradient - first) * ops.scalar(1 - beta1, gradient)
        second_old = second * ops.scalar(beta2, gradient)
        second_new = second_old + gradient * gradient * ops.scalar(1 - beta2, gradient)
        eps = ops.scalar(self.config.eps, gradient)
        scale = second_new.sqrt() / ops.scalar(correction2, gradient) + eps
        return first_new / scale * ops.scalar(rate / correction1, gradient), first_new, second_new


class Adam(AdamW):
    """Weight decay is added to the gradient, as in torch.optim.Adam."""

    def moved(self, parameter, gradient, rate, decay, first, second):
        if decay:
            gradient = gradient + parameter * ops.scalar(decay, gradient)
        moved, first_new, second_new = self.moment_step(gradient, rate, first, second)
        return parameter - moved, first_new, second_new


class SGD(Optimiser):
    """With momentum; weight decay is added to the gradient."""

    slots = ("momentum",)

    def moved(self, parameter, gradient, rate, decay, momentum):
        if decay:
            gradient = gradient + parameter * ops.scalar(decay, gradient)
        # the buffer starts as the first gradient: 0 times momentum, plus the gradient
        momentum_new = momentum * ops.scalar(self.config.momentum, gradient) + gradient
        return parameter - momentum_new * ops.scalar(rate, gradient), momentum_new


OPTIMISERS = {"adamw": AdamW, "adam": Adam, "sgd": SGD}


def clip_gradients(gradients: dict, max_norm: float, eps: float) -> tuple[dict, float]:
    """Scales all gradients so that their total norm is at most `max_norm`; the norm before it."""
    present = [g for g in gradients.values() if g is not None]
    with ops.no_grad():
        norm = ops.total_norm(present)
        before = float(ops.to_numpy(norm).reshape(()))
        if max_norm <= 0:
            return gradients, before
        factor = ops.scalar(min(max_norm / (before + eps), 1.0), present[0])
        return {name: None if g is None else g * factor for name, g in gradients.items()}, before


def mean_gradient(gradients: list):
    """Of one parameter over several batches; a batch without a gradient counts as zeros, None if all are."""
    present = [g for g in gradients if g is not None]
    if not present or len(gradients) == 1:
        return gradients[0]
    total = present[0]
    for gradient in present[1:]:
        total = total + gradient
    return total / len(gradients)
