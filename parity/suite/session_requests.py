"""What scripts ask of a session beside a trace: steps until a loss is not finite, averages, states, detections."""

from __future__ import annotations

import numpy as np

from parity.engine.judge.weights import drawn_weights
from parity.engine.sides.server import Server
from parity.suite.requests import build, session_of

RATE, STEPS = 1e-3, 3
CLASSES = ("class_embed.bias", "cls_score.bias")


def used(server: Server, config: dict, batch) -> dict[str, np.ndarray]:
    """A float64 session's answers as numbers, by the method that was asked; optimiser.ema_decay is to be set."""
    build(server, config, "cpu", "float64")
    session = session_of(server)
    session.load(drawn_weights(session.shapes()))
    rates = dict.fromkeys(session.trained_names(), RATE)
    found = told("trained_names", {name: 1.0 for name in rates})
    about = session.describe()
    own = {"framework": server.backend_name, "device_name": "cpu"}
    found |= told("describe", {key: about[key] == value for key, value in own.items()})
    found |= told("describe", empty(about))
    found |= each("train_batches", session.train_batches([batch] * STEPS, 0, rates))
    slots, steps = session.optimiser_state()
    found |= told("optimiser_state", slots | {"steps": steps})
    before = session.state()
    with session.averaged():
        found |= told("averaged", session.state())
    found |= told("averaged, put back", session.state())
    digests = session.digests()
    found |= each("train_step", [session.train_step(batch, STEPS, rates)])
    moved = {name: float(digest != digests[name]) for name, digest in session.digests().items()}
    found |= told("digests", moved)
    session.load(before)
    session.load_optimiser(slots, steps)
    found |= each("load_optimiser", [session.train_step(batch, STEPS, rates)])
    values, detections = session.evaluate(batch)
    found |= told("evaluate", values) | each("evaluate", detections)
    found |= each("detect", session.detect(batch))
    return found | stopped(session, batch, rates)


def empty(about: dict) -> dict[str, float]:
    """What a description has no text for, by name: a side's other keys are its own."""
    return {f"{key} is empty": 1.0 for key, value in about.items() if value == ""}


def stopped(session, batch, rates: dict[str, float]) -> dict[str, np.ndarray]:
    """What is told of a loss that is not finite, whether anything moves then, and after how many batches it ends."""
    before = session.state()
    name = next(n for n in rates if n.endswith(CLASSES))
    session.load(before | {name: before[name] * np.nan})
    values = session.train_step(batch, STEPS, rates)
    kinds = {"why": "why" in values, "norm": "grad_norm" in values}
    found = told("train_step, not finite", kinds | {"finite": np.isfinite(values["loss"])})
    session.load(before)
    fine, bad = {"loss": 1.0}, float("nan")
    for what, last in {"loss": {"loss": bad}, "norm": {"loss": 1.0, "grad_norm": bad}}.items():
        answers = iter([fine, last, fine])
        session.train_step = lambda batch, step, rates, answers=answers: next(answers)
        found |= told(
            "train_batches, not finite", {what: len(session.train_batches([batch] * 3, 0, rates))}
        )
    del session.train_step
    return found


def told(what: str, values: dict) -> dict[str, np.ndarray]:
    return {f"{what}/{name}": np.asarray(x, dtype=np.float64) for name, x in values.items()}


def each(what: str, values: list[dict]) -> dict[str, np.ndarray]:
    return {n: x for k, one in enumerate(values) for n, x in told(f"{what}/{k}", one).items()}
