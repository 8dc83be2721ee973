"""Gradients, parameters, modules: PyTorch's half."""

from __future__ import annotations

import numpy as np

from neutral.errors import InputError
from torch_impl.ops.tensors import array
from torch_impl.runtime import torch

Tensor = torch.Tensor


def grad(loss: Tensor, tensors: list[Tensor]) -> list[Tensor | None]:
    """d loss / d each; None where the loss does not depend on it."""
    return vjp([loss], [None], tensors)


def vjp(
    outputs: list[Tensor], cotangents: list[Tensor | None], tensors: list[Tensor]
) -> list[Tensor | None]:
    """d (sum of outputs times cotangents) / d each, as `grad`; None stands for 1 and needs a scalar."""
    return list(torch.autograd.grad(outputs, tensors, cotangents, allow_unused=True))


def no_grad():
    """Context manager: nothing inside is recorded for gradients."""
    return torch.no_grad()


def update(x: Tensor, value: Tensor) -> None:
    """Writes `value` into the parameter, buffer or optimiser state `x`, which stays what it was."""
    with torch.no_grad():
        x.copy_(value)


def finish(tensors: list[Tensor]) -> None:
    """Waits until the tensors are computed; errors of lazily run kernels surface here."""
    if tensors and tensors[0].is_cuda:
        torch.cuda.synchronize()


def named_tensors(model) -> dict[str, Tensor]:
    """Every parameter and buffer by its canonical name, live."""
    return model.state_dict(keep_vars=True)


def set_trainable(tensors: dict[str, Tensor], names: set[str]) -> None:
    """Gradients flow to the named tensors and to no other."""
    for name, tensor in tensors.items():
        tensor.requires_grad_(name in names)


def surround(module, around):
    """Replaces what a call of `module` runs by around(what it ran before); returns a function that undoes it."""
    before = vars(module).get("forward")
    module.forward = around(module.forward)
    if before is None:
        return lambda: delattr(module, "forward")
    return lambda: setattr(module, "forward", before)


def set_mode(model, training: bool) -> None:
    """Whether batch statistics are computed and dropout drops, in the framework's own layers."""
    model.train(training)


def is_tensor(x) -> bool:
    return isinstance(x, Tensor)


def total_norm(tensors: list[Tensor]) -> Tensor:
    """Euclidean norm of all elements of all tensors, shape ()."""
    return torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(t) for t in tensors]))


def load_array(x: Tensor, values: np.ndarray, name: str) -> None:
    """Writes a NumPy array into a parameter or buffer; InputError on another shape."""
    if tuple(x.shape) != values.shape:
        raise InputError(
            f"{name}: the model has shape {tuple(x.shape)}, the weights {values.shape}"
        )
    update(x, array(values, like=x))


def is_differentiable(x: Tensor) -> bool:
    """Whether a gradient can be asked for at this node."""
    return x.requires_grad
