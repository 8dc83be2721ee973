"""Jittor's batch norm in training mode is less precise in float32, by E[x²] - E[x]²: known, and no more than that."""

from __future__ import annotations

import numpy as np
import pytest

from parity.engine import checks, gates
from parity.engine.known import strictly, with_known
from parity.engine.localise import compare_local_32
from parity.engine.precision import PrecisionGate
from parity.engine.verdicts import Status, Verdict

EPS = 1e-5
JITTOR = {"type": "BatchNorm", "leaf": True, "eps": EPS, "is_train": True}


def normalised(x: np.ndarray, cancelling: bool) -> np.ndarray:
    """x [B, C, H, W] in its own dtype, the variance as Jittor (cancelling) or as PyTorch has it."""
    axes, dtype = (0, 2, 3), x.dtype.type
    mean = x.mean(axes, keepdims=True)
    if cancelling:
        var = (x * x).mean(axes, keepdims=True) - mean * mean
        scale = dtype(1) / np.sqrt(var + dtype(EPS))
        return x * scale - mean * scale
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(axes, keepdims=True) + dtype(EPS))


def judged(layer: dict, factor: float = 1.0, offset: float = 8.0) -> Verdict:
    """The local float32 verdict on a batch norm whose input has a mean of `offset` deviations."""
    x = np.random.default_rng(0).standard_normal((4, 3, 9, 9)) + offset
    x = x.astype(np.float32).astype(np.float64)
    given = x.astype(np.float32)
    results = normalised(x, False), normalised(given, False), normalised(given, True)
    results = (*results[:2], results[2] * np.float32(factor))
    inputs = x, given, given
    owners, modules = {"bn/in[0]": "(model)", "bn": "bn"}, {"bn": layer, "(model)": {}}
    three = [
        {"nodes": {"bn/in[0]": i, "bn": r}, "owners": owners, "modules": modules}
        for i, r in zip(inputs, results, strict=True)
    ]
    found = compare_local_32(PrecisionGate("pair"), *three)
    return next(v for v in found if v.node == "bn")


def test_what_cancels_there_is_known():
    found = judged(JITTOR)
    assert found.measured > gates.PRECISION_FLOOR, "the plain limit is exceeded"
    assert found.status is Status.KNOWN and "cancels" in found.message
    assert strictly([found])[0].status is Status.FAIL


@pytest.mark.parametrize(
    ("layer", "factor"),
    [(JITTOR, 1 + 1e-3), (JITTOR | {"is_train": False}, 1.0), (JITTOR | {"type": "Norm"}, 1.0)],
)
def test_more_than_that_and_other_layers_fail(layer, factor):
    assert judged(layer, factor).status is Status.FAIL


def test_what_does_not_cancel_has_the_plain_limit():
    assert judged(JITTOR, 1 + 3e-6, offset=0.0).status is Status.FAIL


def test_what_a_whole_run_inherits_is_known_while_nothing_else_fails():
    norm = judged(JITTOR)
    whole = Verdict("pair", checks.FORWARD_32, "head", Status.FAIL, 1.2e-5, 1.1e-5)
    local = Verdict("pair", checks.LOCAL_FORWARD_64, "bn", Status.PASS, 1e-15, 1e-12)
    statuses = [v.status for v in with_known([norm, whole, local])]
    assert statuses == [Status.KNOWN, Status.KNOWN, Status.PASS]
    grave = whole.but(measured=1e-3)
    assert with_known([norm, grave, local])[1].status is Status.FAIL
    other = Verdict("pair", checks.LOCAL_FORWARD_64, "head", Status.FAIL, 0.1, 1e-12)
    assert with_known([norm, whole, other])[1].status is Status.FAIL
