"""One rank of the suite's cases: `torchrun ... -m parity.suite.rank FRAMEWORK FOLDER VARIANT ...`, or under mpirun.

A variant is "sound", or a target that plants a fault, "TARGET=ARGUMENT"; each is tried with modules imported anew. The
first rank leaves FOLDER/0.npz, 1.npz, ... with what `experiment` tells of each. FOLDER/task.pickle says what to do.
"""

from __future__ import annotations

import importlib
import os
import pickle
import sys
from pathlib import Path

import numpy as np

from parity.engine.judge.weights import drawn_weights
from parity.engine.sides.server import Server
from parity.loading import resolve
from parity.suite.requests import implementation, reset, session_of

TASK, SOUND = "task.pickle", "sound"
EPOCHS = 2  # whose shares are told


def fresh(framework: str) -> None:
    """The implementation and all that it shares are imported anew from now on, without what was planted before."""
    for name in list(sys.modules):
        if name.split(".")[0] in (f"{framework}_impl", "neutral"):
            del sys.modules[name]
    sys.meta_path[:] = [f for f in sys.meta_path if type(f).__module__ != "parity.mutants"]


def experiment(framework: str, task: dict, steps: int | None = None) -> dict[str, np.ndarray]:
    """Shares of epochs; losses of every rank, gradients and their norm of a step; then the whole steps, or so many."""
    session_of, group_of = (
        importlib.import_module(f"{framework}_impl.{name}") for name in ("session", "group")
    )
    configuration, ranks, batching = (
        importlib.import_module(f"neutral.{name}") for name in ("config", "ranks", "data.batching")
    )
    seat = ranks.seat_of(framework)
    group = group_of.Group(seat)
    config = configuration.from_dict(task["config"])
    session = session_of.Session(config, "cpu", "float64", group)
    weights = drawn_weights(session.shapes())
    batch = pickle.loads(task["batches"][group.rank])  # of classes that were imported anew
    arrays = {}
    for epoch in range(EPOCHS):
        seat = (group.rank, group.size)
        shares = group.gather(batching.train_share(task["images"], config.seed, epoch, *seat))
        arrays |= {f"share/epoch{epoch}/rank{r}": np.array(s) for r, s in enumerate(shares)}
    session.load(weights)
    values, gradients = session.backward(batch, 0)
    for rank, told in enumerate(group.gather(values)):
        arrays |= {f"loss/rank{rank}/{k}": np.array([v]) for k, v in told.items()}
    to_numpy = importlib.import_module(f"{framework}_impl.ops").to_numpy
    arrays |= {f"gradient/{k}": to_numpy(g) for k, g in gradients.items() if g is not None}
    session.pending = []
    for step, rates in enumerate(task["rates"][:steps]):
        losses = session.train_step(batch, step, rates)
        means = group.mean(list(losses.values()))
        arrays |= {f"step{step}/{k}": np.array([v]) for k, v in zip(losses, means)}
    for rank, digests in enumerate(group.gather(session.digests())):
        arrays |= {f"digest/rank{rank}/{k}": np.array(v) for k, v in digests.items()}
    return arrays | {f"state/{k}": v for k, v in session.state().items()}


def as_ranks(server: Server, weights: dict, batches: list, rates_per_step: list[dict]) -> dict:
    """What `experiment` must tell of ranks whose batches these are, from one process, a worker."""
    session, ops = session_of(server), implementation(server, "ops")
    mean_gradient = implementation(server, "training").mean_gradient
    draws = importlib.import_module("neutral.randomness").Draws
    objects = float(np.mean([sum(len(t.labels) for t in batch.targets) for batch in batches]))

    def backward(step: int) -> tuple[list[dict], dict]:
        losses, gradients = [], []
        for rank, batch in enumerate(batches):
            session.draws.rank = draws(session.config.seed, rank).rank
            outcome = session.run(batch, True, step, objects=objects)
            found = {"loss": outcome.total} | outcome.losses
            losses.append({k: float(ops.to_numpy(v).reshape(())) for k, v in found.items()})
            losses[-1] |= outcome.errors
            found = ops.grad(outcome.total, [session.tensors[name] for name in session.trained])
            ops.finish([g for g in found if g is not None])  # in the kernels of every run
            gradients.append(dict(zip(session.trained, found)))
        return losses, {k: mean_gradient([g[k] for g in gradients]) for k in session.trained}

    reset(server, weights)
    losses, gradients = backward(0)
    arrays = {
        f"loss/rank{r}/{k}": np.array([v]) for r, x in enumerate(losses) for k, v in x.items()
    }
    arrays |= {f"gradient/{k}": ops.to_numpy(g) for k, g in gradients.items() if g is not None}
    for step, rates in enumerate(rates_per_step):
        losses, gradients = backward(step)
        told = {k: np.mean([x[k] for x in losses]) for k in losses[0]}
        told |= session.update(gradients, rates)
        arrays |= {f"step{step}/{k}": np.array([v]) for k, v in told.items()}
    session.draws.rank = ()
    return arrays | {f"state/{k}": v for k, v in session.state().items()}


def main() -> None:
    framework, folder, *variants = sys.argv[1:]
    task = pickle.loads((Path(folder) / TASK).read_bytes())
    for number, variant in enumerate(variants):
        fresh(framework)
        if variant != SOUND:
            target, _, argument = variant.partition("=")
            resolve(target)(argument)
        # what is planted shows in the first step
        arrays = experiment(framework, task, None if variant == SOUND else 1)
        seat = importlib.import_module("neutral.ranks").seat_of(framework)
        if seat.rank == 0:  # it alone is told of the others
            np.savez(Path(folder) / f"{number}.npz", **arrays)
    sys.stdout.flush()
    leave(framework)


def leave(framework: str) -> None:
    """After all others have come here, too."""
    fresh(framework)
    ranks, group = (
        importlib.import_module(name) for name in ("neutral.ranks", f"{framework}_impl.group")
    )
    group.Group(ranks.seat_of(framework)).leave()
    os._exit(0)  # Jittor's own way out takes long


if __name__ == "__main__":
    main()
