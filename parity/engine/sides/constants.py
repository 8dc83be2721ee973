"""Inputs of a function whose gradients its framework refuses: targets that the code goes on to write to, which are no
variables in anybody's training either.

Before: values/tree.py. runner.py asks, after a backward pass has raised.
"""

from __future__ import annotations

import numpy as np

from parity.engine.values import tree


def refused(runner, inputs, targets) -> frozenset[str]:
    """Paths of the float inputs that cannot be differentiated even alone."""
    leaves = tree.leaves(inputs, lambda x: isinstance(x, np.ndarray))
    floats = {path for path, x in leaves if x.dtype.kind == "f"}
    return frozenset(p for p in floats if not is_taken(runner, inputs, targets, floats - {p}))


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
