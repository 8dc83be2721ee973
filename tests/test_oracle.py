"""NumPy's oracles against PyTorch's own layers, values and derivatives."""

from __future__ import annotations

import numpy as np
import pytest

from parity.engine.judge import oracle
from parity.engine.judge.judging import relative_l2

torch = pytest.importorskip("torch")
nn = torch.nn


def norm(layer):
    """With statistics and affine parameters that are not those of a new layer."""
    for tensor in layer.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.5)
    return layer.eval()


LAYERS = {
    "convolution": (lambda: nn.Conv2d(4, 6, 3, 2, 1, groups=2), (2, 4, 9, 8)),
    "dilated": (lambda: nn.Conv2d(4, 6, 3, 1, 2, 2, bias=False), (2, 4, 9, 8)),
    "linear": (lambda: nn.Linear(5, 3), (2, 7, 5)),
    "layer norm": (lambda: norm(nn.LayerNorm(6, eps=1e-3)), (2, 4, 6)),
    "group norm": (lambda: norm(nn.GroupNorm(2, 4)), (2, 4, 5, 3)),
    "batch norm": (lambda: norm(nn.BatchNorm2d(4)), (2, 4, 5, 3)),
    "max pool": (lambda: nn.MaxPool2d(3, 2, 1), (2, 4, 9, 8)),
    "relu": (nn.ReLU, (2, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_oracle(name):
    make, shape = LAYERS[name]
    with torch.no_grad():
        layer = make().double()
    described = {k: v for k, v in vars(layer).items() if not k.startswith("_")}
    described |= {"type": type(layer).__name__, "leaf": True}
    weights = {k: v.numpy() for k, v in layer.state_dict().items()}
    x = torch.randn(*shape, dtype=torch.float64, requires_grad=True)
    y = layer(x)
    ask = oracle.find_oracle(described)
    expected = ask(x.detach().numpy(), described, weights)
    assert relative_l2(y.detach().numpy(), expected) < 1e-14
    cotangent, direction = torch.randn_like(y), torch.randn_like(x)
    (gradient,) = torch.autograd.grad(y, x, cotangent)
    arguments = (described, weights, cotangent.numpy(), direction.numpy())
    slope = oracle.directional_derivative(ask, x.detach().numpy(), *arguments)
    assert slope == pytest.approx(float((gradient * direction).sum()), rel=1e-6)


def test_what_has_no_oracle():
    assert oracle.find_oracle({"type": "Conv2d", "leaf": False}) is None
    assert oracle.find_oracle({"type": "Transformer", "leaf": True}) is None
    assert oracle.find_oracle({"type": "BatchNorm2d", "leaf": True, "training": True}) is None


def test_attributes_that_differ_are_told():
    ours, theirs = {"stride": 2, "eps": 1e-5}, {"stride": (2, 2), "eps": 1e-3}
    assert oracle.different_attributes(ours, theirs) == ["eps: torch 1e-05, jittor 0.001"]
    assert np.array_equal(oracle.pair([1, 2]), (1, 2))


def test_a_look_alike_without_the_attributes_is_no_crash():
    """A user's own FrozenBatchNorm2d has its eps in the code."""
    ask = oracle.find_oracle({"type": "FrozenBatchNorm2d", "leaf": True})
    weights = {n: np.ones(2) for n in ("weight", "bias", "running_mean", "running_var")}
    with pytest.raises(oracle.Unfit, match="eps"):
        ask(np.ones((1, 2, 3, 3)), {"type": "FrozenBatchNorm2d"}, weights)
