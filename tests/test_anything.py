"""Whatever computes can be compared: functions, losses, code that works in place, that raises, anything returned."""

from __future__ import annotations

import numpy as np
import pytest

from parity import Case, Side, Workers, check_steps, examine
from parity.engine.judge import kinds
from parity.engine.judge.verdicts import Status

pytestmark = pytest.mark.usefixtures("warm_workers")

HALVES = """
from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

Pair = namedtuple("Pair", "left right")


@dataclass
class Found:
    boxes: object
    name: str


def focal(wrong=False):
    def loss(logits, targets):
        chance = logits.sigmoid()
        weight = torch.where(targets > 0, 0.25 * (1 - chance) ** 2, 0.75 * chance**2)
        if wrong:
            weight = torch.where(targets > 0, weight, 0 * weight)
        return -(weight * (targets * chance.log() + (1 - targets) * (1 - chance).log())).sum()

    return loss


def boxes(plus=0.0):
    @torch.no_grad()
    def kept(boxes, scores):
        widths = boxes[:, 2:] - boxes[:, :2] + plus
        keep = (widths.prod(1) > 0.5).nonzero().flatten()
        return {"boxes": boxes[keep], "scores": scores[keep], "labels": keep.tolist()}

    return kept


def several(count=3, word="a", flag=True):
    def outputs(x):
        pair = Pair(x * 2, [x.sum(), None])
        found = Found(x + 1, word)
        return found, pair, count, word, flag, x.mean().item(), np.arange(count), {"n": {}}

    return outputs


def returns_its_input():
    return lambda x: x


def in_place(really=False):
    def change(x):
        y = x if really else x.clone()
        y += 1
        return y * 2

    return change


class Stage(nn.Module):
    def __init__(self, wrong):
        super().__init__()
        self.fc, self.wrong = nn.Linear(6, 6), [wrong]

    def forward(self, x):
        if self.wrong[0]:
            raise TypeError("no such thing in this port")
        return self.fc(x)


def stages(raising=False, factor=1.0):
    class Last(nn.Module):
        def forward(self, x):
            return x * factor

    return nn.Sequential(nn.Linear(6, 6), Stage(raising), nn.Linear(6, 6), Last())


def normed():
    layers = nn.Sequential(nn.Conv2d(2, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
    for parameter in layers.parameters():
        parameter.requires_grad_(False)
    return layers


def mixed(numpy=False, factor=1.0, number=False):
    def scores(x):
        return x.detach().numpy() * factor if numpy else x * factor

    class Ranked(nn.Module):
        def forward(self, x, scores):
            top = float(scores.max()) if number else scores.max().reshape(())
            return {"sum": x.sum(0), "scores": scores + 1, "top": top}

    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.ranked = Ranked()

        def forward(self, x):
            return self.ranked(x * 2, scores(x))

    return Head()


class Averaged(nn.Module):
    def __init__(self, frozen, reached):
        super().__init__()
        self.fc, self.mean, self.reached = nn.Linear(6, 6), nn.Linear(6, 6), reached
        self.mean.requires_grad_(not frozen)

    def forward(self, x):
        mean = self.mean(x)
        return self.fc(x) + (mean if self.reached else mean.detach())


def averaged(frozen=False):
    return Averaged(frozen, False)


def tabled(trained=False, used=""):
    class Tabled(nn.Linear):
        def forward(self, x):
            steps = self.steps.detach() if used == "read" else self.steps
            return super().forward(x) + (steps if used else 0)

    made = Tabled(6, 6)
    table = torch.full((6,), 0.5)
    made.steps = nn.Parameter(table) if trained else None
    if not trained:
        del made.steps
        made.register_buffer("steps", table)
    return made


def trained(frozen=False):
    return Averaged(frozen, True)


def gained(factor=1.0):
    def loss(x, targets):
        gain, total = targets.new_ones(3), 0
        for level in (1.0, 2.0):
            gain[:2] = level
            total = total + (x * (targets * gain).detach()).sum() + (targets * gain).sum() * 0
        return {"all": total * factor}

    return loss
"""


@pytest.fixture(scope="module")
def workers():
    with Workers(Side("", "torch"), Side("", "torch")) as both:
        yield both


@pytest.fixture
def compare(tmp_path, workers):
    path = tmp_path / "halves.py"
    path.write_text(HALVES)

    def run(name: str, inputs, gradients=True, **wrong):
        sides = [Side(f"{path}:{name}", "torch", arguments=a) for a in ({}, wrong)]
        return examine(Case(name, *sides, lambda: inputs, gradients=gradients), workers)

    return run


def rng():
    return np.random.default_rng(0)


LOGITS = rng().standard_normal((5, 4)), (rng().standard_normal((5, 4)) > 0).astype("f8")
CORNERS = rng().uniform(0, 1, (9, 2))
BOXES = np.concatenate([CORNERS, CORNERS + rng().uniform(0.2, 1.2, (9, 2))], 1), np.arange(9.0)
X = (rng().standard_normal((5, 6)),)


@pytest.mark.parametrize(
    ("name", "inputs", "wrong"),
    [
        ("focal", LOGITS, {"wrong": True}),
        ("boxes", BOXES, {"plus": 0.2}),
        ("several", X, {"count": 4}),
        ("several", X, {"word": "b"}),
        ("several", X, {"flag": False}),
        ("in_place", X, {"really": True}),
    ],
)
def test_functions_agree_or_are_told_apart(compare, name, inputs, wrong):
    compare(name, inputs).raise_for_failures()
    found = compare(name, inputs, **wrong)
    assert found.failures
    cause = found.causes[0]
    assert cause.candidate_code.partition(":")[0].endswith("halves.py"), cause
    if name == "in_place":
        assert cause.kind == kinds.IN_PLACE and cause.side == "candidate"


def test_targets_that_are_written_to_are_constants(compare):
    inputs = rng().standard_normal((4, 3)), rng().standard_normal((4, 3))
    right = compare("gained", inputs)
    right.raise_for_failures()
    told = {v.node for v in right.verdicts if "gradients" in v.check and v.status is Status.PASS}
    assert "(model)/in[0]" in told
    cause = compare("gained", inputs, factor=1.5).causes[0]
    assert cause.kind == kinds.CONSTANT and not cause.side


def test_nothing_is_stepped_where_nothing_is_trained(tmp_path, workers):
    path = tmp_path / "halves.py"
    path.write_text(HALVES)
    sides = [Side(f"{path}:focal", "torch", arguments=a) for a in ({}, {"wrong": True})]
    case = Case("focal", *sides, lambda: LOGITS)
    (verdict,) = check_steps(case, workers, steps=2, idle=False).verdicts
    assert verdict.status is Status.NOT_RUN and "nothing is trained" in verdict.message


def test_an_average_that_one_side_alone_freezes_is_known(compare):
    found = compare("averaged", X, frozen=True)
    assert not found.failures
    (names,) = (v for v in found.verdicts if v.kind == kinds.FROZEN)
    assert names.status is Status.KNOWN and "mean.weight" in names.message
    assert [c.kind for c in compare("trained", X, frozen=True).causes] == [kinds.FROZEN]


def test_a_table_that_one_side_alone_trains_is_known_where_nothing_reaches_it(compare):
    found = compare("tabled", X, trained=True)
    assert not found.failures
    (names,) = (v for v in found.verdicts if v.kind == kinds.FROZEN)
    assert names.status is Status.KNOWN and "steps" in names.message
    # weight decay moves what Jittor trains without a gradient, too
    for used in ("read", "reached"):
        assert kinds.FROZEN in {
            c.kind for c in compare("tabled", X, trained=True, used=used).causes
        }


@pytest.mark.parametrize(
    "how", [{"numpy": True}, {"number": True}, {"numpy": True, "number": True}]
)
def test_arrays_tensors_and_numbers_are_compared_by_value(compare, how):
    assert not compare("mixed", X, gradients=False, **how).failures
    (cause,) = compare("mixed", X, gradients=False, factor=1.5, **how).causes
    assert "ranked/in" in cause.node and "3/2" in cause.summary


def test_a_function_that_returns_its_input(compare):
    compare("returns_its_input", X).raise_for_failures()


def test_a_crash_is_one_failure_and_the_rest_is_compared(compare):
    found = compare("stages", X, raising=True, factor=0.5)
    crash, last = found.causes
    assert crash.kind == kinds.CRASH and crash.side == "candidate" and crash.where == "1"
    assert "no such thing in this port" in crash.summary and ".forward: raise" in crash.summary
    line = next(k for k, x in enumerate(HALVES.splitlines(), 1) if "no such thing" in x)
    assert crash.candidate_code.endswith(f"halves.py:{line}")
    assert (last.where, last.kind) == ("3", kinds.CONSTANT)
    failed = [v for v in found.failures if v.check == "worker"]
    assert len(failed) == 1, "one FAIL for one crash, whatever precision"
    assert any(v.status is Status.NOT_RUN and "not reached" in v.message for v in found.verdicts)
    passed = {v.node for v in found.verdicts if v.status is Status.PASS and "local" in v.check}
    assert {"0", "2"} <= passed


def test_what_works_in_place_spoils_nothing_recorded(compare):
    compare("normed", (rng().standard_normal((2, 2, 3, 4)),)).raise_for_failures()
