"""What rounding makes of Jittor's norms, against PyTorch's derivatives and the same formulas with another scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from parity.engine.judge.norms import Norm, relative
from parity.engine.judge.verdicts import Status, Verdict

SHAPE, EPS = (3, 4, 5, 6), 1e-3
LAYERS = {
    "BatchNorm": (torch.nn.BatchNorm2d(4, EPS), {}),
    "InstanceNorm": (torch.nn.InstanceNorm2d(4, EPS, affine=True), {}),
    "GroupNorm": (torch.nn.GroupNorm(2, 4, EPS), {"num_groups": 2}),
    "LayerNorm": (torch.nn.LayerNorm(SHAPE[1:], EPS), {"normalized_shape": list(SHAPE[1:])}),
}


@pytest.fixture(params=LAYERS)
def known(request):
    """(Norm, its rows of x, of a cotangent, PyTorch's result, gradients of x and of the weight)."""
    layer, more = LAYERS[request.param]
    random = np.random.default_rng(0)
    layer = layer.double().train()
    x = torch.from_numpy(random.standard_normal(SHAPE) + 3.0).requires_grad_()
    cotangent = torch.from_numpy(random.standard_normal(SHAPE))
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(random.uniform(0.5, 2, tuple(layer.weight.shape))))
        layer.bias.zero_()
    result = layer(x)
    given = torch.autograd.grad(result, [x, layer.weight], cotangent)
    told = {"type": request.param, "eps": EPS} | more
    norm = Norm.of(x.detach().numpy(), told, layer.weight.detach().numpy())
    return norm, cotangent.numpy(), *(t.detach().numpy() for t in (result, *given))


def backward(norm: Norm, cotangent: np.ndarray, scale: np.ndarray) -> tuple:
    """Both terms of the gradient, [groups, terms]."""
    h = norm.weight * norm.rows(cotangent)
    first = scale * (h - h.mean(1, keepdims=True))
    return first, -(scale**3) * norm.apart * (h * norm.apart).mean(1, keepdims=True)


def test_a_layer_is_what_pytorch_computes(known):
    norm, cotangent, result, gradient, of_weight = known
    own = norm.back(norm.weight * norm.apart * norm.scale)
    np.testing.assert_allclose(own, result, atol=1e-12)
    np.testing.assert_allclose(norm.back(sum(backward(norm, cotangent, norm.scale))), gradient)
    found = norm.back(norm.rows(cotangent) * norm.apart * norm.scale).sum(norm.axes)
    np.testing.assert_allclose(found, of_weight)
    np.testing.assert_array_equal(norm.back(norm.rows(result)), result)
    assert (norm.size >= np.abs(norm.apart).mean(1, keepdims=True)).all() and norm.sums > 0


def test_errors_are_those_of_the_worst_scale_where_sums_are_exact(known):
    norm, cotangent, *_, of_weight = known
    norm = replace(norm, sums=0.0, worst=norm.scale * 1.01)
    apart = norm.weight * norm.apart * (norm.worst - norm.scale)
    np.testing.assert_allclose(norm.forward(), np.abs(apart))
    two = (backward(norm, cotangent, s) for s in (norm.worst, norm.scale))
    parts = [worst - exact for worst, exact in zip(*two)]
    np.testing.assert_allclose(norm.backward(cotangent), sum(map(np.abs, parts)), rtol=1e-9)
    least = np.abs(norm.back(norm.rows(cotangent) * norm.apart * (norm.worst - norm.scale)))
    np.testing.assert_allclose(norm.of_weight(cotangent), least.sum(norm.axes))
    assert norm.of_weight(cotangent).shape == of_weight.shape


def test_errors_of_sums_hold_what_the_variance_may_lose(known):
    """Each sum changed by its error, either way."""
    norm = replace(known[0], sums=1e-4)
    x = norm.apart + np.sqrt(np.maximum(norm.size**2 - (norm.apart**2).mean(1, keepdims=True), 0))
    worst = 0.0
    for signs in np.ndindex(2, 2):
        square, mean = (
            v * (1 + norm.sums * (1 - 2 * s))
            for v, s in zip(((x**2).mean(1, keepdims=True), x.mean(1, keepdims=True)), signs)
        )
        scale = 1 / np.sqrt(np.maximum(square - mean**2, 0) + EPS)
        worst = np.maximum(worst, np.abs((x - mean) * scale - norm.apart * norm.scale))
    least = np.maximum((norm.apart**2).mean(1, keepdims=True) - 3 * norm.sums * norm.size**2, 0)
    wide = replace(norm, worst=1 / np.sqrt(least + EPS))
    allowed = wide.forward() / np.abs(norm.weight)
    assert (worst <= allowed * (1 + 1e-6)).all() and (allowed <= 100 * worst.max()).all()


def test_errors_are_measured_as_the_verdict_fails():
    verdict = Verdict("case", "check", "x", Status.FAIL, message="relative L2")
    errors, values = np.array([3.0, -4.0]), np.array([6.0, 8.0])
    assert relative(errors, values, 0.0, verdict) == 0.5
    assert relative(errors, values, 10.0, verdict) == 0.25
    most = verdict.but(message="the greatest error")
    assert relative(errors, values, 0.0, most) == 0.5 and relative(errors, values, 8, most) == 0.25
