"""Jittor's norms are less precise in float32, by E[x²] - E[x]²: known, and no more than that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from parity import Case, Side, Workers, examine
from parity.engine.ask.again import look_again, look_at_whole
from parity.engine.judge import checks, gates, kinds
from parity.engine.judge.localise import compare_local_32
from parity.engine.judge.precision import PrecisionGate
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.tell.known import strictly, with_known
from parity.errors import OutOfTime

EPS, BIAS = 1e-5, 0.1
NORM = {"leaf": True, "eps": EPS, "framework": "jittor"}
BATCH = NORM | {"type": "BatchNorm", "is_train": True}
# a layer, and the axes of one mean of x [B, G, C / G, H, W]
LAYERS = {
    "batch": (BATCH, (0, 3, 4)),
    "instance": (NORM | {"type": "InstanceNorm"}, (3, 4)),
    "group": (NORM | {"type": "GroupNorm", "num_groups": 2}, (2, 3, 4)),
    "layer": (NORM | {"type": "LayerNorm", "normalized_shape": [4, 3, 3]}, (1, 2, 3, 4)),
}


def normalised(x: np.ndarray, axes: tuple, cancelling: bool) -> np.ndarray:
    """x in its own dtype, the variance as Jittor (cancelling) or as PyTorch has it."""
    dtype = x.dtype.type
    mean = x.mean(axes, keepdims=True)
    if cancelling:
        var = np.maximum((x * x).mean(axes, keepdims=True) - mean * mean, 0)
        scale = dtype(1) / np.sqrt(var + dtype(EPS))
        return x * scale - mean * scale + dtype(BIAS)
    var = ((x - mean) ** 2).mean(axes, keepdims=True)
    return (x - mean) / np.sqrt(var + dtype(EPS)) + dtype(BIAS)


def judged(layer: dict, axes=(0, 3, 4), factor: float = 1.0, offset: float = 8.0) -> Verdict:
    """The local float32 verdict on a norm whose input has a mean of `offset` deviations."""
    x = np.random.default_rng(0).standard_normal((4, 2, 2, 3, 3)) + offset
    x = x.astype(np.float32).astype(np.float64)
    given = x.astype(np.float32)
    two = normalised(x, axes, False), normalised(given, axes, False)
    results = (*two, normalised(given, axes, True) * np.float32(factor))
    inputs = x, given, given
    owners, modules = {"bn/in[0]": "(model)", "bn": "bn"}, {"bn": layer, "(model)": {}}
    three = [
        {
            "nodes": {k: v.reshape(4, 4, 3, 3) for k, v in (("bn/in[0]", i), ("bn", r))},
            "owners": owners,
            "modules": modules,
        }
        for i, r in zip(inputs, results, strict=True)
    ]
    found = compare_local_32(PrecisionGate("pair"), *three)
    return next(v for v in found if v.node == "bn")


@pytest.mark.parametrize(("layer", "axes"), LAYERS.values(), ids=LAYERS)
def test_what_cancels_there_is_known(layer, axes):
    found = judged(layer, axes)
    assert found.measured > gates.PRECISION_LEAST, "the plain limit is exceeded"
    assert found.status is Status.KNOWN and "cancels" in found.message
    assert strictly([found])[0].status is Status.FAIL
    assert judged(layer, axes, 1 + 1e-3).status is Status.FAIL, "more than that"
    assert judged(layer, axes, 1 + 3e-6, offset=0.0).status is Status.FAIL, "nothing cancels"


@pytest.mark.parametrize("other", [{"is_train": False}, {"type": "Norm"}, {"framework": ""}])
def test_other_layers_fail(other):
    assert judged(BATCH | other).status is Status.FAIL


def test_what_a_whole_run_inherits_is_known_while_nothing_else_fails():
    norm = judged(BATCH)
    whole = Verdict("pair", checks.FORWARD_32, "head", Status.FAIL, 1.2e-5, 1.1e-5)
    local = Verdict("pair", checks.LOCAL_FORWARD_64, "bn", Status.PASS, 1e-15, 1e-12)
    statuses = [v.status for v in with_known([norm, whole, local])]
    assert statuses == [Status.KNOWN, Status.KNOWN, Status.PASS]
    grave = whole.but(measured=1e-2)
    assert with_known([norm, grave, local])[1].status is Status.FAIL
    other = Verdict("pair", checks.LOCAL_FORWARD_64, "head", Status.FAIL, 0.1, 1e-12)
    assert with_known([norm, whole, other])[1].status is Status.FAIL


HALVES = """
import sys


def half(groups=4, eps=1e-5, unbiased=False, functional=False):
    if "jittor" not in sys.modules:
        from torch import nn

        return Net(nn)
    import jittor as jt
    from jittor import nn

    class Unbiased(nn.GroupNorm):
        def execute(self, x):
            y = x.reshape(x.shape[0], self.num_groups, -1)
            apart = y - y.mean(2, keepdims=True)
            var = (apart * apart).sum(2, keepdims=True) / (y.shape[2] - 1)
            y = (apart / jt.sqrt(var + self.eps)).reshape(x.shape)
            return y * self.weight.reshape(1, -1, 1, 1) + self.bias.reshape(1, -1, 1, 1)

    class Group(nn.GroupNorm):
        def execute(self, x):
            return nn.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    class Instance(nn.InstanceNorm2d):
        def execute(self, x):
            return nn.instance_norm(x, None, None, self.weight, self.bias, eps=self.eps)

    class Batch(nn.BatchNorm2d):
        pass

    class Layer(nn.LayerNorm):
        def execute(self, x):
            return nn.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    if functional:
        return Net(nn, groups, eps, Group, Instance, Batch, Layer)
    return Net(nn, groups, eps, Unbiased if unbiased else nn.GroupNorm)


def Net(nn, groups=4, eps=1e-5, group=None, instance=None, batch=None, layer=None):
    norms = [
        (group or nn.GroupNorm)(groups, 8, eps),
        (instance or nn.InstanceNorm2d)(8, affine=True),
        (batch or nn.BatchNorm2d)(8),
        (layer or nn.LayerNorm)((8, 2, 2)),
    ]
    return nn.Sequential(*norms)
"""


@pytest.fixture(scope="module")
def both():
    with Workers(Side("", "torch"), Side("", "jittor")) as workers:
        yield workers


def few():
    """Four elements a channel, with a mean of four deviations, of very different variances."""
    rng = np.random.default_rng(0)
    size = 10.0 ** rng.uniform(-1.5, 0.5, (2, 8, 1, 1))
    return ((rng.standard_normal((2, 8, 2, 2)) + 4) * size,)


def weights(shapes):
    rng = np.random.default_rng(1)
    offset = {name: 6.0 * name.endswith("bias") for name in shapes}
    return {n: (rng.uniform(0.5, 1.5, s) + offset[n]).astype(np.float32) for n, s in shapes.items()}


def case(folder, float64: bool, **wrong) -> Case:
    path = folder / "halves.py"
    path.write_text(HALVES)
    sides = [Side(f"{path}:half", "torch"), Side(f"{path}:half", "jittor", arguments=wrong)]
    more = {"weights": weights, "training": True, "float64": float64}
    return Case("norms", *sides, few, **more)


@pytest.mark.parametrize("functional", [False, True])
def test_over_few_elements_jittors_own_are_no_cause_forward_and_backward(
    tmp_path, both, warm_workers, functional
):
    """Neither where a class of the user's calls Jittor's functions, or is derived from Jittor's."""
    result = examine(case(tmp_path, True, functional=functional), both)
    local = {checks.LOCAL_FORWARD_32, checks.LOCAL_GRADIENTS_32}
    known = [v for v in result.verdicts if v.check in local and v.status is Status.KNOWN]
    assert {v.check for v in known} == local, "both are beyond the plain limits"
    assert not [v for v in result.failures if v.check in (*local, checks.LOCAL_FORWARD_64)]
    assert not result.causes


class Asked:
    """An examination whose candidate's whole float32 run, with norms that do not cancel, gives `found`."""

    sides = ("torch", "jittor")

    def __init__(self, found: list[Verdict]):
        self.options: dict = {}
        self.gate = type("Gate", (), {"compare": lambda self, *three: found})()
        self.workers = {
            "jittor": type("Worker", (), {"call": lambda self, *asked: ["batch_norm"]})()
        }
        self.inputs, self.records = None, []

    def path(self, side: str, name: str) -> Path:
        return Path(f"{side} {name}.safetensors")

    def __getitem__(self, name: str) -> str:
        self.records.append(name)
        return name


def test_what_cancels_in_norms_alone_is_known_in_the_whole_run_however_much_it_becomes():
    norm = judged(BATCH)
    grown = Verdict("pair", checks.GRADIENTS_32, "conv", Status.FAIL, 5e-3, 4e-5, guilty="jittor")
    wrong = grown.but(check=checks.FORWARD_32, node="head")
    ours = wrong.but(node="stem", guilty="torch")
    asked = Asked([grown.but(status=Status.PASS), wrong, ours.but(status=Status.PASS)])
    found = look_at_whole(asked, [norm, grown, wrong, ours])
    assert [v.status for v in found[1:]] == [Status.KNOWN, Status.FAIL, Status.FAIL]
    assert asked.records == ["torch free 64", "torch free 32", "jittor free steady"]
    alone = Asked([])
    assert look_at_whole(alone, [grown]) == [grown] and not alone.records, "no norm cancels"


def test_there_is_no_verdict_on_rounding_that_nobody_had_the_time_to_look_into():
    class Late:
        sides = ("torch", "jittor")

        def __getattr__(self, name):
            raise OutOfTime("the time limit is over", "run")

    norm = Verdict("pair", checks.LOCAL_FORWARD_32, "bn", Status.FAIL, 2e-5, 1e-6, guilty="jittor")
    grave = norm.but(measured=1e-2)
    late, still = look_again(Late(), [norm, grave])
    assert late.status is Status.INCONCLUSIVE and still is grave


@pytest.mark.parametrize(
    "wrong",
    [{"groups": 2}, {"eps": 1e-3}, {"unbiased": True}, {"functional": True, "eps": 1e-3}],
    ids=str,
)
@pytest.mark.parametrize("float64", [True, False])
def test_a_wrong_one_is_found_there(tmp_path, both, warm_workers, wrong, float64):
    first, *_ = examine(case(tmp_path, float64, **wrong), both).causes
    assert first.where == "0" and first.side in ("jittor", "")
    assert first.kind != kinds.PRECISION
