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
SECONDS = 240
# start processes, which have no mutant, or take minutes; docs and pages
ELSEWHERE = re.compile(r"\bWorkers\(|\bWorker\(|subprocess|playwright")
# what the harness trusts and computes with NumPy: whoever weakens it lets a wrong port pass
JUDGES = (
    *("aligned", "arrays", "blame", "detections", "floors", "gates", "judging", "known"),
    *("ledger", "measure", "oracle", "outcomes", "precision", "rounding", "semantic"),
    *("statistics", "steps", "tube", "ulps", "verdicts", "weights", "choices"),
)
JUDGED = (
    *(f"parity/engine/{name}.py" for name in JUDGES),
    *("neutral/regret.py", "neutral/choices.py", "neutral/evaluation.py"),
    *("neutral/geometry.py", "neutral/finite.py"),
)


@cache
def imported(path: Path) -> frozenset[str]:
    """Modules of this project that a file imports, as dotted names; `from a import b` counts as a and a.b."""
    found = set()
    for place, names in re.findall(
        r"^\s*from ([\w.]+) import (\([^)]*\)|[^\n]*)", path.read_text(), re.MULTILINE
    ):
        found |= {place} | {f"{place}.{name}" for name in re.findall(r"\w+", names)}
    return frozenset(found)


def reaching(path: Path, module: str, deep: int) -> bool:
    """Whether a file imports the module, over at most `deep` others of parity or neutral."""
    names = imported(path)
    if module in names:
        return True
    if not deep:
        return False
    files = (ROOT / f"{name.replace('.', '/')}.py" for name in names)
    return any(f.is_file() and reaching(f, module, deep - 1) for f in files)


@cache
def tests_of(module: str) -> tuple[list[str], ...]:
    """Test files in the order in which they are asked: those that import the module, then those that do over one or two
    others."""
    quick = [
        p for p in sorted((ROOT / "tests").glob("test_*.py")) if not ELSEWHERE.search(p.read_text())
    ]
    rounds: list[list[str]] = []
    for deep in (0, 1, 2):
        seen = {p for found in rounds for p in found}
        found = [p.relative_to(ROOT).as_posix() for p in quick if reaching(p, module, deep)]
        rounds.append([p for p in found if p not in seen])
    return tuple(rounds)


def ask_tests(mutants: Iterable[Bred]) -> tuple[str, str]:
    """(test, why) of the first that fails; ("", "") when none does."""
    mutants = list(mutants)
    for number in range(3):
        files = sorted({t for m in mutants for t in tests_of(m.module)[number]})
        if files:
            failed, why = run_tests(files, TOGETHER.join(m.name for m in mutants))
            if failed:
                return failed, why
    return "", ""


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
        return files[0], f"no end within {SECONDS} s"
    if done.returncode in (0, 5):
        return "", ""
    lines = [x for x in done.stdout.splitlines() if x.startswith(("FAILED", "ERROR"))]
    first = lines[0] if lines else (done.stdout + done.stderr).strip()[-300:]
    head, _, why = first.partition(" - ")
    return re.sub(r"^(FAILED|ERROR) ", "", head)[:200], why[:300]
