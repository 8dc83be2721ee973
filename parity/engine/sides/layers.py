"""What a module says of itself: its class, its plain attributes, whose it is.

Before: nothing. tracer.py asks; judge/oracle.py and judge/kinds.py read what is said.
"""

from __future__ import annotations

import numpy as np

from parity.backends.base import Backend
from parity.engine.values import places, tree
from parity.engine.values.nodes import module_of


def describe_module(module, backend: Backend) -> dict:
    """{"type": class, "leaf": no modules inside, "holds": tensors, "code": FILE:LINE, ATTRIBUTE: plain value,
    "framework": whose own layer it is, or ""}."""
    plain = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in vars(module).items()
        if not name.startswith("_") and tree.is_plain(value)
    }
    about = {"type": type(module).__name__, "leaf": not has_parts(module)}
    about["code"] = places.of_module(module)
    about["framework"] = framework_of(module)
    return plain | about | {"holds": len(backend.named_tensors(module))}


def has_parts(module) -> bool:
    """Whether it holds modules."""
    return any(True for _ in module.children())


def is_cut(tracer, node: str, tensor) -> bool:
    """Whether what a module with parts is given, in a forced run, has another shape than the reference's: its parts may
    be given the same all the same. `tracer` keeps the node in `cut`, and what does not fit in `misfits`."""
    fits = len(tracer.misfits) == len(tracer.cut)  # nothing of another shape was forced in before
    if fits and "/in" in node and has_parts(tracer.modules[module_of(node)]):
        given, computed = tracer.reference["nodes"][node].shape, tuple(tensor.shape)
        if given != computed and np.prod(given) > 1:
            tracer.misfits.append(f"{node}: {given} for {computed}")
            tracer.cut.add(node)
    return node in tracer.cut


def fitted(values: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """The reference's gradient of what has this shape here; None where it does not fit. What one side repeats along
    axes before has it in parts of one size."""
    if values is None or values.shape == shape:
        return values
    if values.size == 1 == int(np.prod(shape)):
        return values.reshape(shape)  # a scalar has one axis in Jittor
    more = len(shape) - values.ndim
    if more > 0 and values.ndim and shape[more:] == values.shape:
        return np.broadcast_to(values / np.prod(shape[:more]), shape)
    if more < 0 and shape and values.shape[-more:] == shape:
        return values.sum(tuple(range(-more)))
    return None


def framework_of(module) -> str:
    """ "torch" or "jittor" for a framework's own layer, "" for a class of the user's."""
    top = type(module).__module__.partition(".")[0]
    return top if top in ("torch", "jittor") else ""
