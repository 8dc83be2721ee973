"""Own training steps, judged from made-up answers: one thing changed at a time, and that alone is told."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from parity.engine.judge import checks, gates, kinds
from parity.engine.judge.verdicts import Status
from parity.engine.tell.causes import causes_of
from parity.engine.tell.own_steps import AS_ROUNDED, OwnSteps, is_biased

SIDES = ("reference", "candidate")
BEFORE = {"a.weight": np.ones((2, 3)), "b.weight": np.zeros(4), "bn.mean": np.zeros(2)}


def answer(step: int = 0) -> dict:
    moved = {
        n: x + (step + 1) * (1 + np.arange(x.size).reshape(x.shape)) for n, x in BEFORE.items()
    }
    return {
        "state": moved,
        "held": {"ema/a.weight": moved["a.weight"] / 2},
        "gradients": {"a.weight": 2.0, "b.weight": 0.5},
        "trainable": ["a.weight", "b.weight"],
        "modes": {"a": True, "a.drop": True, "b": False},
        "classes": {"a.drop": "Dropout", "b": "BatchNorm"},
        "rates": {"optimiser": [0.1, 0.01]},
        "numbers": {"loss": 3.0},
    }


def steps(*pairs) -> tuple[OwnSteps, list]:
    own = OwnSteps("case", BEFORE, SIDES)
    return own, [own.judge(k, list(pair)) for k, pair in enumerate(pairs)]


def failed(found: list) -> dict:
    return {v.check: v for v in found if v.status is Status.FAIL}


def changed(**parts) -> dict:
    """A candidate's answer with some entries of its parts changed."""
    other = copy.deepcopy(answer())
    for part, change in parts.items():
        other[part] = change if isinstance(change, list) else other[part] | change
    return other


OFF = 1 + 1e-3
CHANGES = {
    "mode": ({"modes": {"b": True}}, checks.MODES, kinds.MODE, "1 BatchNorm in training mode on"),
    "frozen": ({"trainable": ["a.weight"]}, checks.TRAINABLE, kinds.FROZEN, "only on reference's"),
    "thawed": (
        {"trainable": ["a.weight", "b.weight", "c"]},
        *(checks.TRAINABLE, kinds.FROZEN, "only on candidate's side asks for gradients: c"),
    ),
    "rate": (
        {"rates": {"optimiser": [0.1, 0.02]}},
        *(checks.RATES, kinds.RATE, "group 1: reference 0.01, candidate 0.02"),
    ),
    "groups": (
        {"rates": {"optimiser": [0.1]}},
        *(checks.RATES, kinds.RATE, "2 and 1 parameter groups in reference and candidate"),
    ),
    "optimisers": (
        {"rates": {"other": [0.1]}},
        *(checks.RATES, kinds.RATE, "none and 1 parameter groups in reference and candidate"),
    ),
    "number": ({"numbers": {"loss": 3.0 * OFF}}, checks.OWN_NUMBERS, None, ""),
    "gradient": ({"gradients": {"b.weight": 0.5 * OFF}}, checks.OWN_GRADIENTS, None, ""),
    "EMA": ({"held": {"ema/a.weight": np.ones((2, 3))}}, checks.OWN_EMA, None, ""),
    "weight": (
        {"state": {"b.weight": OFF * answer()["state"]["b.weight"]}},
        checks.OWN_MOVED,
        None,
        "",
    ),
    "statistics": (
        {"state": {"bn.mean": OFF * answer()["state"]["bn.mean"]}},
        *(checks.OWN_STATISTICS, None, ""),
    ),
    "shape": (
        {"held": {"ema/a.weight": np.ones((3, 2))}},
        *(checks.OWN_EMA, kinds.SHAPE, "shapes (2, 3) and (3, 2)"),
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_differs_is_told_alone(name):
    change, check, kind, text = CHANGES[name]
    own, (found,) = steps((answer(), changed(**change)))
    told = failed(found)
    assert set(told) == {check} and text in told[check].message
    assert kind is None or told[check].kind == kind
    values = check not in (checks.MODES, checks.TRAINABLE, checks.RATES)
    assert bool(own.parted) == values
    assert bool(failed(own.judge(1, [answer(1), changed(numbers={"loss": 9.0})]))) != values


def test_an_average_that_one_side_freezes_is_known_until_a_gradient_reaches_it():
    ours, theirs = answer(), changed(trainable=["a.weight"])
    ours["gradients"]["b.weight"] = theirs["gradients"]["b.weight"] = 0.0
    own, (found,) = steps((ours, theirs))
    (told,) = (v for v in found if v.check == checks.TRAINABLE)
    assert told.status is Status.KNOWN and "b.weight" in told.message and not failed(found)
    assert checks.TRAINABLE in failed(own.judge(1, [answer(1), theirs]))
    _, (found,) = steps((theirs, ours))
    assert checks.TRAINABLE in failed(found), (
        "with weight decay Jittor moves what no gradient reaches"
    )


def test_equal_steps_are_silent_and_all_is_compared():
    own, (first, second) = steps(*[(answer(k), answer(k)) for k in (0, 1)])
    assert not failed(first) and not failed(second) and not failed(own.conclude(2))
    told = {v.check for v in first}
    assert told == {
        *(checks.MODES, checks.TRAINABLE, checks.RATES, checks.OWN_NUMBERS),
        *(checks.OWN_GRADIENTS, checks.OWN_MOVED, checks.OWN_STATISTICS, checks.OWN_EMA),
    }
    assert {v.check for v in own.conclude(2)} == {checks.MOVES, checks.REACHED}


@pytest.mark.parametrize("side", [0, 1])
def test_what_moves_on_one_side_alone_is_told_at_the_end_by_where_it_is_and_not_of_one_side(side):
    pair = [answer(), answer()]
    pair[side]["state"]["a.weight"] = BEFORE["a.weight"]
    own, _ = steps(pair, [answer(0), answer(0)] if side else pair)
    if not side:
        (told,) = failed(own.conclude(2)).values()
        assert told.node == "each"
        assert told.message == "only on candidate's side moves in 2 steps: a.weight"
    # what one side alone has is no parameter that stays where it is
    for which in (0, 1):
        pair = [answer(), answer()]
        pair[which]["state"]["more"] = np.ones(2)
        later = [answer(1), answer(1)]
        later[which]["state"]["more"] = 2 * np.ones(2)
        own, _ = steps(pair, later)
        assert not failed(own.conclude(2))


@pytest.mark.parametrize("side", [0, 1])
def test_a_side_that_stands_still_is_told_with_the_step_after_which_it_does(side):
    def still(state: dict) -> dict:
        return answer(2) | {"state": state}

    for first, text in ((answer()["state"], "after step 0"), (BEFORE, "at all")):
        pair = [answer(), answer()]
        pair[side] = answer() | {"state": first}
        later = [answer(1), answer(1)]
        later[side] = still(first)
        own, _ = steps(pair, later)
        (told,) = [v for v in failed(own.conclude(2)).values() if v.node == "all"]
        assert told.message == f"on {SIDES[side]}'s side nothing moves {text}"


@pytest.mark.parametrize("side", [0, 1])
def test_a_parameter_that_no_gradient_reaches_is_told(side):
    pair = [answer(), answer()]
    pair[side]["gradients"]["b.weight"] = 0.0
    own, _ = steps(pair)
    (told,) = [v for v in own.conclude(1) if v.check == checks.REACHED]
    assert told.kind == kinds.DETACHED
    assert told.message == f"only on {SIDES[1 - side]}'s side ever gets a gradient: b.weight"


def test_a_group_that_keeps_its_rate_is_told_and_rounded_ones_are_known():
    kept = changed(rates={"optimiser": [0.1, 0.01]})
    dropped = answer(1) | {"rates": {"optimiser": [0.01, 0.001]}}
    _, (_, found) = steps((answer(), kept), (dropped, answer(1)))
    text = "candidate's group 0 keeps its rate 0.1 where the other's goes to 0.01"
    assert text in failed(found)[checks.RATES].message
    _, (_, found) = steps((answer(), kept), (answer(1), dropped))
    assert "reference's group 0 keeps its rate" in failed(found)[checks.RATES].message
    loss = 3.0 * (1 + 0.5 * gates.OWN_STEP_ROUNDED)
    _, (found,) = steps((answer(), changed(numbers={"loss": loss})))
    (known,) = [v for v in found if v.status is Status.KNOWN]
    assert known.message == AS_ROUNDED and known.check == checks.OWN_NUMBERS


def test_a_biased_variance_is_told_by_its_count():
    old = {"v": np.array([1.0, 2.0])}
    batch = np.array([3.0, 5.0])
    for count, wanted in ((2, True), (32, True), (1000, True), (None, False)):
        share = (count - 1) / count if count else np.array([0.9, 0.8])
        now = [{"v": 0.9 * old["v"] + 0.1 * x} for x in (batch, batch * share)]
        assert is_biased("v", [old, old], now) == wanted
    assert not is_biased("v", [old, old], [now[0], now[0]]), "nothing differs"
    larger = [{"v": 0.9 * old["v"] + 0.1 * x} for x in (batch, batch * 32 / 31)]
    assert not is_biased("v", [old, old], larger), "the other way round"
    assert not is_biased("v", [old, {}], now)


def test_all_names_are_kept_of_which_a_few_are_told():
    names = [f"layer{k}" for k in range(7)]
    weights = {f"{n}.weight": np.ones(2) for n in names}

    def half(training: bool, trained: list[str]) -> dict:
        given = answer()
        given["modes"] = dict.fromkeys(names, training)
        given["classes"] = dict.fromkeys(names, "BatchNorm2d")
        given["trainable"] = list(trained)
        given["gradients"] = dict.fromkeys(trained, 1.0)
        given["state"] = {n: x + (n in trained) for n, x in weights.items()}
        return given

    own = OwnSteps("case", weights, SIDES)
    found = own.judge(0, [half(True, list(weights)), half(False, list(weights)[:1])])
    found = failed(found + own.conclude(1))
    assert found[checks.MODES].names == tuple(names)
    missing = tuple(weights)[1:]
    for check in (checks.TRAINABLE, checks.MOVES, checks.REACHED):
        assert found[check].names == missing, check
        assert "and 2 more" in found[check].message
    (cause,) = causes_of([found[checks.MODES]])
    assert cause.names == tuple(names)
