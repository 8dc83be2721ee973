"""The unit tests as a check: what the suite does not run, and what the harness itself judges by, is theirs to see.

They run in a copy of a process that has imported the frameworks' packages and pytest already, as do copies in warm.py.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from importlib import import_module
from pathlib import Path

import parity
from parity.mutants import ROOT
from parity.mutants.breeding import TOGETHER, Bred

CHECK = "unit tests"
SECONDS = 1200  # by the clock; a busy machine is no proof
READY = ("pytest", "numpy", "scipy.optimize", "scipy.stats", "hypothesis", "torch", "safetensors")
# rewritten asserts would be those of the files as they are: pytest's importer comes first
OPTIONS = ("-q", "--assert=plain", "-p", "no:cacheprovider", "--no-header", "--tb=line")
OWN = ("parity", "neutral", "door", "torch_impl", "jittor_impl")
# start processes, which have no mutant, or take minutes; docs and pages
OTHERS = r"subprocess|playwright|scripts|launch|ranks"
ELSEWHERE = re.compile(rf"\bWorkers\(|\bWorker\(|{OTHERS}")


@cache
def imported(path: Path) -> frozenset[str]:
    """Modules of this project that a file imports, as dotted names; `from a import b` counts as a and a.b, one of the
    library's functions as the module that has it."""
    found = set()
    for place, names in re.findall(
        r"^\s*from ([\w.]+) import (\([^)]*\)|[^\n]*)", path.read_text(), re.MULTILINE
    ):
        found |= {place} | {f"{place}.{name}" for name in re.findall(r"\w+", names)}
    handed = {name: place for name, place in parity._PLACES.items() if name.islower()}
    found |= {f"parity.{place}" for name, place in handed.items() if f"parity.{name}" in found}
    return frozenset(found)


def is_apt(path: Path, module: str, elsewhere: re.Pattern = ELSEWHERE) -> bool:
    """Whether a test file starts nothing, and is not of checkpoints or of compiled programs, which take minutes, unless
    they are what is changed."""
    heavy = (
        path.name.startswith("test_conversion") and not module.startswith("neutral.weights")
    ) or (path.name.startswith("test_emulated") and "kernel" not in module)
    return not heavy and not elsewhere.search(path.read_text())


@cache
def tests_of(module: str) -> list[str]:
    """Test files that import the module, or what its package has of it, and start nothing; of C++ those of the table
    that it goes into, which also emulate what CUDA alone runs."""
    module = re.sub(r"\w+_sources$", "kernel_table", module)
    own = sorted((ROOT / "tests").glob("test_*.py"))
    quick = [p for p in own if is_apt(p, module)]
    return [p.relative_to(ROOT).as_posix() for p in quick if is_imported(module, p)]


def is_imported(module: str, path: Path) -> bool:
    """Whether a file imports a module, a name that the module's package hands on, or the package as a whole."""
    found, package = imported(path), module.rpartition(".")[0]
    handed = handed_on(module)
    if module in found or not handed:
        return module in found
    inside = {name for name in found if name.startswith(f"{package}.")}
    return bool(handed & inside) or (package in found and not inside)


@cache
def handed_on(module: str) -> frozenset[str]:
    """Names of a module's package that are the module's own: "neutral.weights.initial_weights"."""
    package = module.rpartition(".")[0]
    path = ROOT / package.replace(".", "/") / "__init__.py"
    if not package or not path.is_file():
        return frozenset()
    prefix = f"{module}."
    return frozenset(
        f"{package}.{name.removeprefix(prefix)}"
        for name in imported(path)
        if name.startswith(prefix)
    )


def ask_tests(mutants: Iterable[Bred]) -> tuple[str, str]:
    """(test, why) of the first that fails; ("", "") when none does."""
    mutants = list(mutants)
    files = sorted({t for m in mutants for t in tests_of(m.module)})
    return run_tests(files, TOGETHER.join(m.name for m in mutants)) if files else ("", "")


@cache
def ready():
    """Processes with READY, of which copies are made."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(list(READY))
    return found


def run_tests(tests: list[str], names: str) -> tuple[str, str]:
    """(test, why) of the first that fails of these files or tests while the mutants of these names are planted."""
    answer, ended = asked(in_a_copy, tests, names)
    if answer is None:
        # who takes all memory is killed from outside: no proof either
        killed = ended in (None, -signal.SIGKILL)
        return ("", "") if killed else (tests[0], f"the tests' process ended: {ended}")
    code, text = answer
    if code in (0, 5):
        return "", ""
    lines = [x for x in text.splitlines() if x.startswith(("FAILED", "ERROR"))]
    head, _, why = (lines[0] if lines else text.strip()[-300:]).partition(" - ")
    return re.sub(r"^(FAILED|ERROR) ", "", head)[:200], why[:300]


def asked(target: Callable, *arguments) -> tuple:
    """(what target(*arguments, answer) sends from a copy, its exit code); (None, None) where it takes too long."""
    context = ready()
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(*arguments, there), daemon=False)
    process.start()
    there.close()
    try:
        return (here.recv(), 0) if here.poll(SECONDS) else (None, None)
    except EOFError:
        process.join()
        return None, process.exitcode
    finally:
        process.kill()
        process.join()


def in_a_copy(tests: list[str], names: str, answer) -> None:
    """Sends (pytest's exit code, what it printed)."""
    forget()
    text = io.StringIO()
    with redirect_stdout(text), redirect_stderr(text):
        try:
            if names:
                import_module("parity.mutants.breeding").plant(names)
            code = int(import_module("pytest").main(["-x", *OPTIONS, *tests]))
        except BaseException as error:  # what cannot even be imported is caught, too
            code = 1
            print(f"ERROR {tests[0]} - {type(error).__name__}: {error}")
    answer.send((code, text.getvalue()))


def forget() -> None:
    """Nothing of this project is imported any more."""
    os.chdir(ROOT)
    for name in list(sys.modules):
        if name.partition(".")[0] in OWN:
            del sys.modules[name]
