"""The one exception that bad input raises: the message names the thing and says what to do."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input (a file, a record, a key, a shape, an option). Commands print it and end with `exit_code`.

    The message is shown as one line; `details` are further ones.
    """

    exit_code = 2

    def __init__(self, message: str = "", *details: str):
        super().__init__(message)
        self.details = details
