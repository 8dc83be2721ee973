"""Units in the last place, the tube, warm-up and accumulation, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from door.randomness import neighbours, stream
from neutral.config import OptimiserConfig, with_overrides
from neutral.errors import InputError
from neutral.parameters import rates, warmup
from parity.engine.judge import checks, gates
from parity.engine.judge.gates import TUBE_COPIES
from parity.engine.judge.steps import compare_steps
from parity.engine.judge.tube import compare_tube
from parity.engine.judge.ulps import judge_ulps, one_ulp_away, ulps
from parity.engine.judge.verdicts import Status

ONE = np.float32(1)


def test_units_in_the_last_place():
    next_up = np.nextafter(ONE, np.float32(2))
    assert ulps(np.array([next_up]), np.array([ONE])) == 1
    assert ulps(np.array([-0.0], "f4"), np.array([0.0], "f4")) == 0
    # 1 - (1 - 2^-23) is all rounding: in units of the operand, not of what is left
    left = np.array([2.0**-23], "f4")
    assert ulps(2 * left, left) > 1e6
    assert ulps(2 * left, left, np.array([ONE])) == 1
    verdict = judge_ulps("c", "k", "n", np.array([np.nan], "f4"), np.array([ONE]), 8)
    assert verdict.status is Status.FAIL


def test_every_element_is_one_unit_away():
    weights = {"w": np.array([1.0, -2.0, 0.0, 1e-20], np.float32)}
    moved = one_ulp_away(weights, 3)
    assert (moved["w"] != weights["w"]).all()
    assert (ulps(moved["w"], weights["w"]) <= 1).all()
    assert any((one_ulp_away(weights, k)["w"] > weights["w"]).any() for k in range(8))


def test_neighbours_lie_on_both_sides_as_the_stream_has_it():
    """Those of `train --perturb`."""
    values = np.array([1.0, -2.5, 0.0, 1e-3], np.float32).repeat(50)
    first, again, other = (neighbours(values, stream(0, "perturb", k, "w")) for k in (1, 1, 2))
    assert (first != values).all() and first.dtype == np.float32
    assert (np.abs(first - values) <= np.spacing(np.abs(values) + np.float32(1e-30))).all()
    assert 0.2 < (first > values).mean() < 0.8
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def run(loss, weight=0.0):
    """What train_steps returns: losses of every step, state at the end."""
    return [{"loss": x} for x in loss], {"w": np.array([1.0 + weight])}


BASE = run([3.0, 2.0, 1.0])
COPIES = [run([3.0, 2.0 + 1e-4 * k, 1.0 + 1e-3 * k], 1e-3 * k) for k in range(1, TUBE_COPIES + 1)]


def tube(other, copies=COPIES):
    weights = {"w": np.zeros(1)}
    return {v.node: v for v in compare_tube("c", weights, ["w"], BASE, copies, other)}


@pytest.mark.parametrize(
    ("other", "node", "step"),
    [
        (run([3.0, 2.0, 1.0 + 3.1e-3 * TUBE_COPIES]), "loss", 2),
        (run([3.0, 2.0 + 3.1e-4 * TUBE_COPIES, 1.0]), "loss", 1),
        (run([3.0, 2.0, float("nan")]), "loss", 2),
        (run([3.001, 2.0, 1.0]), "loss", 0),
        (run([3.0, 2.0, 1.0], 3.1e-3 * TUBE_COPIES), "weights", None),
    ],
)
def test_leaving_the_tube(other, node, step):
    verdicts = tube(other)
    assert verdicts[node].status is Status.FAIL
    assert step is None or f"at step {step}" in verdicts[node].message


def test_staying_inside():
    inside = run([3.0, 2.0 + 2.9e-4 * TUBE_COPIES, 1.0], 2.9e-3 * TUBE_COPIES)
    assert {v.status for v in tube(inside).values()} == {Status.PASS}
    assert tube(BASE, COPIES[:-1])["copies"].status is Status.INCONCLUSIVE
    lost = ([{"other": 1.0}] * 3, BASE[1])
    assert tube(lost)["loss"].status is Status.FAIL
    assert gates.TUBE == 3


def test_warm_up(tiny_config):
    optimiser = OptimiserConfig(warmup_steps=4, warmup_factor=0.2)
    assert [warmup(k, optimiser) for k in (0, 2, 4, 9)] == pytest.approx([0.2, 0.6, 1.0, 1.0])
    assert warmup(0, OptimiserConfig()) == 1.0
    config = with_overrides(
        tiny_config, ["optimiser.warmup_steps=4", "optimiser.warmup_factor=0.2"]
    )
    (before,), (after,) = (rates(["w"], config, 0, k).values() for k in (0, 4))
    assert before == pytest.approx(0.2 * after)
    (rate,) = rates(["w"], config, 0).values()
    assert rate == after


def test_accumulated_gradients_are_the_mean():
    torch = pytest.importorskip("torch")
    from torch_impl.group import Group
    from torch_impl.training import mean_gradient

    two = [torch.tensor([1.0, 3.0]), torch.tensor([3.0, 5.0])]
    assert mean_gradient(two).tolist() == [2.0, 4.0]
    assert mean_gradient([two[0], None]).tolist() == [0.5, 1.5]
    assert mean_gradient([None, None]) is None
    weight = torch.nn.Parameter(torch.zeros(2))
    group = Group()
    group.watch(None, {"w": weight})
    total = (weight * two[1]).sum()
    assert group.gradients(total, [{"w": two[0]}])["w"].tolist() == [2.0, 4.0]


def test_too_much_accumulation_is_told(tiny_config, tmp_path):
    pytest.importorskip("torch")
    from neutral.data import SPLITS, open_dataset
    from neutral.run import RunOptions, train
    from torch_impl.session import Session

    config = with_overrides(tiny_config, ["optimiser.accumulate=100"])
    datasets = {split: open_dataset(config, split, tmp_path / "data") for split in SPLITS}
    with pytest.raises(InputError, match="a step takes 100"):
        train(Session(config), config, datasets, RunOptions(tmp_path / "run"), lambda event: None)


def test_steps_of_a_parameter_of_another_shape_are_compared_all_the_same():
    weights = {"w": np.ones((4, 2)), "v": np.ones(3)}
    ends = [{"w": np.ones(shape), "v": np.full(3, 2.0)} for shape in ((4, 2), (5, 2))]
    sides = [(weights, ["w", "v"], [{"loss": 1.0}], end) for end in ends]
    found = {v.node: v for v in compare_steps("c", *sides) if v.check == checks.DISPLACEMENT}
    assert found["w"].status is Status.FAIL and "shapes differ" in found["w"].message
    assert found["v"].status is Status.PASS
