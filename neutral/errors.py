"""The one exception that bad input raises: the message names the thing and says what to do."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input (file, image, annotation, key, shape, option). Scripts print it and exit with 2."""
