"""Errors that tell a user what to do; of the project only `door` is below this module."""

from __future__ import annotations

from collections.abc import Mapping

from door.errors import InputError as InputError


class WorkerDied(RuntimeError):
    """The process ended, or did not answer in time; `node` is the last one that it had entered."""

    def __init__(self, message: str, node: str):
        super().__init__(message)
        self.node = node


class OutOfTime(WorkerDied):
    """The time that the user gave was over; what was not done by then is not run, and nobody's fault."""


class WorkerError(RuntimeError):
    """The request raised; `details` holds the worker's traceback, `side` its label, `told` what describe() of
    engine/judge/crashes.py says. `node` is the module that it came up in, "(outside) FUNCTION" in none, "(run)" where
    that is not known."""

    def __init__(self, message: str, details: str, side: str = "", told: Mapping | None = None):
        super().__init__(message)
        self.details, self.side, self.told = details, side, told or {}
        self.node = self.told.get("node") or "(run)"
