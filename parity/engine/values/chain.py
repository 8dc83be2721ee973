"""Work of one side in a thread of its own, in order, with names that the other side can wait for.

Before: nothing. ask/examination.py has one for each side.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path


class Chain:
    """One side's work, in order, in a thread of its own; after a failure nothing more of it is done."""

    def __init__(self, side: str):
        self.side = side
        self.threads = ThreadPoolExecutor(1)
        self.named: dict[str, Future] = {}
        self.failure: Exception | None = None

    def __enter__(self) -> Chain:
        return self

    def __exit__(self, *_) -> None:
        self.threads.shutdown(cancel_futures=True)

    def add(self, function: Callable, *arguments, name: str = "") -> Future:
        def run():
            if self.failure is not None:
                raise self.failure
            try:
                return function(*arguments)
            except Exception as error:
                self.failure = error
                raise

        future = self.threads.submit(run)
        if name:
            self.named[name] = future
        return future

    def wait_for(self, name: str) -> None:
        """Until the work of that name is done, if there is any; its error is raised here too."""
        if name in self.named:
            self.named[name].result()

    def wait_for_file(self, path: Path, name: str) -> None:
        """Until the file is there; when the work of that name ends without it, its error is raised."""
        while not path.exists():
            if self.named[name].done():
                self.wait_for(name)
                return
            time.sleep(0.02)
