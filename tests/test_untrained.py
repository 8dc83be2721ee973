"""Inputs of a loss through which nobody trains: their gradients are no cause, and those of all others are."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from parity import Case, InputError, Side, Workers, examine
from parity.engine.judge import kinds
from parity.engine.judge.verdicts import Status
from parity.engine.sides.constants import names_on, untrained

pytestmark = pytest.mark.usefixtures("warm_workers")

HALVES = """
import torch


def brighter(x, y, first):
    if first:  # at ties all of the gradient is the first's
        return torch.where(x >= y, x, y)
    return torch.maximum(x, y)


def fused(ties=False, lost=False):
    def loss(made, image, inside):
        made = made.detach() if lost else made
        return (made - brighter(image * inside, image.flip(0) * inside, ties)).abs().mean()

    return loss


def smoothed(keeps=True, lost=False):
    def loss(logits, soft_targets):
        logits = logits.detach() * 1.5 - 0.5 * logits if lost else logits
        soft = soft_targets if keeps else soft_targets.detach()
        soft = 0.9 * soft + 0.1 / soft.shape[1]
        return -(soft * logits.log_softmax(1)).sum(1).mean()

    return loss


def area(doubled=False):
    def of(target_boxes):
        sizes = target_boxes[:, 2:] - target_boxes[:, :2]
        whole = sizes.prod(1)
        return whole * 2 - whole.detach() if doubled else whole

    return of
"""
DRAW = np.random.default_rng(0)
MASK = (DRAW.uniform(size=(4, 5)) > 0.5).astype(float)
IMAGES = DRAW.standard_normal((4, 5)), DRAW.standard_normal((4, 5)), MASK
SOFT = DRAW.standard_normal((4, 5)), DRAW.dirichlet(np.ones(5), 4)
BOXES = (DRAW.uniform(0, 9, (6, 4)),)


@pytest.fixture
def compare(tmp_path):
    path = tmp_path / "halves.py"
    path.write_text(HALVES)

    def run(name: str, inputs, said=None, **changes):
        sides = [Side(f"{path}:{name}", "torch", arguments=a) for a in ({}, changes)]
        case = Case(name, *sides, lambda: inputs, float32=False, untrained=said)
        with Workers(*sides) as workers:
            return examine(case, workers)

    return run


def test_a_mask_and_soft_targets_are_constants_and_that_is_told(compare):
    for name, inputs, place, change in (
        ("fused", IMAGES, 2, {"ties": True}),
        ("smoothed", SOFT, 1, {"keeps": False}),
    ):
        found = compare(name, inputs, **change)
        assert not found.failures and not found.causes
        (told,) = (v for v in found.verdicts if v.node == f"(model)/in[{place}]" and v.message)
        assert told.status is Status.NOT_RUN and "UNTRAINED = ()" in told.message
        compared = {v.node for v in found.verdicts if "gradients" in v.check}
        assert "(model)/in[0]" in compared and f"(model)/in[{place}]" not in compared
        assert compare(name, inputs, (), **change).failures, "all are compared where the pair says"


@pytest.mark.parametrize(("name", "inputs"), [("fused", IMAGES), ("smoothed", SOFT)])
def test_what_is_trained_is_compared(compare, name, inputs):
    (cause,) = compare(name, inputs, lost=True).causes
    assert cause.kind in (kinds.DETACHED, kinds.BACKWARD)


def test_where_every_input_is_a_label_all_are_compared(compare):
    (cause,) = compare("area", BOXES, doubled=True).causes
    assert cause.kind == kinds.BACKWARD


def test_a_pair_says_itself_which_are_constants(compare):
    found = compare("fused", IMAGES, ("made",), lost=True)
    assert not found.failures
    (told,) = (v for v in found.verdicts if "UNTRAINED names it" in v.message)
    assert (told.status, told.node) == (Status.NOT_RUN, "(model)/in[0]")
    with pytest.raises(InputError, match="no input of floats is called 'mask'; write made, image"):
        compare("fused", IMAGES, ("mask",))


def names_of(inputs, forward=None, trained=(), said=None) -> set[str]:
    def loss(pred_masks, gt_masks, weights, made_by_target=None):
        pass

    subject = SimpleNamespace(forward=forward, model=loss)
    server = SimpleNamespace(runner=SimpleNamespace(subject=subject, trained=trained))
    return set(untrained(server, inputs, said))


def test_labels_are_told_by_name_or_by_what_they_hold():
    soft, zeros = np.full((2, 3), 0.25), np.zeros((2, 3))
    assert names_of((soft, soft, soft)) == {"[1]"}
    assert names_of((soft, soft, soft), forward=lambda *_: None) == set(), "whose argument is it"
    assert names_of((soft, soft, soft), trained=["weight"]) == set()
    assert names_of((soft, [soft, soft], MASK)) == {"[1][0]", "[1][1]", "[2]"}
    assert names_of({"x": soft, "labels": {"boxes": soft}}) == {"[labels][boxes]"}
    assert names_of((soft, zeros.astype(int), zeros)) == set(), "zeros may be a state"
    pair = {"pred_targets": soft, "targeted": soft, "y_true": soft, "out": soft, "target2": soft}
    assert names_of(pair) == {"[y_true]", "[target2]"}


def test_places_in_lists_and_beyond_the_named_arguments_are_no_names():
    for model in (lambda image, *more: None, lambda image, **more: None, lambda image: None):
        subject = SimpleNamespace(forward=None, model=model)
        assert names_on("[0][x]", subject, (1, 2)) == ["image", "x"]
        assert names_on("[0][1]", subject, (1, 2)) == ["image"]
        assert names_on("[1]", subject, (1, 2)) == []


@pytest.mark.parametrize(
    ("inputs", "said", "trained", "message"),
    [
        ((SOFT,), ("0",), (), "is called '0'; write pred_masks"),
        ((MASK.astype(int),), ("gate",), (), "is called 'gate'; none has a name: take it out"),
        (IMAGES, ("weights",), ["bias"], "gradients are those of the parameters"),
    ],
)
def test_what_a_pair_says_wrongly_is_one_clear_error(inputs, said, trained, message):
    with pytest.raises(InputError, match=message):
        names_of(inputs, trained=trained, said=said)
    assert names_of(IMAGES, trained=["bias"], said=()) == set()
