"""Users' own training steps: what differs is told in the words of training, and right ones are silent."""

from __future__ import annotations

import numpy as np
import pytest

from parity import Case, Side, Workers, check_steps
from parity.engine.judge import kinds
from parity.engine.judge.verdicts import Status
from parity.engine.tell.causes import causes_of
from parity.engine.tell.own_steps import OwnSteps

pytestmark = pytest.mark.usefixtures("warm_workers")

HALVES = """
import copy

import torch
from torch import nn

from parity import Subject


def half(fault="", **_):
    layers = [nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)]
    model = nn.Sequential(*layers)
    model.unused = nn.Parameter(torch.ones(2))
    for parameter in model[0].parameters():
        parameter.requires_grad_(fault == "not frozen")
    kept = {}

    def step(model, batch, step):
        if step == 0:
            groups = [{"params": model[1].parameters(), "lr": 0.01}, {"params": model[4].parameters()}]
            if fault == "a group forgotten":
                groups = groups[1:]
            kept["optimiser"] = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
            kept["ema"] = copy.deepcopy(model)
        model.train()
        if fault != "frozen statistics forgotten":
            model[1].eval()
        if step == 2 and fault != "drop at the end of the step before":
            for group in kept["optimiser"].param_groups[fault == "drop misses a group":]:
                group["lr"] *= 0.1
        loss = (model(*batch) ** 2).mean()
        if fault == "stops" and step > 0:
            loss = loss.detach().requires_grad_()
        kept["optimiser"].zero_grad()
        loss.backward()
        if fault != "no clipping":
            nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        kept["optimiser"].step()
        if step == 1 and fault == "drop at the end of the step before":
            for group in kept["optimiser"].param_groups:
                group["lr"] *= 0.1
        decay = 0.9 if fault != "EMA" else 0.99
        with torch.no_grad():
            for a, b in zip(kept["ema"].parameters(), model.parameters()):
                a.mul_(decay).add_(b, alpha=1 - decay)
        return {"loss": loss, "optimiser": kept["optimiser"], "ema": kept["ema"]}

    return Subject(model, train_step=step)


def summed(x):
    return x.sum()


def broken():
    def step(model, batch, step):
        if step == 1:
            total = summed(*batch)
            rows, columns = total.shape  # no second step
        return {"loss": model(*batch).sum()}

    return Subject(half().model, train_step=step)
"""


@pytest.fixture(scope="module")
def workers():
    with Workers(Side("", "torch"), Side("", "torch")) as both:
        yield both


@pytest.fixture
def compare(tmp_path, workers):
    path = tmp_path / "halves.py"
    path.write_text(HALVES)
    batches = [(np.random.default_rng(k).standard_normal((2, 2, 6, 6)),) for k in range(3)]

    def run(fault: str, build: str = "half"):
        given = {"fault": fault} if build == "half" else {}
        sides = [Side(f"{path}:half", "torch", arguments={"fault": ""})]
        sides.append(Side(f"{path}:{build}", "torch", arguments=given))
        case = Case("steps", *sides, lambda: batches[0], batches=batches, training=True)
        return check_steps(case, workers, steps=4)

    return run


@pytest.mark.parametrize(
    ("fault", "kind", "text"),
    [
        (
            "not frozen",
            kinds.FROZEN,
            "only on candidate's side asks for gradients: 0.bias, 0.weight",
        ),
        (
            "frozen statistics forgotten",
            kinds.MODE,
            "1 BatchNorm2d in training mode on candidate's side",
        ),
        ("a group forgotten", kinds.RATE, "2 and 1 parameter groups"),
        ("drop misses a group", kinds.RATE, "candidate's group 0 keeps its rate 0.01"),
        ("stops", kinds.STILL, "ever gets a gradient"),
        ("no clipping", "", "moved/step0"),
        ("EMA", "", "EMA/step0"),
    ],
)
def test_faults_of_training_are_told(compare, fault, kind, text):
    found = compare(fault)
    cause = found.causes[0]
    told = " ".join(c.summary for c in found.causes)
    assert text in told or fault == "stops", told
    if kind:
        assert kind in {c.kind for c in found.causes} or fault == "stops", found.causes
    assert cause.case == "steps: own training step"


@pytest.mark.parametrize("same", ["", "drop at the end of the step before"])
def test_right_steps_are_silent_and_modes_are_the_users(compare, same):
    found = compare(same)
    found.raise_for_failures()
    checks = {v.check for v in found.verdicts}
    assert {"training modes", "learning rates", "step: EMA", "step: moved", "what moves"} <= checks
    moved = [v.node for v in found.verdicts if v.check == "step: statistics"]
    assert any("running_mean" in node for node in moved)


def test_a_step_that_raises_keeps_what_was_found(compare):
    found = compare("", "broken")
    assert not any("nothing" in v.message for v in found.verdicts)
    cause = next(c for c in found.causes if c.kind == kinds.CRASH)
    assert "ValueError" in cause.summary and "it read what summed() (" in cause.summary
    line = HALVES[: HALVES.index("  # no second step")].count("\n") + 1
    assert cause.candidate_code.endswith(f"halves.py:{line}") and not cause.reference_code
    assert cause.side == "candidate"
    assert any(v.node.startswith("modes/step0") for v in found.verdicts)
    assert causes_of(found.verdicts)[0].kind == kinds.CRASH


def test_the_variance_that_jittor_keeps_is_known():
    before = {"bn.running_var": np.array([1.0, 1.2]), "w": np.zeros(2)}
    whole = np.array([0.7, 0.9])
    after = [0.9 * before["bn.running_var"] + 0.1 * x for x in (whole, whole * 31 / 32)]
    more = {
        "gradients": {},
        "trainable": ["w"],
        "modes": {},
        "classes": {},
        "rates": {},
        "numbers": {},
    }
    answers = [
        {"state": {"bn.running_var": x, "w": np.ones(2)}, "held": {"ema/bn.running_var": x}} | more
        for x in after
    ]
    found = OwnSteps("case", before).judge(0, answers)
    assert {v.status.value for v in found} == {"PASS", "KNOWN"}
    answers[1]["state"]["bn.running_var"] = after[1] * np.array([1.0, 1.1])
    found = OwnSteps("case", before).judge(0, answers)
    assert next(v.node for v in found if v.status == "FAIL") == "statistics/step0/bn.running_var"


def test_steps_that_return_nothing_are_told_and_what_moved_is_judged():
    """Both sides alike, a side that moves otherwise, and steps that do nothing at all."""
    weights = {"w": np.zeros(2)}

    def judged(first: float, second: float, **more) -> dict[str, Status]:
        rest = {"gradients": {}, "trainable": ["w"], "modes": {}, "classes": {}}
        rest |= {"rates": {}, "numbers": {}, "held": {}} | more
        answers = [{"state": {"w": np.full(2, x)}} | rest for x in (first, second)]
        steps = OwnSteps("case", weights)
        found = [*steps.judge(0, answers), *steps.conclude(1)]
        for verdict in found:
            assert "Jittor" not in verdict.message
        return {v.node: v.status for v in found} | {"told": " ".join(v.message for v in found)}

    alike = judged(1.0, 1.0)
    assert alike["returned"] is Status.NOT_RUN and alike["moved/step0/w"] is Status.PASS
    assert "the steps return nothing: losses, rates and EMA are not compared" in alike["told"]
    apart = judged(1.0, 2.0)
    assert apart["returned"] is Status.NOT_RUN and apart["moved/step0/w"] is Status.FAIL
    nothing = judged(0.0, 0.0)
    assert nothing["all"] is Status.FAIL and "nothing to compare" in nothing["told"]
    still = judged(0.0, 0.0, numbers={"loss": 2.0})
    assert still["all"] is Status.INCONCLUSIVE and "returned" not in still
    assert "nothing moves on either side in 1 steps" in still["told"]
