"""What stands under one name by chance, and what raises because another shape came before it: no causes."""

from __future__ import annotations

import numpy as np
import pytest

from parity import Case, Side, Workers, check_branches, examine
from parity.engine.judge import checks, kinds
from parity.engine.judge.judging import ONE_SIDE
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.sides.choices import Choices
from parity.engine.tell.causes import causes_of
from parity.engine.values.aligned import unlike_modules

pytestmark = pytest.mark.usefixtures("warm_workers")

HALVES = """
from torch import nn

from parity import Subject


class Tail(nn.Sequential):
    factor = 0.5

    def forward(self, x):
        return super().forward(x) * self.factor


def reference():
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.Identity(), nn.BatchNorm2d(4), nn.ReLU(), Tail(nn.Conv2d(4, 2, 1)))


def candidate(mapped=False, factor=0.5):
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), Tail(nn.Conv2d(4, 2, 1)))
    model[3].factor = factor
    names = {"1": "2", "2": "3", "3": "4", "1.weight": "2.weight", "1.bias": "2.bias"}
    names |= {f"1.running_{k}": f"2.running_{k}" for k in ("mean", "var")}
    names |= {f"3.0.{k}": f"4.0.{k}" for k in ("weight", "bias")} | {"3.0": "4.0"}
    return Subject(model, name=lambda n: names.get(n, n)) if mapped else model


def net(stride=1):
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(48, 5), nn.ReLU()
    )
"""


@pytest.fixture(scope="module")
def workers():
    with Workers(Side("", "torch"), Side("", "torch")) as both:
        yield both


def inputs():
    return (np.random.default_rng(0).standard_normal((2, 3, 8, 10)),)


def case(folder, names, **wrong) -> Case:
    path = folder / "halves.py"
    path.write_text(HALVES)
    first, second = names
    sides = Side(f"{path}:{first}", "torch"), Side(f"{path}:{second}", "torch", arguments=wrong)
    return Case("pair", *sides, inputs)


def test_layers_of_other_places_are_one_cause_their_names(tmp_path, workers):
    wrong = case(tmp_path, ("reference", "candidate"))
    found = examine(wrong, workers)
    (cause,) = found.causes
    assert cause.check == checks.NAMES and "1 -> 2" in cause.summary
    assert not any(v.kind == kinds.CRASH for v in found.failures)
    assert not check_branches(wrong, workers).failures


@pytest.mark.parametrize("factor", [0.5, 0.25])
def test_mapped_they_agree_and_a_defect_shows(tmp_path, workers, factor):
    found = examine(case(tmp_path, ("reference", "candidate"), mapped=True, factor=factor), workers)
    causes = [(c.where, c.kind) for c in found.causes]
    assert causes == ([] if factor == 0.5 else [("4", kinds.CONSTANT)])


def test_what_raises_behind_another_shape_follows_from_it(tmp_path, workers):
    found = examine(case(tmp_path, ("net", "net"), stride=2), workers)
    (cause,) = found.causes
    assert cause.where == "0" and "stride" in cause.summary and cause.confidence == "sure"
    crashes = [v for v in found.failures if v.kind == kinds.CRASH]
    assert {v.node for v in crashes} == {"4"} and {v.check for v in crashes} == {checks.BEHIND}


def test_what_a_value_of_another_shape_breaks_is_not_run(tmp_path, workers):
    path = tmp_path / "turned.py"
    path.write_text(TURNED)
    sides = [
        Side(f"{path}:half", "torch", arguments={"last": last, "bare": True})
        for last in (False, True)
    ]
    found = examine(Case("turned", *sides, inputs), workers)
    assert found.causes and not any(v.kind == kinds.CRASH for v in found.failures)
    left = [v for v in found.verdicts if v.check == "worker"]
    assert left and all(v.status is Status.NOT_RUN for v in left)
    assert "of another shape" in found.causes[0].summary or "shapes" in found.causes[0].summary


USED = """
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    def __init__(self, written_out, factor):
        super().__init__()
        self.out, self.act, self.written_out, self.factor = nn.Linear(10, 10), nn.Tanh(), written_out, [factor]

    def forward(self, x):
        x = x * self.factor[0]
        if self.written_out:
            return self.out(self.act(x))
        return F.linear(x.tanh(), self.out.weight, self.out.bias)


def half(written_out, factor):
    return nn.Sequential(nn.Conv2d(3, 3, 1), Attention(written_out, factor))
"""


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_a_layer_whose_weight_alone_is_used_is_no_cause_beside_what_uses_it(
    tmp_path, workers, factor
):
    path = tmp_path / "used.py"
    path.write_text(USED)
    wrong = {"written_out": True, "factor": factor}
    sides = [
        Side(f"{path}:half", "torch", arguments=a)
        for a in ({**wrong, "written_out": False, "factor": 1.0}, wrong)
    ]
    causes = examine(Case("used", *sides, inputs), workers).causes
    assert [c.where for c in causes] == ([] if factor == 1.0 else ["1"])


TURNED = """
from torch import nn


class Pool(nn.Module):
    def __init__(self, last, *parts):
        super().__init__()
        self.last, self.parts = last, nn.Sequential(*parts) if parts else lambda x: x

    def forward(self, x):  # [B, H, W, C] where `last`, else [B, C, H, W]
        assert x.shape[-1 if self.last else 1] == 3
        return self.parts(x.mean((1, 2) if self.last else (2, 3)))


class Net(nn.Module):
    def __init__(self, last, factor, *parts):
        super().__init__()
        self.last, self.factor, self.pool = last, [factor], Pool(last, *parts)

    def forward(self, x):
        return self.pool(x.permute(0, 2, 3, 1) * self.factor[0] if self.last else x)


def half(last, bare=False, factor=1):
    return Net(last, factor, *([] if bare else [nn.Linear(3, 4)]))
"""


def test_choices_of_another_shape_are_not_replayed():
    choices = Choices(None, {"kept": np.array([True, False])})
    own = np.array([True, True, False])
    assert choices.settle("kept", own) is own
    assert choices.ledger["kept"]["different"] == 3


def test_only_leaves_of_which_one_holds_tensors_are_unlike():
    def leaf(kind, holds):
        return {"type": kind, "leaf": True, "holds": holds}

    ours = {"a": leaf("Conv2d", 2), "b": leaf("ReLU", 0), "c": leaf("Linear", 2), "d": {}}
    theirs = {"a": leaf("Conv", 0), "b": leaf("GELU", 0), "c": leaf("Dropout", 0), "d": {}}
    assert unlike_modules(ours, theirs) == {"c"}


OTHER = """
from torch import nn


class Head(nn.Module):
    def __init__(self, conv, group, inside):
        super().__init__()
        self.conv = conv
        self.norm = nn.GroupNorm(2, 4) if group else nn.BatchNorm2d(4)
        self.proj = nn.Conv2d(4, 6, 1) if conv else nn.Linear(4, 6)
        pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        if not inside:
            self.avgpool, self.flat, pool = *pool, []
        self.inside, self.classifier = inside, nn.Sequential(*pool, nn.Linear(6, 5))

    def forward(self, x):
        x = self.norm(x)
        x = self.proj(x) if self.conv else self.proj(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.classifier(x if self.inside else self.flat(self.avgpool(x)))


def half(conv=False, group=False, inside=True):
    return nn.Sequential(nn.Conv2d(3, 4, 1), Head(conv, group, inside))
"""


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"conv": True}, "shapes differ: (6, 4, 1, 1), the reference's (6, 4)"),
        ({"group": True}, "1.norm is BatchNorm2d in reference, GroupNorm in candidate"),
        ({"inside": False}, "1.classifier.0 -> 1.classifier.2"),
    ],
)
def test_a_layer_of_another_class_under_one_name_is_one_cause(tmp_path, workers, wrong, told):
    path = tmp_path / "other.py"
    path.write_text(OTHER)
    sides = [Side(f"{path}:half", "torch", arguments=a) for a in ({}, wrong)]
    (cause,) = examine(Case("other", *sides, inputs), workers).causes
    assert told in cause.summary


@pytest.mark.parametrize("factor", [1, 0.5])
def test_what_is_turned_elsewhere_agrees_and_a_defect_shows(tmp_path, workers, factor):
    path = tmp_path / "turned.py"
    path.write_text(TURNED)
    wrong = {"last": True, "factor": factor}
    sides = [Side(f"{path}:half", "torch", arguments=a) for a in ({"last": False}, wrong)]
    case = Case("turned", *sides, inputs)
    found = examine(case, workers)
    assert [c.where for c in found.causes] == ([] if factor == 1 else ["(model)"])
    if factor == 1:
        known = [v for v in found.verdicts if v.status is Status.KNOWN]
        assert {v.node for v in known} == {"pool/in[0]"} and "cut otherwise" in known[0].message
        assert not check_branches(case, workers).failures


@pytest.mark.parametrize("scale", [1, 0.5])
def test_a_sequential_that_begins_elsewhere_agrees_and_a_defect_shows(tmp_path, workers, scale):
    """A pool before the Sequential on one side, in it on the other, under names that are mapped."""
    path = tmp_path / "other.py"
    path.write_text(OTHER + MAPPED)
    wrong = {"inside": False, "scale": scale}
    sides = Side(f"{path}:half", "torch"), Side(f"{path}:mapped", "torch", arguments=wrong)
    case = Case("other", *sides, inputs)
    causes = examine(case, workers).causes
    assert [c.where for c in causes] == ([] if scale == 1 else ["1"])
    assert scale != 1 or not check_branches(case, workers).failures


MAPPED = """

def mapped(inside, scale):
    from parity import Subject

    model = half(inside=inside)
    pool = model[1].avgpool.forward
    model[1].avgpool.forward = lambda x: pool(x) * scale
    return Subject(model, name=lambda n: n.replace("classifier.0", "classifier.2"))
"""


def test_a_gradient_that_is_lacking_where_something_raised_follows_from_it():
    raised = Verdict("pair", "worker", "a.pool.layer", Status.FAIL, kind=kinds.CRASH)
    lacking = Verdict("pair", checks.LOCAL_GRADIENTS_64, "a.pool/in[0]", Status.FAIL)
    lacking = lacking.but(owner="a.pool", kind=kinds.DETACHED)
    (cause,) = causes_of([raised, lacking])
    assert cause.where == "a.pool.layer" and cause.consequences == 1
    assert len(causes_of([raised, lacking.but(owner="b", node="b/in[0]")])) == 2
    assert len(causes_of([raised, lacking.but(kind=kinds.CONSTANT)])) == 2
    narrow = lacking.but(check=checks.LOCAL_GRADIENTS_32, kind="", message=f"{ONE_SIDE}: right")
    assert len(causes_of([raised, narrow])) == 1
