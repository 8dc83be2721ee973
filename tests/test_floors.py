"""The lock file of noise floors, and that no test brings a tolerance of its own."""

from __future__ import annotations

import ast
import math
import re
from pathlib import Path

import numpy as np
import pytest

from door.files import read_json
from parity.engine.ask.measure import SECTIONS, VARIANTS
from parity.engine.judge import gates
from parity.engine.judge.floors import Floors, FloorsFile
from parity.engine.judge.rounding import count_terms, summation_errors
from parity.suite.cases import CASES, FASTER_RCNN
from parity.suite.detector_case import FLOORS

ROOT = Path(__file__).resolve().parent.parent


def test_the_lock_covers_every_float32_case_of_the_default_suite():
    lock = read_json(FLOORS["cpu"])
    wanted = {c.name for c in CASES + FASTER_RCNN if c.float32 and not c.full}
    assert set(lock["cases"]) == wanted, "run python -m parity.suite.measure_floors"
    assert lock["variants"] == list(VARIANTS["cpu"])
    assert {"cpu", "cores", "python"} <= set(lock["machine"])
    assert lock["versions"]["torch"]
    for case in lock["cases"].values():
        assert set(case) == set(SECTIONS)
        assert all(len(section) > 10 for section in case.values())


def test_floors_widen_limits_and_never_narrow_them():
    u = gates.U32
    floors = Floors({"forward": {"noisy": [100.0, 200.0], "quiet": [0.1, 0.1]}})
    assert floors.limits("forward", "noisy", (16 * u, 64 * u)) == pytest.approx(
        (gates.FLOOR_FACTOR * 100 * u, gates.FLOOR_FACTOR * 200 * u)
    )
    assert floors.limits("forward", "quiet", (16 * u, 64 * u)) == (16 * u, 64 * u)
    assert floors.limits("gradients", "noisy", (u, u)) == (u, u)
    assert floors.of("forward", "noisy") == 100 * u
    assert FloorsFile().of("no such case").of("forward", "x") is None


TOLERANT = {"allclose", "isclose", "approx", "assert_allclose", "assert_close", "atol", "rtol"}


def tolerances(source: str) -> list[tuple[int, object]]:
    """Line and value of whatever could be a tolerance: a small float, a float compared with, a tolerant function."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            parts = [n for n in ast.walk(node) if isinstance(n, ast.Constant)]
            found += [(n.lineno, n.value) for n in parts if isinstance(n.value, float) and n.value]
        is_small = isinstance(getattr(node, "value", None), float) and 0 < abs(node.value) < 0.1
        if isinstance(node, ast.Constant) and is_small:
            found.append((node.lineno, node.value))
        name = getattr(node, "attr", getattr(node, "id", getattr(node, "arg", None)))
        if name in TOLERANT:
            found.append((node.lineno, name))
    return found


SUITE = sorted((ROOT / "parity" / "suite").glob("test_*.py"))
assert SUITE, "the suite has moved"


@pytest.mark.parametrize("path", SUITE, ids=lambda p: p.name)
def test_no_test_has_a_tolerance_of_its_own(path):
    """Limits live in gates.py and floors.json, nowhere else."""
    found = tolerances(path.read_text())
    assert found == [], f"{path.name}: (line, value) {found}"


# what names a difference that a limit has found, and what is no number at all
OTHERS = {"kinds.py", "losses.py", "pipelines.py", "probes.py"}
# numbers that are compared with and limit no difference between sides
UNLIMITED = {
    "consequences.py": "of sizes that were printed with two digits",
    "initial.py": "of what is divided by",
    "plain.py": "whether a call is the same call but for rounding",
    "proposing.py": "of costs of a proposal",
    "runner.py": "a weight that changes nothing",
    "statistics.py": "equal sums of relabelled runs",
}
ENGINE = sorted((ROOT / "parity" / "engine").rglob("*.py"))


def named_floats(source: str, most: float = math.inf) -> list[float]:
    """Floats below `most` that a module gives a name."""
    tree = ast.parse(source)
    values = [x.value for x in tree.body if isinstance(x, (ast.Assign, ast.AnnAssign)) and x.value]
    found = [n.value for value in values for n in ast.walk(value) if isinstance(n, ast.Constant)]
    return [x for x in found if isinstance(x, float) and 0 < abs(x) < most]


def compared_floats(source: str) -> list[float]:
    """Floats other than 0 in comparisons and given as tolerances, by no name."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) or getattr(node, "arg", None) in TOLERANT:
            found += [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)]
    return [x for x in found if isinstance(x, float) and x]


def test_what_a_verdict_depends_on_is_in_one_file():
    """gates.py has every limit of the engine, and every factor of one."""
    found = {
        path.name
        for path in ENGINE
        if named_floats(path.read_text(), math.inf if path.parent.name == "judge" else 0.1)
    }
    assert found - OTHERS == {"gates.py"}
    compared = {path.name for path in ENGINE if path.name not in OTHERS | UNLIMITED.keys()}
    assert not [
        (path.name, found)
        for path in ENGINE
        if path.name in compared and (found := compared_floats(path.read_text()))
    ]
    assert compared_floats("if a < 1e-6 * b or x == 0.0:\n    y = 1e-3") == [1e-6]
    assert compared_floats("close(a, rtol=1e-3)") == [1e-3]
    assert named_floats("A, B = 1e-5, 3.0\ndef f(x=1e-3):\n    return 1e-9") == [1e-5, 3.0]
    assert named_floats("A, B = 1e-5, 3.0", 0.1) == [1e-5]


def test_the_engine_has_no_limit_that_the_suite_alone_asks_for():
    """Those are in parity/suite/gates.py, which is not in the wheel."""
    library = [p for p in (ROOT / "parity").rglob("*.py") if "suite" not in p.parts]
    text = "\n".join(p.read_text() for p in library if p.name != "gates.py")
    lost = [n for n in vars(gates) if n.isupper() and not re.search(rf"gates\.{n}\b", text)]
    assert lost == []


def test_the_search_finds_tolerances():
    assert [value for _, value in tolerances("assert x < 1e-5")] == [1e-5, 1e-5]
    assert tolerances("LIMIT = 0.02") == [(1, 0.02)]
    assert tolerances("assert error <= 0.5") == [(1, 0.5)]
    assert tolerances("np.allclose(a, b, rtol=x)")[0] == (1, "allclose")
    assert tolerances("roi_align(x, 0.125, 2, False)") == []


def test_a_long_sum_errs_as_expected():
    """Adding 9216 products one after another in float32, as some CPUs' convolutions do: u sqrt(K / 6) on average."""
    generator = np.random.default_rng(0)
    terms = (generator.standard_normal((2, 200, 9216)) / 96).prod(axis=0).astype(np.float32)
    chain, exact = np.cumsum(terms, axis=1)[:, -1], terms.astype(np.float64).sum(axis=1)
    error = np.linalg.norm(chain - exact) / np.linalg.norm(exact)
    trace = {
        "nodes": {"conv": exact, "conv#2": exact, "conv/in[0]": exact, "relu": exact},
        "modules": {"conv": {"in_channels": 1024, "kernel_size": [3, 3], "groups": 1}, "relu": {}},
    }
    expected = summation_errors(trace)
    assert expected == {"conv": expected["conv#2"], "conv#2": expected["conv"]}
    assert 0.5 < error / expected["conv"] < 1.5
    pool = {
        "nodes": {"p/in[0]#2": exact, "p#2": exact[:2]},
        "modules": {"p": {"type": "AdaptiveAvgPool2d"}},
    }
    assert summation_errors(pool) == {"p#2": gates.U32 * math.sqrt(100 / gates.SUMMATION_TERMS)}
    assert count_terms({"in_features": 1024}) == 1024
    assert count_terms({"in_channels": 64, "kernel_size": 3, "groups": 64}) == 9
