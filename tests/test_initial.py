"""What constructors leave, by distribution and by value."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from door.randomness import stream
from parity import Case, Side, Workers, check_initial
from parity.engine.ask.initial import (
    compare_initial,
    compare_settings,
    describe,
    difference,
    judge_initial,
)
from parity.engine.judge import kinds
from parity.engine.judge.checks import LOCAL_FORWARD_64
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.tell.causes import causes_of

pytestmark = pytest.mark.usefixtures("warm_workers")

RNG = np.random.default_rng(0)
NORMAL = RNG.standard_normal(4000) * 0.02


def compare(a: np.ndarray, b: np.ndarray):
    (verdict,) = compare_initial("c", {"w": describe(a)}, {"w": describe(b)})
    return verdict


@pytest.mark.parametrize(
    ("other", "word"),
    [
        (NORMAL * np.sqrt(2), "spread"),
        (NORMAL + 0.01, "mean"),
        (RNG.uniform(-0.02 * 3**0.5, 0.02 * 3**0.5, 4000), "form"),
        (np.zeros(4000), "constant"),
        (NORMAL.reshape(40, 100), "shape"),
    ],
)
def test_what_differs_is_named(other, word):
    for pair in ((NORMAL, other), (other, NORMAL)):
        verdict = compare(*pair)
        assert verdict.status is Status.FAIL and verdict.message.startswith(word)


def test_two_draws_of_one_distribution_agree():
    for seed in range(30):
        rng = np.random.default_rng(seed)
        for draw in (rng.standard_normal, rng.random):
            assert compare(draw((8, 50)), draw((8, 50))).status is Status.PASS


def test_a_table_is_compared_value_by_value():
    table = np.sin(np.arange(40.0)).reshape(8, 5)
    (found,) = compare_initial(
        "c", {"w": describe(table) | {"fixed": True}}, {"w": describe(table[:, ::-1])}
    )
    assert found.status.value == "FAIL" and "builds the same ones each time" in found.message
    (found,) = compare_initial(
        "c", {"w": describe(table) | {"fixed": True}}, {"w": describe(table)}
    )
    assert found.status.value == "PASS"


def test_constants_and_few_values():
    prior = np.full(80, -np.log(99.0))
    assert compare(prior, prior).status is Status.PASS
    assert "constant: -4.595 in torch, 0 in jittor" in compare(prior, 0 * prior).message
    assert compare(np.array([0.1, 0.3]), np.array([0.2, 0.1])).status is Status.INCONCLUSIVE
    assert compare(NORMAL, NORMAL * (1 + 1e-8)).status is Status.PASS, "pretrained"


HALVES = """
import torch
from torch import nn

def half(spread=0.02, more=False, table=0):
    torch.manual_seed(int(1000 * spread))
    model = nn.Sequential(nn.Linear(30, 40), nn.LayerNorm(40), nn.Linear(40, 8))
    for layer in (model[0], model[2]):
        nn.init.normal_(layer.weight, std=spread)
        nn.init.zeros_(layer.bias)
    if more:
        model.add_module("extra", nn.Linear(8, 8))
    if table:
        model.register_buffer("table", torch.arange(6.0).roll(table))
    model[2].weight.requires_grad = False  # drawn nevertheless
    return model
"""


@pytest.mark.parametrize(
    ("first", "second", "repeats", "status"),
    [
        (0.3, -0.2, (False, False), Status.INCONCLUSIVE),  # two draws
        (0.3, 0.0, (False, True), Status.FAIL),  # one side draws, the other's is 0
        (0.1, 0.2, (True, True), Status.FAIL),
        (0.1, 0.1, (True, True), Status.PASS),
    ],
)
def test_a_single_value_is_drawn_where_it_does_not_repeat(first, second, repeats, status):
    values = (np.full(1, x, np.float32) for x in (first, second))
    a, b = (describe(x) | {"repeats": r} for x, r in zip(values, repeats, strict=True))
    assert judge_initial("case", "bias", a, b, ("torch", "jittor")).status is status


def test_a_scalar_of_one_side_is_known():
    a, b = (describe(np.full(shape, 0.1, np.float32)) for shape in ((), (1,)))
    sides = ("torch", "jittor")
    assert judge_initial("case", "scale", a, b, sides).status is Status.KNOWN
    other = describe(np.full((1,), 0.2, np.float32))
    assert judge_initial("case", "scale", a, other, sides).status is Status.FAIL


def test_constructors_of_two_sides(tmp_path):
    path = tmp_path / "halves.py"
    path.write_text(HALVES)

    def run(**given):
        first = {"table": 6} if "table" in given else {}
        sides = [Side(f"{path}:half", "torch", arguments=a) for a in (first, given)]
        return check_initial(Case("built", *sides, lambda: ()))

    run().raise_for_failures()
    (cause, alone) = run(spread=0.1, more=True).causes[::-1]
    assert cause.where == "0.weight" and cause.also == ("2.weight",)
    assert cause.kind == "initial value" and "spread: 0.0" in cause.summary
    assert "only candidate has extra.weight, extra.bias" in alone.summary
    run(spread=0.021, table=6).raise_for_failures()
    (moved,) = run(spread=0.021, table=2).causes
    assert moved.where == "table" and "builds the same ones each time" in moved.summary


LAYERS = """
def build(nn, **changed):
    own = {"momentum": 0.1, "rate": 0.5, "least": 1e-6} | changed

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.drop = nn.BatchNorm2d(3, momentum=own["momentum"]), nn.Dropout(own["rate"])
            self.least, self.steps = own["least"], 3

        def forward(self, x):
            return self.drop(self.norm(x))

        execute = forward

    usual = (nn.BatchNorm2d(3), nn.BatchNorm1d(3), nn.GroupNorm(1, 3), nn.LayerNorm(5))
    usual += (nn.InstanceNorm2d(3, affine=True),)
    usual += (nn.Dropout(), nn.Dropout2d(), nn.LeakyReLU(), nn.ELU(), nn.ReLU6(), nn.PReLU(), nn.GELU())
    usual += (nn.Softplus(), nn.Upsample(scale_factor=2), nn.Conv2d(3, 3, 1), nn.Linear(3, 3), nn.Embedding(3, 3))
    return nn.Sequential(Block(), *usual)


def torch_side(**changed):
    from torch import nn

    return build(nn, **changed)


def jittor_side(**changed):
    from jittor import nn

    return build(nn, **changed)
"""


def test_numbers_that_layers_and_modules_hold_are_compared(tmp_path):
    path = tmp_path / "layers.py"
    path.write_text(LAYERS)

    def told(**changed):
        sides = Side(f"{path}:torch_side", "torch"), Side(f"{path}:jittor_side", "jittor")
        sides = (sides[0], replace(sides[1], arguments=changed))
        found = check_initial(Case("layers", *sides, tuple), workers)
        return {v.node: v.message for v in found.failures}, found.causes

    with Workers() as workers:
        assert told() == ({}, []), "what both frameworks' layers hold by default is the same"
        found, causes = told(momentum=0.9, rate=0.1, least=0)
    assert found == {
        "0.norm.momentum": "momentum: 0.1 in torch, 0.9 in jittor",
        "0.drop.p": "p: 0.5 in torch, 0.1 in jittor",
        "0.least": "least: 1e-06 in torch, 0 in jittor",
    }
    assert {c.kind for c in causes} == {kinds.CONSTANT} and len(causes) == 3
    assert all(c.candidate_code.startswith(str(path)) for c in causes)


def test_numbers_of_another_class_or_counts_are_not_compared():
    one = {"kind": "Norm", "numbers": {"eps": 1e-5, "groups": 2}, "code": ""}
    for other in ({"kind": "FrozenNorm", "numbers": {"eps": 1e-3}}, {"numbers": {"groups": 3}}):
        assert not compare_settings("c", {"norm": one}, {"norm": one | other})
    odd = [one | {"numbers": {"eps": x}} for x in (math.nan, math.inf, -math.inf, 0.0)]
    for k, a in enumerate(odd):
        found = [len(compare_settings("c", {"norm": a}, {"norm": b})) for b in odd]
        assert found == [int(j != k) for j in range(len(odd))]
    (verdict,) = compare_settings("c", {"": one}, {"": one | {"numbers": {"eps": 1}}})
    assert (verdict.node, verdict.owner) == ("(model).eps", "(model)")


@pytest.mark.parametrize(
    ("told", "left"),
    [
        ("the layers differ in eps: torch 1e-05, jittor 0.001", {"norm.momentum"}),
        ("by 1.3e-03 of its size", set()),
    ],
)
def test_a_setting_that_a_wrong_module_shows_is_no_cause_beside_it(told, left):
    settings = [
        {"norm": {"kind": "Norm", "numbers": {"eps": eps, "momentum": rate}, "code": ""}}
        for eps, rate in ((1e-5, 0.1), (1e-3, 0.9))
    ]
    wrong = Verdict("c", LOCAL_FORWARD_64, "norm", Status.FAIL, 1e-3, 1e-12, message=told)
    verdicts = [*compare_settings("c", *settings), wrong.but(owner="norm")]
    assert len(verdicts) == 3
    assert {c.node for c in causes_of(verdicts)} == {"norm", *left}


@pytest.mark.parametrize("count", [8, 9, 25])
@pytest.mark.parametrize("kind", ["standard_normal", "random"])
def test_a_few_values_of_one_distribution_are_no_difference(kind, count):
    """Of 1,000 pairs of draws none is told, and one that is clearly wider is."""
    generator = stream("few values", kind, count)
    draws = getattr(generator, kind)((1000, 2, count))
    told = [difference(*map(describe, pair), ("a", "b")) for pair in draws]
    assert not any(told), [text for text in told if text]
    wide = 200.0 if count < 16 else 6.0
    centred = draws[:200] - draws[:200].mean(2, keepdims=True)
    wider = [difference(describe(a), describe(wide * b), ("a", "b")) for a, b in centred]
    assert sum(text.startswith("spread") for text in wider) >= 190
