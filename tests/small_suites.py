"""Suites of a few lines with the suite's own plugin (parity/report/live.py), for the tests of what it tells."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONFTEST = """
from pathlib import Path
import pytest
import parity.report.live
from parity.engine.values.kernels import Kernels
from parity.engine.judge.verdicts import Status, Verdict
from parity.pytest_plugin import live_of
from parity.suite.order import in_order

HERE = Path(__file__).parent
parity.report.live.EVERY = 0.3

@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    live_of(config).folded_files = ("test_semantics.py",)
    live_of(config).kernels = Kernels(HERE / "cache")
    items[:] = in_order(items, lambda item: True)

@pytest.fixture
def found(parity_report):
    def judge(case, measured=1e-15, status=Status.PASS):
        parity_report.add([Verdict(case, "float64 forward", "n", status, measured, 1e-12)])
        assert status is not Status.FAIL
    return judge

@pytest.fixture
def stage(parity_stage):
    return parity_stage
"""
SUITE = {
    "test_ops.py": """
        def test_ops(found):
            print("noise of a test")
            found("ops")
        def test_skipped(found):
            import pytest
            pytest.skip("no data here")
    """,
    "test_detectors.py": """
        import pytest
        from parity.engine.judge.verdicts import Status, Verdict
        @pytest.mark.parametrize("name", ["detr_r50_on_coco_mini_short_side_96", "scenes_detr_on_scenes"])
        def test_detector(name, found, stage):
            stage("free 64", [Verdict(name, "float64 forward", "n", Status.PASS, 2e-15, 1e-12)])
            found(name, 3e-15)
        def test_wrong(found):
            found("wrong", 1.0, Status.FAIL)
    """,
    "test_semantics.py": """
        import pytest
        @pytest.mark.parametrize("k", range(5))
        def test_entry(k, found):
            found(f"semantics {k}")
    """,
}
SLOW = """
import time
from pathlib import Path
jit = Path(__file__).parent / "cache" / "jt1/a/b/c/d/e/f/jit"
def test_first(found):
    found("first")
def test_slow(found):
    jit.mkdir(parents=True)
    for k in range(SECONDS * 4):
        (jit / f"kernel{k}_op.so").write_text("")
        time.sleep(0.25)
    found("slow")
"""


def write_suite(folder: Path, files: dict[str, str]) -> Path:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\n")
    for name, source in files.items():
        lines = source.splitlines()
        depth = 8 if lines[0] == "" and len(lines) > 1 and lines[1].startswith(" " * 8) else 0
        (folder / name).write_text("\n".join(line[depth:] for line in lines))
    return folder


def command(folder: Path, *options: str) -> list[str]:
    plugins = ["-p", "no:cacheprovider", "-p", "parity.pytest_plugin"]
    where = folder if folder.is_dir() else folder.parent
    report = ["--parity-report", str(where / "out")]
    return [sys.executable, "-m", "pytest", *plugins, *report, *options, str(folder)]


def run(folder: Path, *options: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    result = subprocess.run(
        command(folder, *options),
        cwd=folder if folder.is_dir() else folder.parent,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode in (0, 1), result.stdout + result.stderr
    assert "INTERNALERROR" not in result.stdout
    return result.stdout
