"""Halves of which nothing comes out agree on nothing: that is neither an agreement nor a success."""

from __future__ import annotations

import numpy as np
import pytest

from parity import Case, Side, Status, Workers, check_branches, check_steps, examine
from parity.engine.judge import checks
from parity.engine.judge.verdicts import ALL_EMPTY, EMPTY, Verdict, is_nothing
from parity.report.gist import answer

pytestmark = pytest.mark.usefixtures("warm_workers")

HALVES = """
from torch import nn


def network():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))


def kept():
    def above(boxes, scores):
        keep = (scores > 0.5).nonzero().flatten()
        return {"boxes": boxes[keep] * 2, "scores": scores[keep]}

    return above
"""
INPUTS = {  # halves, inputs, whether anything comes out
    "no image": ("network", (np.zeros((0, 3, 6, 6)),), False),
    "an image": ("network", (np.ones((1, 3, 6, 6)),), True),
    "no boxes": ("kept", (np.zeros((0, 4)), np.zeros(0)), False),
    "none kept": ("kept", (np.ones((3, 4)), np.zeros(3)), False),
    "all kept": ("kept", (np.ones((3, 4)), np.ones(3)), True),
}


@pytest.fixture(scope="module")
def workers():
    with Workers(Side("", "torch"), Side("", "torch")) as both:
        yield both


def told(verdicts):
    return answer({"verdicts": [v.to_dict() for v in verdicts], "environment": {}})


@pytest.mark.parametrize("name", INPUTS)
def test_what_is_empty_agrees_with_nothing(tmp_path, workers, name):
    half, inputs, anything = INPUTS[name]
    (tmp_path / "halves.py").write_text(HALVES)
    sides = (Side(f"{tmp_path}/halves.py:{half}", "torch") for _ in range(2))
    case = Case("case", *sides, lambda: inputs)
    found = examine(case, workers)
    steps = check_steps(case, workers, steps=2, idle=False)
    branches = check_branches(case, workers)
    assert is_nothing(found.verdicts) != anything
    whole = told([*found.verdicts, *branches.verdicts, *steps.verdicts])
    if anything:
        found.raise_for_failures()
        assert whole.status == "PASS" and "agrees" in whole.text
        return
    with pytest.raises(AssertionError, match="nothing was compared; all that comes out is empty"):
        found.raise_for_failures()
    if half == "network":
        with pytest.raises(AssertionError, match="nothing was compared"):
            steps.raise_for_failures()
    assert whole.status == "INCONCLUSIVE" and "agrees" not in whole.text and ALL_EMPTY in whole.text
    assert not any(v.status is Status.PASS and v.check != checks.NAMES for v in steps.verdicts)


def test_a_hollow_case_beside_others_is_told():
    def verdict(case: str, message: str = "", status: Status = Status.PASS) -> Verdict:
        return Verdict(case, checks.FORWARD_64, "(model)", status, 0.0, 1e-12, message)

    both = told([verdict("full"), verdict("hollow", EMPTY)])
    assert (
        both.status == "PASS"
        and f"1 comparisons, worst at 0 % of its limit; nothing of hollow: {ALL_EMPTY}"
        in (both.text)
    )
    machine = verdict("environment")
    for others in ([], [verdict("case", "too few", Status.INCONCLUSIVE)]):
        nothing = told([machine, *others])
        assert nothing.status != "PASS" and nothing.text.startswith("Nothing was compared")
