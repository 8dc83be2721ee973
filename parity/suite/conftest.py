"""What the project's own suite adds to parity's pytest plugin: short names, the order of cases, their data."""

from __future__ import annotations

from pathlib import Path

import pytest

from door.files import read_json
from neutral.processes import tie_to_parent
from parity.pytest_plugin import is_ours, live_of
from parity.suite.detector_case import floors_on
from parity.suite.order import in_order

tie_to_parent()  # gpu_check starts the suite
ROOT = Path(__file__).resolve().parent.parent.parent
KILL_MATRIX = ROOT / "logs" / "reference" / "mutants.json"
BRED = ROOT / "logs" / "reference" / "breeding.json"
FOLDED = ("test_semantics.py",)  # hundreds of short cases, told together as long as they pass


@pytest.fixture(scope="session")
def pair(parity_workers):
    return parity_workers


@pytest.fixture(scope="session")
def device(parity_device):
    return parity_device


@pytest.fixture(scope="session", autouse=True)
def report(parity_report, parity_device):
    """The report, with the suite's floors its last kill matrix and bred mutants."""
    parity_report.floors = dict(floors_on(parity_device).about)
    if KILL_MATRIX.exists():
        matrix = read_json(KILL_MATRIX)
        named = sum(m["as_named"] for m in matrix["mutants"])
        parity_report.mutants = matrix | {"named": named}
    if BRED.exists():
        parity_report.bred = read_json(BRED)
    return parity_report


@pytest.fixture(scope="session")
def scripts(parity_scripts) -> Path:
    return parity_scripts


@pytest.fixture
def stage(parity_stage):
    return parity_stage


@pytest.fixture
def conclude(parity_conclude):
    return parity_conclude


@pytest.fixture(scope="session")
def scenes_folder() -> Path:
    return ROOT / "logs" / "data"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items: list) -> None:
    here = Path(__file__).parent
    if any(item.path.is_relative_to(here) and is_ours(item) for item in items):
        live_of(config).folded_files = FOLDED
    items[:] = in_order(items, lambda item: item.path.is_relative_to(here))
