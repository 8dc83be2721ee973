"""PyTorch's half against independent implementations: torchvision's boxes, torch.nn's layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision

from neutral import geometry
from neutral.choices import Choices
from neutral.config import CriterionConfig, MatcherConfig, TransformerConfig
from neutral.data.coco import Target
from neutral.errors import NonFinite
from parity.backends import torch as backend
from parity.engine.sides import choices as watched
from torch_impl import ops
from torch_impl.detr.box_ops import cxcywh_to_xyxy, giou
from torch_impl.detr.criterion import criterion
from torch_impl.detr.matcher import match
from torch_impl.detr.transformer import MultiheadAttention, Transformer
from torch_impl.runtime import configure


@pytest.fixture(autouse=True)
def double():
    configure("cpu", "float64")
    torch.manual_seed(0)
    yield
    configure("cpu", "float32")


def boxes(count: int) -> torch.Tensor:
    low = torch.rand(count, 2)
    return torch.cat([low, low + torch.rand(count, 2) + 0.01], 1)


def test_geometry_agrees_with_torchvision():
    a, b = boxes(6), boxes(4)
    expected = torchvision.ops.generalized_box_iou(a, b).numpy()
    assert np.allclose(giou(a[:, None], b[None]).numpy(), expected, atol=1e-14)
    iou = torchvision.ops.box_iou(a, b).numpy()
    assert np.allclose(geometry.pairwise_iou(a.numpy(), b.numpy())[0], iou, atol=1e-14)
    centred = torchvision.ops.box_convert(a, "xyxy", "cxcywh")
    assert np.allclose(cxcywh_to_xyxy(centred), a, atol=1e-15)
    assert np.allclose(geometry.xyxy_to_cxcywh(a.numpy()), centred, atol=1e-15)
    assert np.allclose(geometry.cxcywh_to_xyxy(centred.numpy()), a, atol=1e-15)
    assert np.allclose(geometry.xywh_to_xyxy(geometry.xyxy_to_xywh(a.numpy())), a, atol=1e-15)


def test_giou_by_hand():
    """[0,0,2,2] and [1,1,3,3]: overlap 1, union 7, hull 9: 1/7 - 2/9."""
    a, b = torch.tensor([[0.0, 0, 2, 2]]).double(), torch.tensor([[1.0, 1, 3, 3]]).double()
    assert np.isclose(giou(a, b).item(), 1 / 7 - 2 / 9)


def test_attention_is_torch_nns():
    config = TransformerConfig(hidden_dim=16, heads=4, dropout=0.0)
    ours, theirs = MultiheadAttention(config), torch.nn.MultiheadAttention(16, 4)
    theirs.in_proj_bias.data.normal_()
    ours.load_state_dict(theirs.state_dict())
    query, key, value = torch.randn(5, 2, 16), torch.randn(7, 2, 16), torch.randn(7, 2, 16)
    mask = torch.zeros(2, 7, dtype=torch.bool)
    mask[1, 4:] = True
    expected, _ = theirs(query, key, value, key_padding_mask=mask)
    found = ours(query, key, value, ops.attention_bias(mask, query))
    assert torch.allclose(found, expected, atol=1e-14)


def target(goal, labels) -> Target:
    goal = np.array(goal, dtype=np.float32).reshape(-1, 4)
    size = (10, 10)
    return Target(
        goal, np.array(labels, dtype=np.int64), np.ones(len(goal), np.float32), 5, size, size
    )


def test_matching_by_hand():
    """Query 1 sits on the target and query 0 far away; equal classes: query 1 must win."""
    logits = torch.zeros(1, 2, 3)
    predicted = torch.tensor([[[0.2, 0.2, 0.1, 0.1], [0.7, 0.7, 0.2, 0.2]]])
    goals = (target([[0.7, 0.7, 0.2, 0.2]], [1]),)
    pairs = match(logits, predicted, goals, MatcherConfig(), Choices(), "matches")
    assert [p.tolist() for p in pairs[0]] == [[1], [0]]


def test_one_value_that_is_not_finite_is_refused():
    """Everything else is finite, so that an assignment would be found."""
    logits = torch.zeros(1, 2, 3)
    predicted = torch.tensor([[[0.2, 0.2, 0.1, 0.1], [np.nan, 0.7, 0.2, 0.2]]])
    goals = (target([[0.7, 0.7, 0.2, 0.2]], [1]),)
    with pytest.raises(NonFinite, match="image 5"):
        match(logits, predicted, goals, MatcherConfig(), Choices(), "matches")


def test_a_replayed_match_is_used_and_its_regret_told():
    """Handed the other query, the matcher takes it: the cost it forgoes is the regret, 0 for itself."""
    logits = torch.zeros(1, 2, 3)
    predicted = torch.tensor([[[0.2, 0.2, 0.1, 0.1], [0.7, 0.7, 0.2, 0.2]]])
    goals = (target([[0.7, 0.7, 0.2, 0.2]], [1]),)
    for given, regret in ((0, True), (1, False)):
        choices = watched.Choices(backend, {"matches/image0": np.array([given])})
        pairs = match(logits, predicted, goals, MatcherConfig(), choices, "matches")
        assert [p.tolist() for p in pairs[0]] == [[given], [0]]
        entry = choices.ledger["matches/image0"]
        assert entry["different"] == regret
        assert (entry["regret"] or 0) > 0.1 or not regret


def test_losses_by_hand():
    """Uniform logits over 2 classes and no-object: every CE term is log 3; the matched box is exact."""
    logits, predicted = (
        torch.zeros(1, 2, 3),
        torch.tensor([[[0.2, 0.2, 0.1, 0.1], [0.5, 0.5, 0.25, 0.25]]]),
    )
    goals = (target([[0.5, 0.5, 0.25, 0.25]], [1]),)
    total, losses, errors, _ = criterion(
        [(logits, predicted)], goals, MatcherConfig(), CriterionConfig(), Choices(), 1.0
    )
    assert np.isclose(losses["loss_ce"].item(), np.log(3))
    assert losses["loss_bbox"].item() == 0
    assert abs(losses["loss_giou"].item()) < 1e-12
    assert np.isclose(total.item(), np.log(3))
    assert set(errors) == {"class_error", "cardinality_error"}


def test_images_without_objects():
    logits, predicted = (
        torch.randn(2, 4, 3, requires_grad=True),
        torch.rand(2, 4, 4, requires_grad=True),
    )
    empty = (target([], []), target([], []))
    total, losses, errors, matches = criterion(
        [(logits, predicted)], empty, MatcherConfig(), CriterionConfig(), Choices(), 1.0
    )
    assert losses["loss_bbox"].item() == losses["loss_giou"].item() == 0
    assert errors["class_error"] == 100
    assert all(len(q) == 0 for q, _ in matches[0])
    assert torch.isfinite(torch.autograd.grad(total, logits)[0]).all()


def test_padding_does_not_reach_the_outputs():
    """Whatever features lie under the mask, the decoder's output is the same."""
    transformer = Transformer(TransformerConfig(hidden_dim=16, heads=4, feedforward_dim=16))
    for parameter in transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    features, position, queries = (
        torch.randn(1, 16, 3, 5),
        torch.randn(1, 16, 3, 5),
        torch.randn(4, 16),
    )
    mask = torch.zeros(1, 3, 5, dtype=torch.bool)
    mask[:, :, 3:] = True
    changed = features.clone()
    changed[:, :, :, 3:] = 100 * torch.randn(1, 16, 3, 2)
    first = transformer(features, mask, queries, position)
    assert torch.equal(first, transformer(changed, mask, queries, position))
    assert not torch.allclose(first, transformer(features, mask * False, queries, position))
