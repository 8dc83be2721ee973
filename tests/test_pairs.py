"""A user's own pair of modules: compared, blamed where it is wrong, reproduced by the script that comes with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from door.files import read_json
from parity.case import Case
from parity.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "docs" / "example_pair.py"


def run(*command, folder=ROOT) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=900
    )


def examined(pair: Path, which: str) -> subprocess.CompletedProcess:
    """The suite's tests of that name, of this pair; the report lands beside it."""
    command = ("-m", "pytest", "parity/suite/test_pairs.py", "--parity-case", str(pair))
    return run(*command, "-k", which, "--parity-report", str(pair.parent))


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """The example with another eps in Jittor's batch norm: (folder of its report, result of the run)."""
    folder = tmp_path_factory.mktemp("pair")
    source = EXAMPLE.read_text()
    before, jittor = source.split("def jittor_side():")
    pair = folder / "wrong_eps.py"
    pair.write_text(
        before + "def jittor_side():" + jittor.replace("Norm2d(8)", "Norm2d(8, eps=1e-3)")
    )
    return folder, examined(pair, "wrong_eps")


def test_a_side_that_cannot_run_loses_nothing_found_before(tmp_path):
    """Jittor's module works in float64 and raises in float32: the float64 verdicts are in the report."""
    source = EXAMPLE.read_text().replace(
        "def jittor_side():", "def jittor_side():\n    import jittor as jt"
    )
    tail = "    return nn.Sequential(*stem, nn.MaxPool2d(2, 2), nn.Conv2d(8, 4, 1))\n\n\ndef inputs"
    broken = """
    class Broken(nn.Module):
        def execute(self, x):
            assert str(x.dtype) == "float64", "float64 only"
            return jt.nn.relu(x)

    stem[2] = Broken()
"""
    assert source.count(tail) == 1
    pair = tmp_path / "broken.py"
    pair.write_text(source.replace(tail, broken + tail))
    result = examined(pair, "test_pair and broken")
    assert result.returncode == 1, result.stdout
    verdicts = read_json(tmp_path / "report.json")["verdicts"]
    failed = [v for v in verdicts if v["status"] == "FAIL"]
    assert any(v["check"] == "worker" and "float64 only" in v["message"] for v in failed)
    assert sum(v["check"] == "float64 local forward" for v in verdicts) > 5


def test_the_layer_that_differs_is_named(faulty):
    folder, result = faulty
    assert result.returncode == 1, result.stdout
    verdicts = read_json(folder / "report.json")["verdicts"]
    local = [v for v in verdicts if v["status"] == "FAIL" and "local" in v["check"]]
    assert {v["owner"] for v in local} == {"1"}, "the batch norm, and nothing behind it"
    forward = next(v for v in local if v["check"] == "float64 local forward")
    assert "eps: torch 1e-05, jittor 0.001" in forward["message"]
    total = [v for v in verdicts if v["status"] == "FAIL" and v["check"] == "float64 forward"]
    assert len(total) > 1, "what comes behind inherits the error"
    page = (folder / "report.html").read_text()
    assert "<h3>1</h3>" in page and "SEMANTIC-DIFF" in page


def test_its_script_shows_the_difference(faulty):
    folder, _ = faulty
    scripts = sorted((folder / "reproduce").glob("*.py"))
    assert [s.name for s in scripts] == ["wrong_eps_1.py"]
    assert len(scripts[0].read_text().splitlines()) < 50
    result = run(str(scripts[0]))
    assert result.returncode == 0, result.stderr
    error = float(result.stdout.split("output 0: relative L2")[1].split()[0])
    assert 1e-5 < error < 1e-2


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "defines no function torch_side, jittor_side, inputs"),
        ("import nothing_like_it", "cannot be run: ModuleNotFoundError"),
        ("torch_side = jittor_side = print\ninputs = 3", "inputs is of type int"),
    ],
)
def test_bad_files_are_told(tmp_path, source, message):
    path = tmp_path / "pair.py"
    path.write_text(source)
    with pytest.raises(InputError, match=message):
        Case.from_file(path)
    with pytest.raises(InputError, match="no such file"):
        Case.from_file(tmp_path / "missing.py")


def test_the_example_is_as_short_as_the_docs_say():
    lines = [line for line in EXAMPLE.read_text().splitlines() if line.strip()]
    assert len(lines) <= 20
    assert Case.from_file(EXAMPLE).labels == ("torch", "jittor")
