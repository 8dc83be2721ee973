"""Which way branches were decided, against NumPy: every question, on values of both signs, of one sign, and equal."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from parity.backends import torch as backend
from parity.engine.sides.branches import KEPT, Branches, decisions, shown

BOTH, LOW, HIGH = np.array([-3.0, -0.5, 0.5, 8.0]), np.array([-3.0, -2.0]), np.array([7.0, 9.0])
EDGE = np.array([-1.0, 1.0])
# what is run, what is asked there, the answers
ASKED = {
    "clamp": (lambda x: x.clamp(-1, 1), {"min=-1": lambda x: x < -1, "max=1": lambda x: x > 1}),
    "clamp min": (lambda x: x.clamp(min=-1), {"min=-1": lambda x: x < -1}),
    "clamp max": (lambda x: torch.clamp(x, max=1), {"max=1": lambda x: x > 1}),
    "clamp input": (lambda x: torch.clamp(input=x, max=1), {"max=1": lambda x: x > 1}),
    "clamp_min": (lambda x: x.clamp_min(1), {"min=1": lambda x: x < 1}),
    "clamp_max_": (lambda x: x.clone().clamp_max_(1), {"max=1": lambda x: x > 1}),
    "relu": (torch.relu, {"min=0": lambda x: x < 0}),
    "relu6": (
        torch.nn.functional.relu6,
        {"min=0": lambda x: x < 0, "max=6": lambda x: x > 6},
    ),
    "hardtanh": (
        lambda x: torch.nn.functional.hardtanh(x, -2, 3),
        {"min=-2": lambda x: x < -2, "max=3": lambda x: x > 3},
    ),
    "hardtanh as it is": (
        torch.nn.functional.hardtanh,
        {"min=-1": lambda x: x < -1, "max=1": lambda x: x > 1},
    ),
    "maximum": (lambda x: torch.maximum(x, x * 0 + 1), {"max with a tensor": lambda x: x > 1}),
    "minimum": (lambda x: torch.minimum(x, other=-x), {"min with a tensor": lambda x: x > -x}),
    "max of two": (lambda x: torch.max(x, x * 0 + 1), {"max with a tensor": lambda x: x > 1}),
    "max": (lambda x: x.max(), {}),
    "max of an axis": (lambda x: x.max(0), {}),
    "where": (
        lambda x: torch.where(x > 1, x, -x),
        {"where": lambda x: x > 1, "> 1": lambda x: x > 1},
    ),
    "masked_fill": (
        lambda x: x.masked_fill(x >= 1, 0.0),
        {"mask": lambda x: x >= 1, ">= 1": lambda x: x >= 1},
    ),
    "less": (lambda x: x < 1, {"< 1": lambda x: x < 1}),
    "at most": (lambda x: x.le(1), {"<= 1": lambda x: x <= 1}),
    "equal": (lambda x: x == 1, {"== 1": lambda x: x == 1}),
    "unequal": (lambda x: x != 1, {"!= 1": lambda x: x != 1}),
    "of two": (lambda x: x > -x, {"> a tensor": lambda x: x > -x}),
    "nothing": (lambda x: x * 2 + 1, {}),
}


def told(function, *arrays: np.ndarray) -> dict[str, list[bool]]:
    branches = Branches(backend)
    with backend.watching_branches(branches):
        for x in arrays:
            function(torch.from_numpy(x.copy()))
    return {key.rpartition(": ")[2]: seen for key, seen in branches.told().items()}


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("values", [[BOTH], [LOW], [HIGH], [LOW, HIGH], [EDGE], [LOW] * (KEPT + 3)])
def test_a_question_is_seen_with_all_its_answers(name, values):
    function, asked = ASKED[name]
    x = np.concatenate(values)
    wanted = {
        what: [bool(condition(x).any()), bool((~condition(x)).any())]
        for what, condition in asked.items()
    }
    assert told(function, *values) == wanted


def test_what_is_decided_is_looked_at_before_it_fills_the_memory():
    branches = Branches(backend)
    for k in range(KEPT):
        assert len(branches.waiting.get("here", ())) == k and "here" not in branches.seen
        branches.keep("here", torch.tensor([k == 5]))
    assert not branches.waiting and branches.seen["here"] == [True, True]
    branches.keep("there", True)
    assert "there" not in branches.told()


def test_other_frameworks_names_and_other_arguments():
    x, mask = torch.tensor(BOTH), torch.tensor(BOTH > 0)

    def of(name, *args, **named) -> dict:
        return {what: answer.tolist() for what, answer in decisions(name, x, args, named)}

    assert of("clamp", x, min_v=-1, max_v=1) == of("clamp", x, -1, 1) == of("clip_", x, -1, 1)
    assert of("clamp", x=x, max_val=1) == {"max=1": (x > 1).tolist()}
    assert of("clamp", x) == of("clamp") == of("ternary", mask, x) == of("where", mask) == {}
    assert of("ternary", mask, x, x) == of("where", x, mask, x) == {"where": mask.tolist()}
    assert of("masked_fill", x) == {} and of("masked_fill", x, mask) == {"mask": mask.tolist()}
    assert of("max", x, 1) == of("min", x) == {} and set(of("minimum", x, 2)) == {"min with 2"}
    assert of("greater", x) == {} and set(of("greater_equal", x, 2.5)) == {">= 2.5"}
    assert shown(2.50) == "2.5" and shown(x) == "a tensor" == shown(None)
