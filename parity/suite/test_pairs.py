"""Pairs of modules that are no detectors: the example of docs/pairs.md, and whatever --parity-case names."""

from __future__ import annotations

import pytest

from parity.case import Case
from parity.engine.ask.examine import can_share, examine
from parity.engine.ask.training import check_steps
from parity.suite.cases import EXAMPLE


def pytest_generate_tests(metafunc):
    if "path" in metafunc.fixturenames:
        paths = [EXAMPLE, *metafunc.config.getoption("parity_case")]
        metafunc.parametrize("path", paths, ids=[path.stem for path in paths])


@pytest.fixture
def case(path) -> Case:
    return Case.from_file(path)


@pytest.fixture
def workers(case, pair):
    """The suite's, where they can be shared."""
    return pair if can_share(case, pair) else None


def test_pair(case, workers, conclude, stage, scripts, device):
    conclude(examine(case, workers, device=device, scripts=scripts, told=stage).verdicts)


def test_pair_steps(case, workers, conclude, device):
    """Coupled float64 training steps of the pair."""
    conclude(check_steps(case, workers, device=device).verdicts)
