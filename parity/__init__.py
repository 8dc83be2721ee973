"""Proves whether two implementations of a model agree: every layer, gradient, loss, choice and step.

Start with case.py (what is compared), then engine/ask (what can be asked), engine/judge (gates and verdicts),
engine/sides (how a half is run and watched), engine/tell (causes); each says where to begin. docs/architecture.md has
the picture. What is listed here is public; everything is imported when it is first used, and no framework ever is.
"""

from __future__ import annotations

import importlib

_PLACES = {
    "Case": "case",
    "Cause": "engine.tell.causes",
    "FunctionCase": "case",
    "Layout": "case",
    "Side": "case",
    "Subject": "case",
    "transposed": "case",
    "InputError": "errors",
    "Record": "engine.values.record",
    "Result": "engine.ask.result",
    "Status": "engine.judge.verdicts",
    "Verdict": "engine.judge.verdicts",
    "Workers": "engine.sides.workers",
    "check_branches": "engine.ask.probing",
    "check_data": "engine.ask.data",
    "check_function": "engine.ask.functions",
    "check_initial": "engine.ask.initial",
    "check_optimiser": "engine.ask.training",
    "check_postprocess": "engine.ask.training",
    "check_schedule": "engine.ask.training",
    "check_steps": "engine.ask.training",
    "check_tube": "engine.ask.training",
    "checkpoint": "engine.sides.checkpoint",
    "compare": "engine.ask.offline",
    "drawn_weights": "engine.judge.weights",
    "examine": "engine.ask.examine",
    "judge_seeds": "engine.judge.statistics",
    "measure_floors": "engine.ask.measure",
    "pretrained": "engine.sides.pretrained",
    "propose_names": "engine.ask.mapping",
    "record": "engine.ask.offline",
}
__all__ = sorted(_PLACES)


def __getattr__(name: str):
    if name not in _PLACES:
        raise AttributeError(f"module 'parity' has no attribute {name!r}")
    return getattr(importlib.import_module(f"parity.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
