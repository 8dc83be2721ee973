"""The table of causes: kinds told by numbers, consequences counted, the likeliest first."""

from __future__ import annotations

import json

import numpy as np
import pytest

from parity import Case, Side, Workers, examine
from parity.engine.judge import checks, kinds
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.tell.causes import causes_of, told
from parity.report.report import Report

pytestmark = pytest.mark.usefixtures("warm_workers")


def fail(check: str, node: str, **more) -> Verdict:
    return Verdict("pair", check, node, Status.FAIL, 1.0, 1e-12, **more)


def test_causes_come_before_their_consequences():
    verdicts = [
        fail(checks.FORWARD_64, "a"),
        fail(checks.FORWARD_64, "b"),
        fail(checks.GRADIENTS_64, "a.weight"),
        fail(checks.LOCAL_FORWARD_32, "a", owner="a", guilty="jittor"),
        fail(checks.LOCAL_FORWARD_64, "a", owner="a", kind=kinds.CONSTANT, guilty="torch"),
        fail(checks.LOCAL_GRADIENTS_64, "c/in[0]", owner="c", kind=kinds.CONSTANT),
        fail(checks.LOCAL_GRADIENTS_64, "a/in[0]", owner="a"),
        Verdict("pair: training steps", checks.DISPLACEMENT, "a.weight", Status.FAIL),
    ]
    first, second = causes_of(verdicts[4:] + verdicts[:4])
    assert (first.where, first.kind, first.side) == ("a", kinds.CONSTANT, "torch")
    assert first.confidence == "sure" and first.consequences == 6
    assert (second.where, second.kind) == ("c", kinds.BACKWARD)
    assert told([first, second])[-1] == "2 causes, 6 consequences"
    (alone,) = causes_of(verdicts[:3])
    assert (alone.where, alone.confidence, alone.consequences) == ("a", "a guess", 2)


def test_what_follows_from_each_other_alone_is_one_cause():
    """Two runs that raise where nobody knows the place."""
    errors = [
        fail("worker", "(run)", kind=kinds.CRASH, message=f"jittor raised RuntimeError: {text}")
        for text in ("in float64", "in float32")
    ]
    (cause,) = causes_of(errors)
    assert (cause.kind, cause.consequences) == (kinds.CRASH, 1) and "float64" in cause.summary


def test_one_mistake_at_several_places_is_one_cause():
    code = ("ref.py:3", "port.py:9")
    verdicts = [
        fail(checks.LOCAL_FORWARD_64, name, owner=name, kind=kinds.AXIS, code=code)
        for name in ("layer1", "layer2", "layer3")
    ]
    (cause,) = causes_of(verdicts)
    assert cause.where == "layer1" and cause.also == ("layer2", "layer3")
    assert cause.candidate_code == "port.py:9"


HALVES = """
import torch
from torch import nn


class Head(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.fc, self.factor = nn.Linear(8, 4), [factor]

    def forward(self, x):
        return self.fc(x.flatten(2).transpose(1, 2)) * self.factor[0]


def half(eps=1e-5, factor=0.5):
    norm = nn.BatchNorm2d(8, eps=eps)
    return nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), norm, nn.ReLU(), Head(factor))
"""


@pytest.fixture(scope="module")
def workers():
    with Workers(Side("", "torch"), Side("", "torch")) as both:
        yield both


def inputs():
    return (np.random.default_rng(0).standard_normal((2, 3, 8, 9)),)


def test_places_in_the_code_of_both_sides(tmp_path, workers):
    path = tmp_path / "halves.py"
    path.write_text(HALVES)
    wrong = {"eps": 1e-3, "factor": 0.25}
    sides = [Side(f"{path}:half", "torch"), Side(f"{path}:half", "torch", arguments=wrong)]
    result = examine(Case("two", *sides, inputs), workers, scripts=tmp_path)
    norm, head = result.causes
    lines = HALVES.splitlines()
    built = next(k for k, line in enumerate(lines, 1) if "BatchNorm2d" in line)
    assert (norm.where, norm.kind, norm.confidence) == ("1", kinds.CONSTANT, "sure")
    assert norm.reference_code == norm.candidate_code == f"{path}:{built}"
    assert (tmp_path / norm.script).is_file()
    assert (head.where, head.kind) == ("3", kinds.CONSTANT)
    assert "0.5 (1/2) times" in head.summary
    report = Report(tmp_path / "out")
    report.add(result.verdicts)
    stored = json.loads(report.write()[0].read_text())["causes"]
    assert [c["where"] for c in stored] == ["1", "3"]
    assert {"side", "kind", "confidence", "summary", "script", "consequences"} <= stored[0].keys()


def test_weights_that_one_side_alone_has_are_one_cause():
    names = [f"layers.{k}.attn.in_proj_weight" for k in range(12)]
    lost = [fail("weights: jittor round trip", n, kind=kinds.MISSING) for n in names]
    owners = [n.rpartition(".")[0] for n in names]
    local = [fail(checks.LOCAL_FORWARD_64, n, owner=n, kind=kinds.FORMULA) for n in owners]
    local += [fail(checks.LOCAL_GRADIENTS_64, n, owner=n.rpartition(".")[0]) for n in names]
    other = fail(checks.LOCAL_FORWARD_64, "norm", owner="norm", kind=kinds.CONSTANT)
    verdicts = [fail(checks.NAMES, "names", kind=kinds.FROZEN), *lost, *local, other]
    weights, norm = causes_of(verdicts)
    assert weights.check == checks.NAMES and weights.consequences == len(verdicts) - 2
    assert norm.where == "norm"


def test_what_raises_without_its_weights_follows_from_their_names():
    crash = Verdict("pair", "worker", "head.0", Status.FAIL, owner="head.0", kind=kinds.CRASH)
    lost = fail("weights: jittor round trip", "head.0.weight", kind=kinds.MISSING)
    assert [c.where for c in causes_of([crash, lost])] == ["head.0.weight"]
    other = crash.but(owner="body", node="body")
    assert [c.kind for c in causes_of([other, lost])] == [kinds.CRASH, kinds.MISSING]


def test_scalars_of_two_shapes_differ_in_value():
    told = kinds.tell(np.float64(2.0).reshape(()), np.array([3.0]))
    assert told == (kinds.CONSTANT, "3 for 2: 3/2 times")


def test_two_numbers_tell_a_factor_only_where_it_is_simple():
    assert kinds.tell(np.array(10.2663), np.array(11.5528))[0] == kinds.FORMULA
    assert kinds.tell(np.array(0.3), np.array(0.75)) == (
        kinds.CONSTANT,
        "0.75 (3/4) for 0.3 (3/10): 5/2 times",
    )
    assert kinds.tell(np.array(0.3), np.array(-0.3))[0] == kinds.SIGN
    assert kinds.tell(np.array(1.0), np.array(1 / 17))[0] == kinds.FORMULA


RENUMBERED = """
from torch import nn


def reference():
    return nn.Sequential(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4)))


def candidate():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.add_module("0", nn.Sequential(nn.Linear(3, 4)))

        def forward(self, x):
            return getattr(self, "0")(x.mean((2, 3)))

    return Net()
"""


def test_other_names_come_first_with_what_is_proposed(tmp_path, workers):
    path = tmp_path / "renumbered.py"
    path.write_text(RENUMBERED)
    sides = [Side(f"{path}:{name}", "torch") for name in ("reference", "candidate")]
    first = examine(Case("renumbered", *sides, inputs), workers).causes[0]
    assert (first.check, first.kind) == (checks.NAMES, kinds.NAMES)
    assert "proposes 0.0 -> 0.2" in first.summary


@pytest.mark.parametrize("forward_agrees", [True, False])
def test_a_renaming_is_no_cause_of_what_differs_backward(forward_agrees):
    def failed(check, node, owner, kind):
        return Verdict("case", check, node, Status.FAIL, owner=owner, kind=kind)

    verdicts = [
        failed(checks.LOCAL_FORWARD_64, "attn.q/in[0]", "attn", kinds.MISSING),
        failed(checks.LOCAL_GRADIENTS_64, "attn/in[2]", "attn", kinds.DETACHED),
    ]
    if not forward_agrees:
        verdicts.append(failed(checks.LOCAL_FORWARD_64, "norm", "norm", kinds.FORMULA))
    first = causes_of(verdicts)[0]
    assert first.kind == (kinds.DETACHED if forward_agrees else kinds.MISSING)


def test_the_total_follows_from_its_loss():
    verdicts = [
        fail(checks.LOCAL_LOSSES_64, "loss/loss_ce", owner="(outside)"),
        fail(checks.LOCAL_LOSSES_64, "loss/total", owner="(outside)"),
        fail(checks.LOCAL_GRADIENTS_64, "(model)", owner="(outside)"),
    ]
    (loss,) = causes_of(verdicts)
    assert loss.where == "loss/loss_ce" and loss.consequences == 2
    assert len(causes_of(verdicts[1:])) == 2


def own(check: str, node: str, **more) -> Verdict:
    return Verdict("pair: own training step", check, node, Status.FAIL, 1.0, 1e-9, **more)


@pytest.mark.parametrize(("step", "count"), [(0, 2), (1, 1), (2, 1)])
def test_a_later_rate_explains_no_earlier_step(step, count):
    verdicts = [
        own(checks.OWN_MOVED, f"moved/step{step}/a.weight"),
        own(checks.OWN_MOVED, f"moved/step{step}/b.weight"),
        own(checks.RATES, "rates/optimiser/step1", kind=kinds.RATE),
    ]
    found = causes_of(verdicts)
    assert [c.check for c in found] == [checks.RATES, checks.OWN_MOVED][:count]
    assert sum(c.consequences for c in found) == 3 - count


def test_what_holds_from_the_beginning_explains_every_step():
    verdicts = [
        own(checks.OWN_MOVED, "moved/step0/a.weight"),
        own(checks.RATES, "rates/optimiser/step1", kind=kinds.RATE),
        own(checks.MOVES, "all", kind=kinds.STILL),
    ]
    assert checks.OWN_MOVED not in [c.check for c in causes_of(verdicts)]


def branch(node: str, kind: str, text: str, owner: str = "head") -> Verdict:
    where = {"case": "pair: branches", "check": checks.BRANCHES, "node": node}
    message = f"with 64 times the values only: {text}"
    return Verdict(**where, status=Status.FAIL, owner=owner, kind=kind, message=message)


def test_a_clamp_of_one_side_is_one_sure_cause_before_what_is_only_backward():
    only = "; only jittor has head.py:91: max=10"
    verdicts = [
        fail(checks.LOCAL_GRADIENTS_64, "c/in[0]", owner="c", kind=kinds.CONSTANT),
        fail(checks.LOCAL_FORWARD_64, "a", owner="a", kind=kinds.FORMULA),
        branch("head[0]", kinds.BRANCH, f"held at 10{only}"),
        branch("head[1]", kinds.FORMULA, f"by 3.0e-01 of its size{only}"),
        branch("loss/box", kinds.CONSTANT, f"4 for 8: 1/2 times{only}", "(outside)"),
        branch("neck[0]", kinds.BRANCH, "4 of 9 elements differ", "neck"),
        branch("neck[1]", kinds.FORMULA, "by 2.0e-01 of its size", "neck"),
    ]
    found = causes_of(verdicts)
    assert [c.where for c in found] == ["a", "head", "c", "neck"]
    assert found[1].confidence == "sure" and found[1].consequences == 2
    assert found[3].consequences == 1


def data(check: str, node: str, text: str, kind: str = kinds.DATA) -> Verdict:
    return Verdict("pair: data", check, node, Status.FAIL, message=text, kind=kind)


def test_one_fact_of_the_data_is_one_cause():
    labels = [
        data(checks.BATCHES, f"seed0/batch{k}[1][{k}][labels]", f"labels off by one: {k} for 1")
        for k in range(3)
    ]
    other = "numbered otherwise: 1 is 0, 18 is 2"
    labels.append(data(checks.BATCHES, "seed0/batch3[1][labels]", other))
    pixels = data(checks.BATCHES, "seed0/batch0[0]", "0.00392157 times the range (0 to 1 ...)")
    sizes = [
        data(checks.BATCHES, "seed0/batch0[0]", "sizes 30 x 40 and 32 x 40: another resize"),
        data(checks.BATCHES, "seed0/batch0[mask]", "shapes (30, 40) and (32, 40)"),
        data(checks.BATCHES, "seed0/batch0[1][size]", "numbered otherwise: 30 is 32, 40 is 40"),
        data(checks.BATCHES, "seed0/batch1[boxes]", "3 boxes instead of 4"),
        data(checks.BATCHES, "seed0/batch1[ids][3]", "torch has this node", kinds.MISSING),
    ]
    assert [c.consequences for c in causes_of(sizes)] == [4]
    assert [c.node for c in causes_of([pixels, *labels])] == [pixels.node, labels[0].node]


def test_the_gradient_of_what_one_side_alone_trains_is_told_by_the_names():
    frozen = fail(checks.NAMES, "names", kind=kinds.FROZEN)
    gradient = fail(checks.LOCAL_GRADIENTS_64, "bn1.running_mean", kind=kinds.MISSING)
    (cause,) = causes_of([frozen, gradient])
    assert cause.check == checks.NAMES and cause.consequences == 1
    other = gradient.but(node="bn1/in[0]")
    assert len(causes_of([frozen, other])) == 2


@pytest.mark.parametrize(
    ("error", "count"), [("ValueError: no such shape", 1), ("OSError: full", 2)]
)
def test_training_steps_that_end_as_the_run_before_are_no_cause_of_their_own(error, count):
    before = fail("worker", "(model)", kind=kinds.CRASH, guilty="jittor")
    before = before.but(
        message="jittor raised ValueError: no such shape\nmodel.py:3, in execute: f(x)"
    )
    again = fail("worker", "training steps", message=f"jittor: {error}")
    assert len(causes_of([before, again])) == count
    for node, found in (("(model)", 1), ("(outside) loss", count), ("head", 2)):
        raised = before.but(node=node, message=f"jittor raised {error}\nmodel.py:3")
        assert len(causes_of([before, raised])) == found, node
    own = again.but(message=f"step0: jittor: {error}\nTraceback", kind=kinds.CRASH)
    assert len(causes_of([before, own.but(case=f"{own.case}: own training step")])) == count
