"""Lines for whoever watches a run: written to the terminal itself, past pytest's capture, from any thread.

live.py writes to it.
"""

from __future__ import annotations

import io
import os
import threading
import time

from door.display import plain

ERASE = "\r\x1b[K"  # back to the start of the line, and empty it


class Screen:
    """Whole lines, and on a terminal one more that changes in place."""

    def __init__(self, file, width: int = 80):
        """`file` is where pytest writes; a copy is kept, as its descriptor leads elsewhere while tests are captured."""
        self.in_place = file.isatty()
        self.width = width
        self.shown = ""  # the line that changes
        self.lock = threading.Lock()
        try:
            self.stream = os.fdopen(os.dup(file.fileno()), "w", encoding="utf-8")
            self.copied = True
        except (AttributeError, OSError, io.UnsupportedOperation):
            self.stream, self.copied = file, False

    def line(self, text: str) -> None:
        with self.lock:
            self._write(f"{ERASE if self.shown else ''}{plain(text)}\n")
            self.shown = ""

    def change(self, text: str) -> None:
        """Another text in place; "" takes it away."""
        text = plain(text)
        with self.lock:
            if text != self.shown:
                self._write(ERASE + text[: self.width - 1])
                self.shown = text

    def close(self) -> None:
        self.change("")
        if self.copied:
            self.stream.close()

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()


class Ticker:
    """Calls `tick()` again and again in a thread of its own, inside of a `with` block."""

    def __init__(self, tick, seconds: float):
        self.tick, self.seconds = tick, seconds
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, name="parity-ticker", daemon=True)

    def __enter__(self) -> Ticker:
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.over.set()
        self.thread.join()

    def _run(self) -> None:
        while not self.over.wait(self.seconds):
            self.tick()


def duration(seconds: float) -> str:
    """ "0.4 s", "42 s", "3 min 12 s"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


class Reminder:
    """Whether it is time for another line: every `seconds` while something changes, else every three times that."""

    def __init__(self, seconds: float, clock=time.monotonic):
        self.seconds, self.clock = seconds, clock
        self.restart()

    def restart(self) -> None:
        self.last, self.told = self.clock(), None

    def due(self, state) -> bool:
        waited = self.clock() - self.last
        if waited < self.seconds or (state == self.told and waited < 3 * self.seconds):
            return False
        self.last, self.told = self.clock(), state
        return True
