"""What scripts ask of a session beside a trace: steps until a loss is not finite, averages, states, detections."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from parity.engine.server import Server
from parity.engine.weights import drawn_weights
from parity.suite.requests import build, session_of

RATE, STEPS = 1e-3, 3


def used(server: Server, config: dict, batch) -> dict[str, np.ndarray]:
    """A float64 session's answers as numbers, by what was asked; optimiser.ema_decay is to be set."""
    build(server, config, "cpu", "float64")
    session = session_of(server)
    session.load(drawn_weights(session.shapes()))
    rates = dict.fromkeys(session.trained_names(), RATE)
    found = told("trained", {name: 1.0 for name in rates})
    found |= each("steps", session.train_batches([batch] * STEPS, 0, rates))
    slots, steps = session.optimiser_state()
    found |= told("optimiser", slots | {"steps": steps})
    before = session.state()
    with session.averaged():
        found |= told("averaged", session.state())
    found |= told("put back", session.state())
    digests = session.digests()
    found |= each("one more", [session.train_step(batch, STEPS, rates)])
    moved = {name: float(digest != digests[name]) for name, digest in session.digests().items()}
    found |= told("moved", moved)
    session.load(before)
    session.load_optimiser(slots, steps)
    found |= each("resumed", [session.train_step(batch, STEPS, rates)])
    values, detections = session.evaluate(batch)
    found |= told("evaluated", values) | each("evaluated", detections)
    found |= each("detected", session.detect(batch))
    return found | stopped(session, batch, rates)


def stopped(session, batch, rates: dict[str, float]) -> dict[str, np.ndarray]:
    """How many steps are made of batches of which the second is not finite, and what is told of it."""
    broken = replace(batch, images=batch.images * np.nan)
    before = session.state()
    values = session.train_batches([batch, broken, batch], STEPS + 1, rates)
    moved = {n: float((x != before[n]).any()) for n, x in session.state().items()}
    last = values[-1]
    kinds = {"steps": len(values), "why": "why" in last, "norm": "grad_norm" in last}
    found = told("stopped", kinds | {"finite": np.isfinite(last["loss"])})
    return found | told("moved until then", moved)


def told(what: str, values: dict) -> dict[str, np.ndarray]:
    return {f"{what}/{name}": np.asarray(x, dtype=np.float64) for name, x in values.items()}


def each(what: str, values: list[dict]) -> dict[str, np.ndarray]:
    return {n: x for k, one in enumerate(values) for n, x in told(f"{what}/{k}", one).items()}
