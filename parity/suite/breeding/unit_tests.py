"""The unit tests as a check: what the suite does not run, and what the harness itself judges by, is theirs to see."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from parity.mutants import ROOT
from parity.mutants.breeding import TOGETHER, Bred

CHECK = "unit tests"
PLUGIN = "parity.mutants.planted"
SECONDS = 60
# start processes, which have no mutant, or take minutes; docs and pages
ELSEWHERE = re.compile(r"\bWorkers\(|\bWorker\(|subprocess|playwright|scripts|launch|ranks")


@cache
def imported(path: Path) -> frozenset[str]:
    """Modules of this project that a file imports, as dotted names; `from a import b` counts as a and a.b."""
    found = set()
    for place, names in re.findall(
        r"^\s*from ([\w.]+) import (\([^)]*\)|[^\n]*)", path.read_text(), re.MULTILINE
    ):
        found |= {place} | {f"{place}.{name}" for name in re.findall(r"\w+", names)}
    return frozenset(found)


@cache
def tests_of(module: str) -> list[str]:
    """Test files that import the module themselves and start nothing."""
    own = sorted((ROOT / "tests").glob("test_*.py"))
    quick = [p for p in own if not ELSEWHERE.search(p.read_text())]
    return [p.relative_to(ROOT).as_posix() for p in quick if module in imported(p)]


def ask_tests(mutants: Iterable[Bred]) -> tuple[str, str]:
    """(test, why) of the first that fails; ("", "") when none does."""
    mutants = list(mutants)
    files = sorted({t for m in mutants for t in tests_of(m.module)})
    return run_tests(files, TOGETHER.join(m.name for m in mutants)) if files else ("", "")


def run_tests(files: list[str], names: str) -> tuple[str, str]:
    """(test, why) of the first that fails in these files."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", PLUGIN, "-p", "no:cacheprovider"]
    command += ["-p", "no:randomly", "--no-header", "--tb=line", *files]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env=os.environ | {"PARITY_PLANTED": names},
        )
    except subprocess.TimeoutExpired:
        return "", ""  # a busy machine is no proof
    if done.returncode in (0, 5):
        return "", ""
    lines = [x for x in done.stdout.splitlines() if x.startswith(("FAILED", "ERROR"))]
    first = lines[0] if lines else (done.stdout + done.stderr).strip()[-300:]
    head, _, why = first.partition(" - ")
    return re.sub(r"^(FAILED|ERROR) ", "", head)[:200], why[:300]
