"""PyTorch's half on a GPU that is pretended: nothing stays on the CPU by mistake, and every bit is the CPU's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neutral import parameters
from neutral.config import preset, with_overrides
from neutral.data import open_dataset
from neutral.weights import initial_weights
from scripts.gpu.pretend_torch import OnDevice, pretended
from scripts.peers.measure import make_batch
from torch_impl.session import Session


def test_what_cuda_refuses_is_refused():
    with pretended():
        torch.set_default_device("cuda")
        x = torch.tensor([[1.0, 2.0]], requires_grad=True)
        assert isinstance(x, OnDevice) and x.is_cuda
        with pytest.raises(RuntimeError, match="same device"):
            x + torch.ones(1, 2, device="cpu")
        with pytest.raises((TypeError, RuntimeError)):
            x.detach().numpy()
        (gradient,) = torch.autograd.grad((x * x).sum(), [x])
        assert isinstance(gradient, OnDevice) and gradient.tolist() == [[2.0, 4.0]]
        assert (x + 1).detach().cpu().numpy().tolist() == [[2.0, 3.0]]
    assert torch.get_default_device().type == "cpu" and not isinstance(torch.ones(1), OnDevice)
    assert not torch.cuda.is_available() or torch.cuda.device_count()


def outcome(name: str, device: str) -> tuple:
    """A training step, detections, losses and the state after it."""
    sets = ["optimiser.batch_size=1"]
    sets += ["model.rpn.proposals.post_nms_train=24"] if "frcnn" in name else []
    config = with_overrides(preset(name), sets)
    session = Session(config, device)
    session.load(initial_weights(session.shapes(), config))
    batch = make_batch(open_dataset(config, "train"), config, (64, 96))
    rates = parameters.rates(session.trained_names(), config, 0)
    losses = session.train_step(batch, 0, rates)
    return losses, session.detect(batch), session.evaluate(batch)[0], session.state()


@pytest.mark.parametrize("name", ["scenes_detr", "scenes_frcnn"])
def test_detectors_are_the_same_to_the_bit(name):
    losses, detections, evaluated, state = outcome(name, "cpu")
    with pretended():
        found = outcome(name, "cuda")
    torch.set_default_device(None)
    assert found[0] == losses and found[2] == evaluated
    for mine, theirs in zip(detections, found[1], strict=True):
        assert all(np.array_equal(mine[key], theirs[key]) for key in mine)
    assert state.keys() == found[3].keys()
    assert all(np.array_equal(state[key], found[3][key]) for key in state)
