"""Ends what a GPU check has started when the check itself is killed: a process that reads from the check until its end.

Lines on standard input: "+ GROUP" when a group of processes was started, "- GROUP" when it has ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys


class Watcher:
    """The check's half."""

    def __init__(self):
        command = [sys.executable, "-S", __file__]
        # in a session of its own: what kills the check with all of its group leaves it alone
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, text=True, start_new_session=True
        )

    def tell(self, sign: str, group: int) -> None:
        with contextlib.suppress(BrokenPipeError):  # somebody ended it: the check goes on
            self.process.stdin.write(f"{sign} {group}\n")
            self.process.stdin.flush()

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()


def main() -> None:
    groups: set[int] = set()
    for line in sys.stdin:
        sign, group = line.split()
        (groups.add if sign == "+" else groups.discard)(int(group))
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
