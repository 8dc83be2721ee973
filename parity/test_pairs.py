"""Pairs of modules that are no detectors: the example of docs/pairs.md, and whatever --pair names."""

from __future__ import annotations

from parity.cases import EXAMPLE
from parity.examine import examine_pair
from parity.steps import step_pair


def pytest_generate_tests(metafunc):
    if "path" in metafunc.fixturenames:
        paths = [EXAMPLE, *metafunc.config.getoption("--pair")]
        metafunc.parametrize("path", paths, ids=[path.stem for path in paths])


def test_pair(path, pair, conclude, stage, scripts):
    with examine_pair(path, pair, scripts) as examination:
        conclude(examination.run(stage))


def test_pair_steps(path, pair, conclude):
    """Coupled float64 training steps of the pair."""
    conclude(step_pair(path, pair))
