"""Which tests run which lines of what judges, learned once from a run of each test file in a process of its own."""

from __future__ import annotations

import hashlib
import io
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from importlib import import_module

from door.files import read_json, write_json
from parity.mutants import ROOT
from parity.mutants.breeding import Bred
from parity.suite.breeding.unit_tests import OPTIONS, asked, forget

KEPT = ROOT / "logs" / "breeding" / "tested.json"
MOST = 60.0  # seconds of tests that are asked before whole files


class Lines:
    """A plugin of pytest: the lines of `files` that each test runs, and those that run between tests, as "": while
    modules are imported."""

    def __init__(self, files: Iterable[str]):
        self.files = {str(ROOT / file): file for file in files}
        self.lines: dict[str, dict[str, set[int]]] = {}
        self.seconds: dict[str, float] = {}
        self.test = ""

    def __call__(self, frame, event, _):
        file = self.files.get(frame.f_code.co_filename)
        if file is None:
            return None
        found = self.lines.setdefault(self.test, {}).setdefault(file, set())
        found.add(frame.f_lineno)

        def line(frame, event, _):
            found.add(frame.f_lineno)
            return line

        return line

    def pytest_runtest_logstart(self, nodeid, location):
        self.test, self.started = nodeid, time.monotonic()

    def pytest_runtest_logfinish(self, nodeid, location):
        self.seconds[nodeid] = round(time.monotonic() - self.started, 3)
        self.test = ""

    def told(self) -> dict:
        """As JSON has it: {test: {"seconds", "lines": {file: [...]}}}."""
        return {
            test: {
                "seconds": self.seconds.get(test, 0.0),
                "lines": {file: sorted(lines) for file, lines in found.items()},
            }
            for test, found in self.lines.items()
        }


def lines_of(test_file: str, files: tuple[str, ...], answer) -> None:
    """In a copy: sends what a test file runs."""
    forget()
    plugin = Lines(files)
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        sys.settrace(plugin)
        import_module("pytest").main([*OPTIONS, test_file], plugins=[plugin])
        sys.settrace(None)
    answer.send(plugin.told())


@cache
def digest(*files: str) -> str:
    return hashlib.sha256(b"".join((ROOT / f).read_bytes() for f in files)).hexdigest()[:16]


@cache
def shared() -> list[str]:
    """What tests share."""
    found = (p for p in (ROOT / "tests").glob("*.py") if not p.name.startswith("test_"))
    return sorted(p.relative_to(ROOT).as_posix() for p in found)


def known_of(test_file: str, file: str) -> dict | None:
    """What each test of a test file runs, None where that or the watched `file` has changed since it was learned."""
    entry = (read_json(KEPT) if KEPT.is_file() else {}).get(test_file, {})
    fresh = entry.get("of") == digest(test_file, *shared())
    return entry["tests"] if fresh and entry["files"].get(file) == digest(file) else None


def learned(test_file: str, files: tuple[str, ...]) -> dict:
    """What each test of a test file runs of `files`; from now on that is known."""
    found, ended = asked(lines_of, test_file, files)
    if not found:
        raise RuntimeError(f"{test_file}: it runs nothing of what judges; its process: {ended}")
    of = digest(test_file, *shared())
    known = read_json(KEPT) if KEPT.is_file() else {}
    known[test_file] = {"of": of, "files": {f: digest(f) for f in files}, "tests": found}
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    write_json(KEPT, known)
    return found


def running(mutant: Bred, tests: dict) -> list[tuple[float, str]]:
    """(seconds, test) of those that run one of the mutant's lines."""
    return sorted(
        (about["seconds"], test)
        for test, about in tests.items()
        if any(line in mutant.lines for line in about["lines"].get(mutant.file, ()))
    )


def quickest(runs: Iterable[tuple[float, str]]) -> list[str]:
    """As many as take MOST seconds together, of single tests."""
    chosen, taken = [], 0.0
    for seconds, test in sorted(runs):
        taken += seconds
        if test and taken <= MOST:
            chosen.append(test)
    return chosen


def asked_of(
    mutant: Bred, test_files: Iterable[str], files: tuple[str, ...]
) -> Iterator[list[str]]:
    """Tests that run the mutant's lines, the quickest first.

    Those of the first file and of files that are known, then of one file after the other that is learned. Then whole
    files of which something runs them, as what a fixture or a cache keeps of one test is used by others. All files
    where no test is seen to run them: what Python's profiler calls (sides/makers.py) is not traced.
    """
    test_files = list(test_files)
    known = {t: known_of(t, mutant.file) for t in test_files}
    found = {t: running(mutant, tests) for t, tests in known.items() if tests is not None}
    if test_files and test_files[0] not in found:
        found[test_files[0]] = running(mutant, learned(test_files[0], files))
    yield quickest([x for runs in found.values() for x in runs])
    for test_file in test_files:
        if test_file not in found:
            found[test_file] = running(mutant, learned(test_file, files))
            yield quickest(found[test_file])
    yield [t for t in test_files if found[t]] or test_files
