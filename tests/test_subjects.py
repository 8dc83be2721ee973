"""What a `Subject` may say beside its module: names, layouts, losses, weights, what a module may return."""

from __future__ import annotations

import numpy as np
import pytest

from parity import (
    Case,
    InputError,
    Layout,
    Side,
    Subject,
    Workers,
    check_steps,
    examine,
    transposed,
)
from tests.test_sides import inputs

pytestmark = pytest.mark.usefixtures("warm_workers")

SUBJECTS = '''
from parity import Subject, transposed


def names():
    from torch import nn

    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.out = nn.Linear(4, 8), nn.Linear(8, 2)

        def forward(self, x):
            return {"logits": self.out(self.fc(x).relu())}

    return Half()


def reference():
    return names()


def candidate():
    """Other names, and a weight held the other way round."""
    import torch
    from torch import nn

    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.zeros(4, 8)), nn.Parameter(torch.zeros(8))

        def forward(self, x):
            return x @ self.weight + self.bias

    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.out = Turned(), nn.Linear(8, 2)

        def forward(self, x):
            return {"logits": self.out(self.first(x).relu())}

    return Subject(
        Half(),
        name=lambda name: name.replace("first", "fc"),
        layout={"first.weight": transposed(1, 0)},
        optimiser=lambda parameters: torch.optim.SGD(parameters.values(), lr=0.1),
    )


def losing():
    return Subject(
        names(),
        losses=lambda outputs, targets, run: {
            "square": (outputs["logits"] ** 2).mean(),
            "sum": outputs["logits"].sum(),
        },
        loss_weights={"sum": 0.5},
        postprocess=lambda outputs, inputs, run: {"best": outputs["logits"].argmax(1)},
    )


def losing_otherwise():
    subject = losing()
    subject.loss_weights = {"sum": 0.25}
    return subject


def extra():
    import torch
    model = names()
    model.more = torch.nn.Linear(2, 2)
    return model
'''


@pytest.fixture
def subject(tmp_path):
    path = tmp_path / "subjects.py"
    path.write_text(SUBJECTS)
    return lambda name: Side(f"{path}:{name}", "torch")


def test_names_and_layouts_of_the_candidate(subject):
    case = Case("layout", subject("reference"), subject("candidate"), inputs, float32=False)
    result = examine(case)
    result.raise_for_failures()
    assert any(v.node == "fc.weight" for v in result.verdicts)


def test_losses_weights_and_postprocessing(subject):
    same = examine(Case("same", subject("losing"), subject("losing"), inputs))
    same.raise_for_failures()
    nodes = {(v.check, v.node) for v in same.verdicts}
    assert ("float64 losses", "loss/square") in nodes
    assert ("float64 detections", "[best]") in nodes
    wrong = examine(
        Case("weights", subject("losing"), subject("losing_otherwise"), inputs, float32=False)
    )
    assert wrong.first.node == "loss/total", "the parts agree, what is made of them does not"


def test_a_parameter_of_one_side_is_one_failure_and_the_rest_is_compared(subject):
    result = examine(Case("extra", subject("reference"), subject("extra"), inputs, float32=False))
    assert "more.weight" in str([v for v in result.failures if v.check == "trained parameters"])
    assert sum(v.check == "float64 forward" for v in result.verdicts) > 3


def test_layouts_are_each_others_inverse():
    array = np.arange(24.0).reshape(2, 3, 4)
    layout = transposed(2, 0, 1)
    assert isinstance(layout, Layout)
    assert layout.to_own(array).shape == (4, 2, 3)
    assert np.array_equal(layout.to_reference(layout.to_own(array)), array)
    with pytest.raises(InputError, match="every axis once"):
        transposed(1, 1)
    assert Subject(None).layout == {}


COUNTING = """
from parity import Subject


def counting():
    import torch

    class Counts(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("table", torch.arange(3))
            self.fc = torch.nn.Linear(4, 3)

        def forward(self, x):
            return self.fc(x).argmax(1)

    return Subject(Counts(), skip=("fc",))
"""


def test_what_was_not_compared_is_told(tmp_path):
    (tmp_path / "counting.py").write_text(COUNTING)
    side = Side(f"{tmp_path / 'counting.py'}:counting", "torch")
    result = examine(Case("counting", side, side, inputs, float32=False))
    result.raise_for_failures()
    told = {(v.check, v.node) for v in result.verdicts if v.status == "NOT_RUN"}
    assert {("not looked into", f"{n} (reference)") for n in ("fc", "table")} <= told
    assert ("float64 losses", "(all)") in told and ("float64 gradients", "(all)") in told


SPLIT = """
import torch
from torch import nn
from parity import Subject


class Whole(nn.Module):
    def __init__(self):
        super().__init__()
        self.in_proj = nn.Parameter(torch.zeros(12, 4))

    def forward(self, x):
        q, k, v = (x @ self.in_proj.T).chunk(3, -1)
        return (q @ k.T).softmax(-1) @ v


class Three(nn.Module):
    def __init__(self, order):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(4, 4, bias=False) for _ in range(3))
        self.table, self.order = nn.Parameter(torch.zeros(2)), [order]

    def forward(self, x):
        q, k, v = (getattr(self, n)(x) for n in self.order[0])
        return (q @ k.T).softmax(-1) @ v


def whole():
    return Subject(Whole(), dropped={"table": "a cache of the port's"})


def three(order="qkv"):
    return Subject(
        Three(order),
        split={"in_proj": ("q.weight", "k.weight", "v.weight")},
        dropped={"table": "a cache of the port's"},
    )
"""


def test_one_array_that_the_other_side_holds_in_three(tmp_path):
    path = tmp_path / "split.py"
    path.write_text(SPLIT)
    ours = Side(f"{path}:whole", "torch")
    with Workers(ours, ours) as both:
        case = Case("split", ours, Side(f"{path}:three", "torch"), inputs)
        result = examine(case, both)
        result.raise_for_failures()
        check_steps(case, both, steps=2).raise_for_failures()
        told = [v.message for v in result.verdicts if v.node == "table (candidate)"]
        assert told == ["dropped: a cache of the port's"]
        passed = {(v.check, v.node) for v in result.verdicts if v.status == "PASS"}
        assert ("float64 gradients", "in_proj") in passed
        other = Side(f"{path}:three", "torch", arguments={"order": "kqv"})
        wrong = examine(Case("split", ours, other, inputs, float32=False), both)
        assert wrong.failures
