"""SGD, AdamW and gradient clipping against torch.optim and torch.nn.utils."""

from __future__ import annotations

import numpy as np
import pytest

from neutral.config import OptimiserConfig

torch = pytest.importorskip("torch")
from torch_impl.training import OPTIMISERS, clip_gradients  # noqa: E402

THEIRS = {
    "adamw": lambda p, c: torch.optim.AdamW(
        p, lr=c.lr, betas=c.betas, eps=c.eps, weight_decay=c.weight_decay
    ),
    "adam": lambda p, c: torch.optim.Adam(
        p, lr=c.lr, betas=c.betas, eps=c.eps, weight_decay=c.weight_decay
    ),
    "sgd": lambda p, c: torch.optim.SGD(
        p, lr=c.lr, momentum=c.momentum, weight_decay=c.weight_decay
    ),
}


@pytest.mark.parametrize("kind", OPTIMISERS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_steps_are_torch_optims(kind, dtype):
    """Across a drop of the learning rate, within 8 units in the last place."""
    values = torch.randn(40, 5, dtype=dtype)
    ours, theirs = {"p": values.clone()}, torch.nn.Parameter(values.clone())
    config = OptimiserConfig(kind=kind, lr=3e-3, weight_decay=0.02)
    mine = OPTIMISERS[kind](ours, {"p": 0.02}, config)
    reference = THEIRS[kind]([theirs], config)
    for step in range(5):
        rate = config.lr * (0.1 if step >= 3 else 1)
        reference.param_groups[0]["lr"] = rate
        theirs.grad = torch.randn_like(theirs) * 10.0 ** (-step)
        mine.step({"p": theirs.grad}, {"p": rate})
        reference.step()
    # where the steps nearly cancel the value itself, its last place says nothing
    unit = torch.finfo(dtype).eps * theirs.abs().clamp(min=0.01)
    assert ((ours["p"] - theirs.detach()).abs() <= 8 * unit).all()


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_a_parameter_without_gradient_is_left_alone(kind):
    parameters = {"used": torch.ones(3), "unused": torch.ones(3)}
    decays = dict.fromkeys(parameters, 0.1)
    OPTIMISERS[kind](parameters, decays, OptimiserConfig()).step(
        {"used": torch.ones(3), "unused": None}, {"used": 0.1, "unused": 0.1}
    )
    assert (parameters["unused"] == 1).all(), "no decay without a gradient"
    assert (parameters["used"] < 1).all()


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_the_running_average(kind):
    """After each step average += (1 - decay) * (parameter - average), from the loaded weights on."""
    parameters = {"p": torch.ones(3), "unused": torch.ones(3)}
    config = OptimiserConfig(kind=kind, ema_decay=0.9)
    optimiser = OPTIMISERS[kind](parameters, dict.fromkeys(parameters, 0.0), config)
    optimiser.begin()
    expected = torch.ones(3)
    for _ in range(3):
        optimiser.step({"p": torch.full((3,), 0.5), "unused": None}, {"p": 0.1, "unused": 0.1})
        expected = 0.9 * expected + 0.1 * parameters["p"]
    assert torch.allclose(optimiser.averages()["p"], expected)
    assert (optimiser.averages()["unused"] == 1).all()
    assert "average/p" in optimiser.state()


def test_decay_is_per_parameter():
    """Zero gradients: SGD moves the decayed one by lr * decay * value = 0.1 * 0.5 * 1, the other not."""
    parameters = {"decayed": torch.ones(3), "bias": torch.ones(3)}
    config = OptimiserConfig(kind="sgd")
    optimiser = OPTIMISERS["sgd"](parameters, {"decayed": 0.5, "bias": 0.0}, config)
    optimiser.step({n: torch.zeros(3) for n in parameters}, {n: 0.1 for n in parameters})
    assert torch.allclose(parameters["decayed"], torch.full((3,), 0.95))
    assert (parameters["bias"] == 1).all()


@pytest.mark.parametrize("max_norm", [0.1, 1e6, 0.0])
def test_clipping_is_torch_nns(max_norm):
    gradients = {"a": torch.randn(4, 3), "b": torch.randn(7)}
    clipped, norm = clip_gradients(gradients, max_norm, 1e-6)
    if max_norm == 0:
        assert clipped is gradients
        return
    parameters = [torch.nn.Parameter(torch.zeros_like(g)) for g in gradients.values()]
    for parameter, gradient in zip(parameters, gradients.values(), strict=True):
        parameter.grad = gradient.clone()
    total = torch.nn.utils.clip_grad_norm_(parameters, max_norm)
    assert np.isclose(norm, total.item(), rtol=1e-15)
    for parameter, gradient in zip(parameters, clipped.values(), strict=True):
        assert torch.allclose(parameter.grad, gradient, rtol=1e-14)
