"""One side in an interpreter of its own, with other versions of everything: `nox -s apart`.

test_sides.py has what can be tried with one environment.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from parity import Case, Side, check_steps, examine

PAIR = Path(__file__).resolve().parent.parent / "docs" / "example_pair.py"
PYTHON = os.environ.get("PARITY_OTHER_PYTHON")
FRAMEWORK = os.environ.get("PARITY_OTHER_FRAMEWORK")

pytestmark = pytest.mark.skipif(not PYTHON, reason="no other interpreter: .venv/bin/nox -s apart")


@pytest.fixture(scope="module")
def case() -> Case:
    """The pair of the docs; the other interpreter has its PyTorch, or its Jittor."""
    function = "torch_side" if FRAMEWORK == "torch" else "jittor_side"
    inputs = Case.from_file(PAIR).inputs
    ours = Side(f"{PAIR}:torch_side", "torch")
    return Case("apart", ours, Side(f"{PAIR}:{function}", FRAMEWORK, python=PYTHON), inputs)


def test_the_pair_agrees_and_the_versions_are_told(case):
    result = examine(case)
    result.raise_for_failures()
    assert result.counts()["PASS"] > 100
    ours, theirs = (result.environment[side] for side in case.labels)
    assert (ours["python"], ours["numpy"]) != (theirs["python"], theirs["numpy"])
    assert (ours["framework"], ours["version"]) != (theirs["framework"], theirs["version"])


def test_steps_agree(case):
    check_steps(case).raise_for_failures()
