"""Where memory goes: what is in use whenever a module is entered or left.

Before: runner.py. Nothing of the engine asks: it is for whoever trains.
"""

from __future__ import annotations

from parity.engine.sides.runner import Runner
from parity.engine.values import tree
from parity.engine.values.nodes import ROOT


def memory_profile(
    runner: Runner, inputs, targets=None, step: int = 0
) -> list[tuple[str, str, float]]:
    """(module, "entered" or "left", MiB) in order, then behind the losses and behind the backward pass.

    Of the GPU where the runner is on one, else of the process.
    """
    backend, found = runner.backend, []

    def around(name: str):
        def surround(call):
            def measured(*args, **named):
                found.append((name, "entered", backend.memory_in_use()))
                output = call(*args, **named)
                backend.finish([x for _, x in tree.leaves(output, backend.is_tensor)])
                found.append((name, "left", backend.memory_in_use()))
                return output

            return measured

        return surround

    modules = {name or ROOT: module for name, module in runner.modules().items()}
    release = [backend.surround(module, around(name)) for name, module in modules.items()]
    try:
        run = runner.plain_run(step, training=True)
        total, _ = runner.losses(runner.forward(runner.prepare(inputs), run), targets, run)
    finally:
        for undo in release:
            undo()
    found.append(("(losses)", "left", backend.memory_in_use()))
    tensors = [runner.tensors[name] for name in runner.trained]
    backend.finish([g for g in backend.vjp([total], [None], tensors) if g is not None])
    return [*found, ("(backward)", "left", backend.memory_in_use())]
