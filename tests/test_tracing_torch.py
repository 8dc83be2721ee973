"""Traces and choices, in PyTorch: every kind of container, in-place code, regrets by hand."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from parity.backends import torch as backend  # noqa: E402
from parity.engine.sides.choices import Choices, pool_cells  # noqa: E402
from parity.engine.sides.tracer import Tracer  # noqa: E402
from parity.engine.values.lazy import Lazy  # noqa: E402
from torch_impl import ops  # noqa: E402


class Both(NamedTuple):
    low: torch.Tensor
    high: torch.Tensor


class Split(nn.Module):
    """Takes a list and a named argument; returns a dictionary with a list and a named tuple."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, parts, *, extra):
        return {
            "list": [x * self.scale for x in parts],
            "pair": Both(parts[0] - extra, parts[1] + extra),
        }


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 4)
        self.act = nn.ReLU(inplace=True)
        self.split = Split()

    def forward(self, x):
        y = self.linear(x)
        y += 1  # writes into what the module returned
        y = self.act(y)
        found = self.split([y[:, :2], y[:, 2:]], extra=y[:, 1:3])
        return found["list"][0] + found["list"][1] * found["pair"].low + found["pair"].high


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net().double()


def trace(net, reference=None, rounded=False) -> dict:
    x = torch.linspace(-3, 3, 6, dtype=torch.float64).reshape(2, 3)
    tracer = Tracer(backend, dict(net.named_modules()), None, reference, rounded)
    with tracer:
        total = (net(x) ** 2).sum()
    nodes, parameters = tracer.gradients(total, dict(net.named_parameters()))
    return {
        "nodes": {k: ops.to_numpy(v) for k, v in tracer.arrived.items()},
        "node_gradients": dict(Lazy(backend, nodes)),
        "gradients": dict(Lazy(backend, parameters)),
        "owners": tracer.owners,
    }


def wrong(a: dict, b: dict, section: str) -> set[str]:
    pairs = [(k, a[section][k], b[section][k]) for k in a[section]]
    return {k for k, x, y in pairs if x is not None and not np.allclose(x, y, 1e-12, 1e-14)}


def test_every_container_has_its_nodes(net):
    found = trace(net)
    assert {"split/in[0][0]", "split/in[0][1]", "split/in[extra]"} <= set(found["nodes"])
    assert {"split[list][0]", "split[list][1]", "split[pair][0]"} <= set(found["nodes"])
    assert found["owners"]["split/in[extra]"] == "(model)"
    assert found["owners"]["split[pair][1]"] == "split"
    assert "forward" not in vars(net.split), "the module is as it was before"


def test_code_that_writes_in_place_spoils_no_record(net):
    found = trace(net)["nodes"]
    assert np.allclose(found["linear"] + 1, found["act/in[0]"])
    assert (found["act/in[0]"] < 0).any()


def test_gradients_are_those_of_autograd(net):
    found = trace(net)
    x = torch.linspace(-3, 3, 6, dtype=torch.float64).reshape(2, 3)
    y = net.linear(x)
    kept = y.clone().requires_grad_()
    z = nn.functional.relu(kept + 1)
    parts = net.split([z[:, :2], z[:, 2:]], extra=z[:, 1:3])
    out = parts["list"][0] + parts["list"][1] * parts["pair"].low + parts["pair"].high
    (gradient,) = torch.autograd.grad((out**2).sum(), kept)
    assert np.allclose(found["node_gradients"]["linear"], gradient.numpy())


def test_forced_by_itself_nothing_differs(net):
    free = trace(net)
    forced = trace(net, free)
    for section in ("nodes", "node_gradients", "gradients"):
        assert wrong(free, forced, section) == set()


def test_a_fault_shows_at_its_node_and_nowhere_else(net, monkeypatch):
    free = trace(net)

    def faulty(self, parts, *, extra):
        return {"list": [x * self.scale for x in parts], "pair": Both(parts[0] - extra, parts[1])}

    monkeypatch.setattr(Split, "forward", faulty)
    forced = trace(net, free)
    assert wrong(free, forced, "nodes") == {"split[pair][1]"}
    # it no longer hands its gradient to the arguments that it forgot
    assert wrong(free, forced, "node_gradients") == {"split/in[extra]"}
    assert wrong(free, trace(net), "nodes") == {"split[pair][1]", "(model)"}


def test_pool_cells():
    x = np.array([[[[1.0, 1, -3, -2], [0, 0, -5, -2]]]])
    assert pool_cells(x, 2, 2, 0).tolist() == [[[[0, 3]]]], "the first of equals"
    assert pool_cells(x, 3, 2, 1).tolist() == [[[[0, 1]]]], "padding never wins"


def test_replayed_choices_are_used_and_their_regret_told():
    x = torch.tensor([[[[3.0, -1e-9], [2.0, 1.0]]]])
    free = Choices(backend, tracer=Tracer(backend, {"": nn.Identity()}))
    with backend.watching(free):
        ops.relu(x), ops.max_pool(x, 2, 2, 0)
    given = free.record()["choices"]
    assert given["relu in (outside)"].sum() == 3
    given["relu in (outside)"][0, 0, 0, 1] = True
    given["max_pool in (outside)"][:] = 2
    replayed = Choices(backend, given, Tracer(backend, {"": nn.Identity()}))
    with backend.watching(replayed):
        assert ops.relu(x)[0, 0, 0, 1] == x[0, 0, 0, 1]
        assert ops.max_pool(x, 2, 2, 0).item() == 2.0
    relu, pool = replayed.ledger.values()
    assert relu["different"] == pool["different"] == 1
    assert relu["regret"] == pytest.approx(1e-9 / 3)
    assert pool["regret"] == pytest.approx(1 / 3)
    assert ops.relu(x).min() == 0, "ops are as they were before"


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"),
    [
        (2, 2, 0, 1),
        (3, 2, 1, 1),
        ((3, 2), (2, 1), (1, 0), 1),
        (2, None, 1, 2),
        ((2, 3), 3, 1, (1, 2)),
    ],
)
def test_pool_cells_are_the_frameworks_own(kernel, stride, padding, dilation, ceil_mode):
    torch.manual_seed(0)
    x = torch.randn(2, 3, 9, 11).round()  # with ties
    window = (kernel, stride, padding, dilation, ceil_mode)
    _, index = nn.functional.max_pool2d(x, *window, return_indices=True)
    assert np.array_equal(pool_cells(x.numpy(), *window), index.numpy())


def test_a_replayed_pool_keeps_its_shape():
    x = torch.randn(1, 2, 7, 7, dtype=torch.float64)
    pool = nn.MaxPool2d(2, 2, ceil_mode=True)
    free = Choices(backend, tracer=Tracer(backend, {"": nn.Identity()}))
    with backend.watching(free):
        wanted = pool(x)
    replayed = Choices(backend, free.record()["choices"], Tracer(backend, {"": nn.Identity()}))
    with backend.watching(replayed):
        found = pool(x)
    assert found.shape == wanted.shape == (1, 2, 4, 4) and torch.equal(found, wanted)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: nn.ReLU()(x),
        lambda x: nn.ReLU(inplace=True)(x.clone()),
        lambda x: nn.functional.relu(x),
        lambda x: torch.relu(x),
        lambda x: x.relu(),
        lambda x: x.clone().relu_(),
    ],
)
def test_a_relu_is_seen_however_it_is_called(call):
    x = torch.tensor([[1.0, -2.0]])
    choices = Choices(backend, tracer=Tracer(backend, {"": nn.Identity()}))
    with backend.watching(choices):
        assert call(x).tolist() == [[1.0, 0.0]]
    assert [k for k in choices.record()["choices"]] == ["relu in (outside)"]


@dataclasses.dataclass
class Found:
    boxes: torch.Tensor
    name: str


class Sample:
    """As DETR's NestedTensor: an object with tensors in it."""

    def __init__(self, tensors, mask):
        self.tensors, self.mask = tensors, mask


class Objects(nn.Module):
    def forward(self, sample: Sample) -> Found:
        return Found(sample.tensors * ~sample.mask, "found")


def test_dataclasses_and_objects_are_looked_into():
    model = nn.Sequential(Objects())
    tracer = Tracer(backend, dict(model.named_modules()))
    x = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    with tracer:
        found = model(Sample(x, torch.zeros(2, 3, dtype=torch.bool)))
    assert isinstance(found, Found) and found.name == "found"
    assert {"0/in[0][tensors]", "0/in[0][mask]", "0[boxes]"} <= set(tracer.arrived)
