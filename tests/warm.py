"""Processes that import no framework: copies (fork) of one that has imported it. starting.py asks for them.

A copy is a process of its own and ends as any other. `python -m tests.warm torch FD` is what copies are made of. What
is read while a framework is imported is read once, so copies serve that environment only.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

from door.process import loaded_libraries
from parity.engine.sides.server import die_with_parent
from parity.engine.sides.workers import PASSIVE

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ["scripts.train", "scripts.evaluate", "scripts.predict", "scripts.record"]
IMPORTED = {
    "torch": ["torch_impl.runtime", "torch_impl.session", "parity.backends.torch", *SCRIPTS],
    "jittor": ["jittor_impl.session", "parity.backends.jittor", *SCRIPTS],
    "neither": ["matplotlib.pyplot", "scripts.compare", *SCRIPTS],
}
# Jittor's compiling threads are not copied, and a copy would wait for them for ever
ALONE = {"use_parallel_op_compiler": "0"}
NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
# variables that change from test to test
OF_ONE = {"PYTEST_CURRENT_TEST", "PYTHONPATH", "PARITY_PARENT", NO_BYTECODE}
LONGEST = 1 << 16  # bytes of a request
FD = "{fd}"  # stands in a command line for the file that it is given


def variables(environment) -> dict[str, str]:
    return {k: v for k, v in environment.items() if k not in OF_ONE | PASSIVE.keys()}


def source_of(framework: str) -> Source:
    if framework not in SOURCES:
        SOURCES[framework] = Source(framework)
    return SOURCES[framework]


def renew() -> None:
    """Sources of another environment than the present one are ended: the next copy has its own."""
    for framework, source in list(SOURCES.items()):
        if source.environment != variables(os.environ):
            SOURCES.pop(framework).close()


class Source:
    """The process of which copies are made, one for all tests."""

    def __init__(self, framework: str):
        self.environment = variables(os.environ)
        self.connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            fd = theirs.fileno()
            command = [sys.executable, "-m", "tests.warm", framework, str(fd)]
            environment = {**PASSIVE, **os.environ, **ALONE}
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, pass_fds=[fd]
            )
        atexit.register(self.close)

    def close(self) -> None:
        """Ends it, whoever else has a copy of this end of the connection."""
        with self.connection, contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def copy(self, command: list[str], cwd, files: list[int], variables: dict | None = None):
        """A copy that runs this command line; `files`: its stdout, stderr and perhaps what FD stands for."""
        receiver, sender = os.pipe()
        about = {"command": command[2:], "cwd": str(cwd), "variables": variables or {}}
        socket.send_fds(self.connection, [json.dumps(about).encode()], [sender, *files])
        os.close(sender)
        return Copy(command, os.fdopen(receiver))


class Copy:
    """A copy, used as subprocess.Popen is."""

    def __init__(self, args: list[str], told):
        self.args, self.told = args, told
        self.stdout = self.stderr = None
        self.pid = int(told.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self.told], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self.told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout)
            with self.told:
                self.returncode = int(self.told.readline() or -signal.SIGKILL)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float = 900.0) -> tuple[str, str]:
        """What is left of its stdout, and all of its stderr; it is killed where it takes longer."""
        late = threading.Event()
        timer = threading.Timer(timeout, lambda: (late.set(), self.kill()))
        timer.start()
        with self.stdout, self.stderr:
            out = self.stdout.read()
            self.wait()
            timer.cancel()
            self.stderr.seek(0)
            errors = self.stderr.read()
        if late.is_set():
            raise subprocess.TimeoutExpired(self.args, timeout, out, errors)
        return out, errors


SOURCES: dict[str, Source] = {}


def serve(connection: socket.socket) -> dict | None:
    """Makes copies until nobody asks any more; in a copy: what it was asked for."""
    keepers: set[int] = set()
    while True:
        message, files, _, _ = socket.recv_fds(connection, LONGEST, 4)
        if not message:
            return None
        keepers -= {pid for pid in keepers if os.waitpid(pid, os.WNOHANG)[0]}
        pid = os.fork()
        keepers.add(pid)
        if not pid:
            connection.close()
            return keep(json.loads(message), files)
        for file in files:
            os.close(file)


def keep(about: dict, files: list[int]) -> dict:
    """In a keeper, the parent of one copy: tells its process and how it ended. In the copy: what it was asked for."""
    told, *streams = files
    die_with_parent()
    pid = os.fork()
    if not pid:
        os.close(told)
        for number, stream in enumerate(streams[:2], 1):
            os.dup2(stream, number)
            os.close(stream)
        return about | {"fd": streams[2:]}
    for stream in streams:
        os.close(stream)
    try:
        os.write(told, f"{pid}\n".encode())
        os.write(told, f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n".encode())
    finally:  # where nobody wants to know, too
        os._exit(0)


def become(about: dict) -> None:
    """Runs a command line as after `python -m`."""
    os.environ.update(about["variables"])
    sys.dont_write_bytecode = NO_BYTECODE in os.environ
    os.chdir(about["cwd"])
    sys.path[0] = about["cwd"]
    paths = about["variables"].get("PYTHONPATH", "")
    sys.path[1:1] = [path for path in paths.split(os.pathsep) if path]
    importlib.invalidate_caches()
    sys.argv = [str(about["fd"][0]) if word == FD else word for word in about["command"]]
    sys.modules.pop(sys.argv[0], None)
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def main() -> None:
    framework = sys.argv[1]
    modules = [importlib.import_module(name) for name in IMPORTED[framework]]
    if framework == "torch":
        loaded_libraries(*modules[0].LIBRARIES)  # told by every run, and read once
    about = serve(socket.socket(fileno=int(sys.argv[2])))
    if about:
        become(about)


if __name__ == "__main__":
    main()
