"""Gradients, parameters, modules: Jittor's half."""

from __future__ import annotations

import numpy as np

from jittor_impl.ops.tensors import array
from jittor_impl.runtime import jt
from neutral.errors import InputError

Tensor = jt.Var


def grad(loss: Tensor, tensors: list[Tensor]) -> list[Tensor | None]:
    """d loss / d each; zeros, not None, where the loss does not depend on it."""
    return vjp([loss], [None], tensors)


def vjp(
    outputs: list[Tensor], cotangents: list[Tensor | None], tensors: list[Tensor]
) -> list[Tensor | None]:
    """d (sum of outputs times cotangents) / d each, as `grad`; None stands for 1 and needs a scalar."""
    total = None
    for output, cotangent in zip(outputs, cotangents):
        part = output if cotangent is None else (output * cotangent).sum()
        total = part if total is None else total + part
    return list(jt.grad(total, tensors))


def no_grad():
    """Context manager: nothing inside is recorded for gradients."""
    return jt.no_grad()


def update(x: Tensor, value: Tensor) -> None:
    """Writes `value` into the parameter, buffer or optimiser state `x`, which stays what it was."""
    fixed = x.is_stop_grad()
    with jt.enable_grad():  # under no_grad the parameter would be frozen for good
        x.update(value.detach())
    if fixed:
        x.stop_grad()


def finish(tensors: list[Tensor]) -> None:
    """Waits until the tensors are computed; errors of lazily run kernels surface here."""
    jt.sync(tensors, device_sync=bool(jt.flags.use_cuda))


def named_tensors(model) -> dict[str, Tensor]:
    """Every parameter and buffer by its canonical name, live."""
    return dict(model.named_parameters())


def set_trainable(tensors: dict[str, Tensor], names: set[str]) -> None:
    """Gradients flow to the named tensors and to no other."""
    for (
        name,
        tensor,
    ) in tensors.items():  # Vars start trainable; start_grad() would mark them as scalars
        if name not in names:
            tensor.stop_grad()


def surround(module, around):
    """Replaces what a call of `module` runs by around(what it ran before); returns a function that undoes it."""
    before = vars(module).get("execute")
    module.execute = around(module.execute)
    if before is None:
        return lambda: delattr(module, "execute")
    return lambda: setattr(module, "execute", before)


def set_mode(model, training: bool) -> None:
    """Whether batch statistics are computed and dropout drops, in the framework's own layers."""
    for part in model.modules():  # its own eval() would freeze every parameter
        part.is_train = training


def is_tensor(x) -> bool:
    return isinstance(x, Tensor)


def total_norm(tensors: list[Tensor]) -> Tensor:
    """Euclidean norm of all elements of all tensors, shape (1,) in Jittor."""
    # row by row: one long float32 sum loses digits
    squares = jt.concat([(t * t).reshape(t.shape[0], -1).sum(1).sum() for t in tensors])
    return squares.sum().sqrt()


def load_array(x: Tensor, values: np.ndarray, name: str) -> None:
    """Writes a NumPy array into a parameter or buffer; InputError on another shape."""
    if tuple(x.shape) != values.shape:
        raise InputError(
            f"{name}: the model has shape {tuple(x.shape)}, the weights {values.shape}"
        )
    update(x, array(values, like=x))


def is_differentiable(x: Tensor) -> bool:
    """Whether a gradient can be asked for at this node."""
    return not x.is_stop_grad() and str(x.dtype).startswith("float")
