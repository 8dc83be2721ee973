"""What bad input raises, InputError: its message names the thing and says what to do; and two ways for a run to end."""

from __future__ import annotations

from collections.abc import Mapping

from door.errors import InputError as InputError


class NonFinite(InputError):
    """A loss, an output or a gradient is NaN or infinite; `nodes` are those of a trace that it ended."""

    nodes: Mapping = {}


class Ended(Exception):
    """What a command consists of ended without being finished: a process of it died, or was stopped.

    message: one line; `details`: further ones, as an InputError has them.
    """

    def __init__(self, message: str, code: int, *details: str):
        super().__init__(message)
        self.code, self.details = code, details
