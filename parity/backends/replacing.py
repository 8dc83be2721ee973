"""Functions replaced wherever they were imported to."""

from __future__ import annotations

import sys
from collections.abc import Callable


def everywhere(function: Callable, other: Callable) -> None:
    """Every module of this process that has the function under any name has the other in its place."""
    for module in list(sys.modules.values()):
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if value is function:
                setattr(module, name, other)
