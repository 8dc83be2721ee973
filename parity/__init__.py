"""Proves whether two implementations of a model agree: every layer, gradient, loss, choice and step.

Start with case.py (what is compared), then engine/examine.py (the runs), engine/semantic.py, engine/precision.py and
engine/localise.py (the gates), engine/tracer.py and engine/choices.py (how a run is watched). docs/architecture.md has
the picture. What is listed here is public; everything is imported when it is first used, and no framework ever is.
"""

from __future__ import annotations

import importlib

_PLACES = {
    "Case": "case",
    "Cause": "engine.causes",
    "FunctionCase": "case",
    "Layout": "case",
    "Side": "case",
    "Subject": "case",
    "transposed": "case",
    "InputError": "errors",
    "Record": "engine.record",
    "Result": "engine.result",
    "Status": "engine.verdicts",
    "Verdict": "engine.verdicts",
    "Workers": "engine.workers",
    "check_branches": "engine.probing",
    "check_data": "engine.data",
    "check_function": "engine.functions",
    "check_initial": "engine.initial",
    "check_optimiser": "engine.training",
    "check_postprocess": "engine.training",
    "check_schedule": "engine.training",
    "check_steps": "engine.training",
    "check_tube": "engine.training",
    "checkpoint": "engine.checkpoint",
    "compare": "engine.offline",
    "drawn_weights": "engine.weights",
    "examine": "engine.result",
    "judge_seeds": "engine.statistics",
    "measure_floors": "engine.measure",
    "pretrained": "engine.pretrained",
    "propose_names": "engine.mapping",
    "record": "engine.offline",
}
__all__ = sorted(_PLACES)


def __getattr__(name: str):
    if name not in _PLACES:
        raise AttributeError(f"module 'parity' has no attribute {name!r}")
    return getattr(importlib.import_module(f"parity.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
