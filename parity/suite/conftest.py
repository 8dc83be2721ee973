"""What the project's own suite adds to parity's pytest plugin: short names, the order of cases, their data."""

from __future__ import annotations

from pathlib import Path

import pytest

from door.files import read_json
from neutral.processes import tie_to_parent
from parity.atlas.judge import read_record, reading
from parity.pytest_plugin import is_ours, live_of
from parity.report.lines import name_of
from parity.suite.cases import OVERFITTING
from parity.suite.detector_case import floors_on
from parity.suite.order import in_order, is_first
from parity.suite.overfitting import fitting

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


@pytest.fixture(scope="session")
def recorded(device) -> dict:
    """What the atlas has on this device, by the entries' names."""
    return read_record().get(device, {}).get("entries", {})


@pytest.fixture(scope="session")
def atlas(request, device, recorded):
    """What the selected entries of the atlas come to: futures."""
    chosen = selected(request.session, "test_semantics.py", "entry")
    with reading([entry for entry in chosen if entry.id in recorded], device) as found:
        yield found


@pytest.fixture(scope="session")
def overfitted(request, device, scenes_folder):
    """PyTorch's weights that know a few scenes by heart, by preset: futures."""
    names = [n for n in selected(request.session, "test_detectors.py", "name") if n in OVERFITTING]
    with fitting(names, scenes_folder, device) as found:
        yield found


def selected(session, file: str, parameter: str) -> list:
    """The values of a parameter with which tests of this file are to run."""
    path = Path(__file__).parent / file
    calls = [i.callspec.params for i in session.items if i.path == path and hasattr(i, "callspec")]
    return [parameters[parameter] for parameters in calls if parameter in parameters]


@pytest.fixture(autouse=True)
def meanwhile(request, device):
    """Beside all cases but the first, cores that have nothing else to do read the atlas and learn scenes by heart."""
    if device == "cpu" and not is_first(name_of(request.node)):
        for name in ("atlas", "overfitted"):
            request.getfixturevalue(name)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items: list) -> None:
    here = Path(__file__).parent
    if any(item.path.is_relative_to(here) and is_ours(item) for item in items):
        live_of(config).folded_files = FOLDED
    items[:] = in_order(items, lambda item: item.path.is_relative_to(here))
