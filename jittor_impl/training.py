"""AdamW, SGD and gradient clipping.

AdamW (Loshchilov and Hutter 2019) in the arithmetic of torch.optim.AdamW, clipping as
torch.nn.utils.clip_grad_norm_, skipped when clip_max_norm is 0 (engine.py:54 of DETR's reference); SGD
with momentum in the arithmetic of torch.optim.SGD. Written out because Jittor's own AdamW counts
backward passes instead of steps, decays parameters without a gradient and takes its learning rate
from a key that callers easily miss.
"""

from __future__ import annotations

import math

from jittor_impl import ops
from neutral.config import OptimiserConfig


class AdamW:
    """State per parameter name; the learning rate of each parameter is handed to every step."""

    def __init__(self, parameters: dict, decays: dict[str, float], config: OptimiserConfig):
        self.parameters = parameters
        self.decays = decays
        self.config = config
        self.steps = 0
        with ops.no_grad():
            self.first = {name: ops.frozen(p) * 0 for name, p in parameters.items()}
            self.second = {name: ops.frozen(p) * 0 for name, p in parameters.items()}

    def step(self, gradients: dict, rates: dict[str, float]) -> None:
        """Updates every parameter that has a gradient; `rates` are learning rates by name."""
        self.steps += 1
        beta1, beta2 = self.config.betas
        correction1 = 1 - beta1**self.steps
        correction2 = math.sqrt(1 - beta2**self.steps)
        with ops.no_grad():
            for name, gradient in gradients.items():
                if gradient is None:
                    continue
                parameter, first, second = (
                    self.parameters[name],
                    self.first[name],
                    self.second[name],
                )
                decay = ops.scalar(1 - rates[name] * self.decays[name], gradient)
                first_new = first + (gradient - first) * ops.scalar(1 - beta1, gradient)
                second_old = second * ops.scalar(beta2, gradient)
                second_new = second_old + gradient * gradient * ops.scalar(1 - beta2, gradient)
                eps = ops.scalar(self.config.eps, gradient)
                scale = second_new.sqrt() / ops.scalar(correction2, gradient) + eps
                moved = first_new / scale * ops.scalar(rates[name] / correction1, gradient)
                ops.update(parameter, parameter * decay - moved)
                ops.update(first, first_new)
                ops.update(second, second_new)

    def state(self) -> dict:
        """Arrays by name, for checkpoints: first and second moments and the step count."""
        arrays = {f"first/{name}": ops.to_numpy(x) for name, x in self.first.items()}
        return arrays | {f"second/{name}": ops.to_numpy(x) for name, x in self.second.items()}

    def load_state(self, arrays: dict, steps: int) -> None:
        self.steps = steps
        for name in self.parameters:
            ops.load_array(self.first[name], arrays[f"first/{name}"], f"first moment of {name}")
            ops.load_array(self.second[name], arrays[f"second/{name}"], f"second moment of {name}")


class SGD:
    """Momentum buffers per parameter name; weight decay is added to the gradient."""

    def __init__(self, parameters: dict, decays: dict[str, float], config: OptimiserConfig):
        self.parameters = parameters
        self.decays = decays
        self.config = config
        self.steps = 0
        with ops.no_grad():
            self.momentum = {name: ops.frozen(p) * 0 for name, p in parameters.items()}

    def step(self, gradients: dict, rates: dict[str, float]) -> None:
        """Updates every parameter that has a gradient; `rates` are learning rates by name."""
        self.steps += 1
        with ops.no_grad():
            for name, gradient in gradients.items():
                if gradient is None:
                    continue
                parameter, momentum = self.parameters[name], self.momentum[name]
                if self.decays[name]:
                    gradient = gradient + parameter * ops.scalar(self.decays[name], gradient)
                # a buffer starts as the first gradient: 0 times momentum, plus the gradient
                moved = momentum * ops.scalar(self.config.momentum, gradient) + gradient
                ops.update(parameter, parameter - moved * ops.scalar(rates[name], gradient))
                ops.update(momentum, moved)

    def state(self) -> dict:
        """Arrays by name, for checkpoints."""
        return {f"momentum/{name}": ops.to_numpy(x) for name, x in self.momentum.items()}

    def load_state(self, arrays: dict, steps: int) -> None:
        self.steps = steps
        for name in self.parameters:
            ops.load_array(self.momentum[name], arrays[f"momentum/{name}"], f"momentum of {name}")


OPTIMISERS = {"adamw": AdamW, "sgd": SGD}


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
