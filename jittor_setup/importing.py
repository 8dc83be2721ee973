"""Imports Jittor: the environment settled, the core compiled, nothing printed.

`import_jittor` is for programs. `Hook`, on sys.meta_path, makes a bare `import jittor` the same: startup.py puts it
there where the user has switched that on.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import importlib
import os
import signal
import sys
import tempfile
import warnings
from importlib import util
from importlib.machinery import ModuleSpec, SourceFileLoader

from jittor_setup import compiling, convolutions, repairs
from jittor_setup.environment import cuda_usable, jittor_cache, prepare_environment
from jittor_setup.priming import PRIMING, prime


def import_jittor():
    """The module jittor; the one that is there already, as it is. ImportError says what to install."""
    install_hook()
    return importlib.import_module("jittor")


def install_hook() -> None:
    """From now on, `import jittor` in this process is `import_jittor`."""
    if not any(isinstance(finder, Hook) for finder in sys.meta_path):
        sys.meta_path.insert(0, Hook())


def get_ready() -> bool:
    """All that comes before the import; True when the core was compiled just now."""
    if not compiling.real_compiler():
        raise ImportError(
            "Jittor compiles its kernels and needs g++: install it (Debian, Ubuntu: apt-get install g++)"
        )
    if util.find_spec("jittor") is None:
        raise ImportError(
            "Jittor is not installed: pip install jittor==1.3.11.0 onednn-cpu-gomp onednn-devel-cpu-gomp"
        )
    mended = repairs.apply(jittor_cache())
    prepare_environment()
    return prime(mended)


class Hook:
    """A finder of modules that sees to it that Jittor's import finds everything settled."""

    def __init__(self):
        self.busy = False

    def find_spec(self, name: str, path=None, target=None) -> ModuleSpec | None:
        if name == "jittor.compile_extern":
            convolutions.install(sys.modules["jittor.compiler"], jittor_cache())
        # a process that primes was given what is settled by the one that started it
        if name not in ("jittor", "jittor_utils") or self.busy or os.environ.get(PRIMING):
            return None
        self.busy = True
        try:
            get_ready()
            spec = util.find_spec(name)
        finally:
            self.busy = False
        if name == "jittor":
            spec.loader = Loader(spec.loader.name, spec.loader.path)
        return spec


class Loader(SourceFileLoader):
    """Runs the package jittor, quietly, and mends its settings afterwards."""

    def exec_module(self, module) -> None:
        hidden = None if cuda_usable() or "cupy" in sys.modules else "cupy"
        if hidden:
            sys.modules[hidden] = None  # Jittor would enter a cupy device at import
        try:
            with warnings.catch_warnings(), quiet():
                warnings.simplefilter("ignore")  # SyntaxWarnings from Jittor's own docstrings
                super().exec_module(module)
                end_compilers()
        except SystemExit:
            raise ImportError("Jittor has rebuilt itself; run the command again") from None
        finally:
            if hidden and sys.modules.get(hidden, ()) is None:
                del sys.modules[hidden]
        lock = sys.modules["jittor_utils.lock"]
        if not lock.disable_lock:
            compiling.lock_kernels(module.core.__file__, lock.lock_path)
        module.flags.python_path = compiling.tuner() or module.flags.python_path
        with contextlib.suppress(ValueError):  # Jittor's handler of Ctrl-C ends the process at once
            signal.signal(signal.SIGINT, signal.getsignal(signal.SIGINT))  # main thread only
        # while one thread waits for Jittor's lock, another's compiler may end: a wait that this interrupts fails
        signal.siginterrupt(signal.SIGCHLD, False)
        # Jittor's own handler of a crash may hang in a compiler thread; this one prints where Python was, and dies
        faulthandler.enable()


def end_compilers() -> None:
    """Ends the processes that compiled, or looked through, Jittor's core; it starts others when it wants them again.

    They stay for good otherwise. A signal to the whole group then ends them, and Jittor, which takes that for a
    lack of memory, ends the process in the middle of whatever it does.
    """
    jittor_utils = sys.modules["jittor_utils"]
    if jittor_utils.pool_size:
        atexit.unregister(jittor_utils.pool_cleanup)
        jittor_utils.p.close()
        jittor_utils.p.join()
        jittor_utils.pool_size = 0


@contextlib.contextmanager
def quiet():
    """Hides what Jittor's import writes to the two standard streams, file descriptors included.

    When the import fails the hidden text goes to stderr: it is the only diagnosis there is.
    """
    streams = [s for s in (sys.stdout, sys.stderr) if s is not None]
    for stream in streams:
        stream.flush()
    saved = [os.dup(1), os.dup(2)]
    with tempfile.TemporaryFile() as hidden:
        os.dup2(hidden.fileno(), 1)
        os.dup2(hidden.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            for stream in streams:
                stream.flush()
            for fd, copy in zip((1, 2), saved, strict=True):
                os.dup2(copy, fd)
                os.close(copy)
            if failed:
                hidden.seek(0)
                text = hidden.read().decode(errors="replace")
                if sys.stderr is not None:
                    sys.stderr.write(text)
