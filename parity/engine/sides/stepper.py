"""Training steps of one half: the subject's own, or losses, backward and an optimiser.

Before: runner.py. Asked through server.py; judge/steps.py judges.
"""

from __future__ import annotations

from parity.engine.sides.optimise import Optimiser, Options
from parity.engine.sides.runner import Runner


def train_step(
    runner: Runner, inputs, step: int = 0, targets=None, sizes: dict | None = None
) -> dict[str, float]:
    """One step: the subject's own, or forward, losses, backward and its optimiser; losses by name and "loss".

    Into `sizes`, where given, goes what the harness's own losses would be if nothing cancelled in them."""
    subject, backend = runner.subject, runner.backend
    if subject.train_step is not None:
        return {k: float(v) for k, v in subject.train_step(inputs, step).items()}
    run = runner.plain_run(step, training=True)
    outputs = runner.forward(runner.prepare(inputs), run)
    total, losses = runner.losses(outputs, targets, run)
    if sizes is not None and subject.losses is None:
        sizes |= runner.sizes(outputs)
        sizes["loss"] = sizes.pop("total")
    found = {k: float(backend.to_numpy(x).reshape(())) for k, x in losses.items()}
    if total is None:
        return found
    found |= {"loss": float(backend.to_numpy(total).reshape(()))}
    if subject.optimiser is not None:
        if runner.optimiser is None:
            runner.optimiser = subject.optimiser({n: runner.tensors[n] for n in runner.trained})
        if subject.schedule is not None:
            subject.schedule(runner.optimiser, step)
        backend.step(runner.optimiser, total)
        return found
    plain_step(runner, total)
    return found


def plain_step(runner: Runner, total) -> None:
    """A step of the harness's own optimiser."""
    backend = runner.backend
    trained = {name: runner.tensors[name] for name in runner.trained}
    if runner.optimiser is None:
        runner.optimiser = Optimiser(Options.from_mapping(runner.subject.options))
    slopes = backend.vjp([total], [None], list(trained.values()))
    gradients = {n: None if g is None else backend.to_numpy(g) for n, g in zip(trained, slopes)}
    # no gradient is None in PyTorch and zeros in Jittor: neither decays what nothing uses
    gradients = {n: g if g is not None and g.any() else None for n, g in gradients.items()}
    values = {name: backend.to_numpy(x) for name, x in trained.items()}
    for name, value in runner.optimiser.step(values, gradients).items():
        backend.update(trained[name], backend.array(value, like=trained[name]))


def train_steps(runner: Runner, batches: list, targets=None) -> tuple[list[dict], dict, list[dict]]:
    """Losses of every step, the state after the last, and the sizes of what losses of the harness's are sums of."""
    sizes = [{} for _ in batches]
    losses = [train_step(runner, b, k, targets, sizes[k]) for k, b in enumerate(batches)]
    return losses, runner.state(), sizes
