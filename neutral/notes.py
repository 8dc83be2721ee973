"""What a user should know and need not mend: said once for each kind, as a warning that scripts print as a line."""

from __future__ import annotations

import threading
import warnings

_said: set[str] = set()
_lock = threading.Lock()


class Note(UserWarning):
    """A word about the input; nothing is wrong."""


def say(text: str, kind: str | None = None) -> None:
    """Warns with `text`, unless one of its `kind` (None: this very text) was said before. Safe between threads."""
    with _lock:
        if (kind or text) in _said:
            return
        _said.add(kind or text)
    warnings.warn(text, Note, stacklevel=2)


def forget() -> None:
    """Everything may be said again."""
    with _lock:
        _said.clear()
