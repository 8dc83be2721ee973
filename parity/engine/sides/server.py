"""The process in which one half lives: `python -m parity.engine.sides.server BACKEND FD PROGRESS_FILE [PRELOAD ...]`.

Serves requests that arrive on a connection (see workers.py) until it closes. Every module that a
trace enters is written to the progress file, so that whoever finds this process dead knows where
it was. What it does not know itself it is told by name: `run("package.module:function", ...)` calls
function(server, ...); preloads are called before anything else.

Before: workers.py, the other end. Most of what is asked goes to runner.py.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import os
import pickle
import platform
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from door.process import peak_memory
from parity import loading
from parity.backends import base
from parity.case import Side, Subject
from parity.engine.judge.crashes import describe, is_refusal
from parity.engine.sides import stepper
from parity.engine.sides.imports import made
from parity.engine.sides.ran import Ran
from parity.engine.sides.runner import Runner
from parity.engine.sides.whereabouts import module_of_error
from parity.engine.sides.workers import PARENT, REPLY, REQUEST, WHERE
from parity.engine.values import tree
from parity.engine.values.places import watch_constructors
from parity.engine.values.record import Record, write_in_two, write_record
from parity.engine.values.transport import receive, send


class Server:
    """`runner` is what was built last; methods are the requests."""

    def __init__(self, backend: str, progress: str):
        self.backend_name, self._backend = backend, None
        self.progress = os.open(progress, os.O_WRONLY | os.O_CREAT)
        self.runner: Runner | None = None
        self.built: tuple | None = None
        self.label = backend
        self.environment: dict | None = None  # what records say of it
        self.narrow: set[tuple] = set()  # builds of sides that say float32 themselves
        self.planted: list = []
        self.ran = Ran()  # of the user's functions

    @property
    def backend(self) -> base.Backend:
        """The framework it brings is for good: garbage collections, which would take as long as a small model's run,
        need not go through it again."""
        if self._backend is None:
            self._backend = base.load(self.backend_name)
            watch_constructors(self._backend.nn.Module)
            gc.freeze()
        return self._backend

    def entered(self, node: str) -> None:
        os.pwrite(self.progress, node.encode()[:200].ljust(200), 0)

    def forget(self) -> None:
        """What was built is given up, its memory freed."""
        self.runner = self.built = self.environment = None

    def configure(self, device: str, dtype: str) -> None:
        """The framework by itself, apart from anything that was built."""
        self.forget()
        self.backend.configure(device, dtype)

    def build(
        self, side: Side, device: str, dtype: str, training: bool | None = False, label: str = ""
    ) -> None:
        """Makes the runner of this side's subject, unless there is one."""
        self.label = label or side.label or side.backend
        wanted = (side.build, repr(dict(side.arguments)), device, dtype)
        if self.built == wanted and self.runner.goes_on(training):
            return
        self.forget()
        self.backend.configure(device, dtype)
        self.backend.widen(dtype == "float64" and wanted[:2] in self.narrow)
        built = made(side, device=device, dtype=dtype)
        subject = built if isinstance(built, Subject) else Subject(built)
        self.runner = Runner(self.backend, subject, device, dtype, training)
        self.built = wanted

    def widen(self, side: Side) -> None:
        """From now on this side's code that says float32 computes in float64 in float64 runs."""
        self.narrow.add((side.build, repr(dict(side.arguments))))
        self.forget()

    def describe(self, device: str, dtype: str = "float32") -> dict:
        self.configure(device, dtype)
        about = self.backend.describe()
        return about | {"python": platform.python_version(), "numpy": np.__version__}

    def vary(self, variant: str) -> None:
        self.environment = None
        self.backend.vary(variant)

    def peak_memory(self) -> float:
        """MiB, of this process so far."""
        return peak_memory()

    def run(self, target: str, *arguments, **options):
        """function(server, *arguments) of that name."""
        return loading.resolve(target)(self, *arguments, **options)

    def call_target(self, target: str, *arguments):
        """A target that wants no server: inputs(), weights(shapes). InputError unless it gives arrays."""
        found = loading.resolve(target)(*arguments)
        return tree.without_tensors(found, target.rpartition(":")[2], self.backend.is_tensor)

    def run_apart(self, target: str, *arguments) -> dict:
        """`run` in a copy of this process, which has imported the framework and done nothing else; {"crash": its
        exit code} where the copy dies. On the CPU only: CUDA does not survive being copied."""
        self.backend.finish([])  # imported here, once for all copies
        receiver, sender = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.close(receiver)
                with open(sender, "wb") as file:
                    pickle.dump(self.run(target, *arguments), file)
            finally:
                os._exit(0)
        os.close(sender)
        with open(receiver, "rb") as file:
            answer = file.read()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return pickle.loads(answer) if answer else {"crash": f"exit code {code}"}

    def plant(self, faults: dict[str, str]) -> None:
        """Spoils what modules return, in place of what was planted before (see `spoiled`)."""
        for undo in self.planted:
            undo()
        modules = self.runner.modules() if faults else {}
        self.planted = [
            self.backend.surround(modules[name], spoiled(self.backend, kind))
            for name, kind in faults.items()
        ]

    def trace(
        self,
        inputs,
        out: Path | None = None,
        reference: Path | None = None,
        replay: Path | None = None,
        about: dict | None = None,
        in_two: bool = False,
        weights: Mapping | None = None,
        **options,
    ) -> dict | Path:
        """Runner.trace; into the record `out` when it is given, `about` added to what it says of itself.

        `reference` and `replay` are records; `in_two`: see write_in_two; `weights`: kept in the record.
        """
        reference, replay = (Record(p) if p is not None else None for p in (reference, replay))
        found = self.runner.trace(
            inputs,
            entered=self.entered,
            reference=reference,
            replay=replay["choices"] if replay else None,
            **options,
        )
        if out is None:
            return as_arrays(found)
        self.environment = self.environment or self.backend.describe()
        told = {
            **{"side": self.label, "device": self.runner.device, "dtype": self.runner.dtype},
            "forced": reference is not None,
            "rounded": options.get("rounded", False),
            "shapes": self.runner.shapes(),
            "environment": self.environment,
        }
        write = write_in_two if in_two else write_record
        kept = {"weights": weights} if weights is not None else {}
        return write(out, found | kept, told | (about or {}))

    def train_steps(self, batches: list, targets=None) -> tuple[list[dict], dict, list[dict]]:
        return stepper.train_steps(self.runner, batches, targets)

    def handle(self, method: str, args: tuple, options: dict):
        own = getattr(self, method, None)
        if own is None or method in ("handle", "entered"):
            own = getattr(self.runner, method)
        try:
            with self.ran.noting(str(args[0]) if method == "run" else method):
                return left_alone(own, *args, **options)
        except Exception as error:
            modules = self.runner.modules() if self.runner is not None else {}
            error.parity_told = describe(error) | {"node": module_of_error(error, modules)}
            raise


def left_alone(function: Callable, *args, **options):
    """What the function gives; an error where the user's code asks this process to end, as an argument parser does."""
    try:
        return function(*args, **options)
    except SystemExit as left:
        error = RuntimeError(f"sys.exit({left.code!r}) was called: see what stands above on stderr")
        raise error.with_traceback(left.__traceback__) from None


def spoiled(backend: base.Backend, kind: str) -> Callable:
    """For `surround`: "forward" is wrong by a millionth, "backward" in the gradient only, by a thousandth,
    "digits" by some 200 u in float32 only."""

    def around(call):
        def wrong(*args, **named):
            x = call(*args, **named)
            if kind == "forward":
                return x * backend.scalar(1 + 1e-6, x)
            if kind == "backward":
                fixed = backend.frozen(x)
                return fixed + (x - fixed) * backend.scalar(1.001, x)
            return x * backend.scalar(1 + 1.2e-5, x) if "float32" in str(x.dtype) else x

        return wrong

    return around


def as_arrays(value):
    """A trace with its lazy parts as dictionaries."""
    if isinstance(value, Mapping):
        return {k: as_arrays(v) for k, v in value.items()}
    return value


def die_with_parent() -> None:
    """This process is killed as soon as the one that made it has ended, however that ends."""
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG


def follow_parent() -> None:
    """A worker, and copies of it, never outlive who started them."""
    parent = os.environ.pop(PARENT, "")
    if parent and Path("/proc/self").exists():
        die_with_parent()
        if not Path("/proc", parent).exists():  # it had ended before
            os._exit(1)
        os.register_at_fork(after_in_child=die_with_parent)


def print_where() -> None:
    """From now on this process prints its stack when it crashes, and when it is asked by a signal; see Worker."""
    faulthandler.enable()
    faulthandler.register(WHERE, all_threads=False)


def serve(connection: Connection, handle: Callable, folder: Path) -> None:
    """Answers requests with handle(method, arguments, options) until nobody asks any more.

    folder: of large arrays (transport.py). An error that has an `exit_code` is the user's input; what `handle` knows of
    it comes along, see WorkerError, unless the harness itself refused that.
    """
    follow_parent()
    while True:
        try:
            method, args, options = receive(connection, folder / REQUEST)
        except EOFError:
            return
        try:
            reply = ("ok", handle(method, args, options))
        except Exception as error:
            text = str(error)
            told = getattr(error, "parity_told", {})
            reply = ("error", f"{type(error).__name__}: {text}", traceback.format_exc(), told)
            if getattr(error, "exit_code", 0):
                reply = ("input", text, {} if is_refusal(error) else told)
        try:
            send(connection, reply, folder / REPLY)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            text = f"{method}: what comes of it cannot be handed over: give arrays, numbers, strings ({error})"
            send(connection, ("error", text, "", {}), folder / REPLY)


def main() -> None:
    backend, descriptor, progress, *preloads = sys.argv[1:]
    connection = Connection(int(descriptor))
    print_where()
    for preload in preloads:
        target, given, argument = preload.partition("=")
        loading.resolve(target)(*([argument] if given else []))
    serve(connection, Server(backend, progress).handle, Path(progress).parent)


if __name__ == "__main__":
    main()
