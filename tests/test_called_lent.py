"""Functions that one side has of its framework or of torchvision and the other has written anew; modules that are wrong
for what such functions make of it alone."""

from __future__ import annotations

import numpy as np
import pytest

from parity.engine.judge import kinds
from parity.engine.judge.verdicts import Status
from tests.called import changed, compared

pytestmark = pytest.mark.usefixtures("warm_workers")

PAIR = """
from ported import Head


def half():
    return Head()
"""
LENT = """
import torch.nn.functional as F
from torch import nn
from torchvision.ops import boxes as box_ops
from torchvision.models.detection._utils import BoxCoder


class Apart(nn.Module):
    def forward(self, given, wanted):
        return F.smooth_l1_loss(given, wanted, beta=1.0, reduction="sum") * 3


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.apart, self.coder = Apart(), BoxCoder((1.0, 1.0, 1.0, 1.0))

    def forward(self, boxes, others, deltas):
        kept = box_ops.remove_small_boxes(boxes, 0.5)
        inside = box_ops.clip_boxes_to_image(boxes, (3, 4))
        decoded = self.coder.decode_single(deltas, boxes)
        apart = self.apart(boxes, others)
        return kept, inside, box_ops.box_iou(boxes, others), decoded, apart
"""
ANEW = """
import torch
from torch import nn


def smooth_l1_loss(pred, target, beta=1.0, size_average=True):
    n = (pred - target).abs()
    loss = torch.where(n < beta, 0.5 * n * n / beta, n - 0.5 * beta)
    return loss.mean() if size_average else loss.sum()


def remove_small_boxes(boxes, min_size):
    keep = (boxes[:, 2] - boxes[:, 0] >= min_size) & (boxes[:, 3] - boxes[:, 1] >= min_size)
    return torch.nonzero(keep)[:, 0]


def clip_boxes_to_image(boxes, size):
    x, y = boxes[..., 0::2].clamp(0, size[1]), boxes[..., 1::2].clamp(0, size[0])
    return torch.stack([x, y], dim=-1).reshape(boxes.shape)


def area(boxes):
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def box_iou(boxes1, boxes2):
    low = torch.max(boxes1[:, None, :2], boxes2[:, :2])
    high = torch.min(boxes1[:, None, 2:], boxes2[:, 2:])
    w, h = (high - low).clamp(min=0).unbind(-1)
    return w * h / (area(boxes1)[:, None] + area(boxes2) - w * h)


class BoxCoder:
    def decode_single(self, rel_codes, boxes):
        sizes = boxes[:, 2:] - boxes[:, :2]
        centres = boxes[:, :2] + 0.5 * sizes + rel_codes[:, :2] * sizes
        half = rel_codes[:, 2:].clamp(max=4.135166556742356).exp() * sizes * 0.5
        return torch.cat([centres - half, centres + half], dim=1)


class Apart(nn.Module):
    def forward(self, given, wanted):
        return smooth_l1_loss(given, wanted, 1.0, size_average=False) * 3


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.apart, self.coder = Apart(), BoxCoder()

    def forward(self, boxes, others, deltas):
        kept = remove_small_boxes(boxes, 0.5)
        inside = clip_boxes_to_image(boxes, (3, 4))
        decoded = self.coder.decode_single(deltas, boxes)
        return kept, inside, box_iou(boxes, others), decoded, self.apart(boxes, others)
"""
WRONG = {
    "smooth_l1_loss()": ("n - 0.5 * beta", "n - beta"),
    "remove_small_boxes()": (">= min_size)\n", "< min_size)\n"),
    "clip_boxes_to_image()": ("clamp(0, size[1])", "clamp(0, size[0])"),
    "box_iou()": ("area(boxes2) - w * h", "area(boxes2)"),
    "BoxCoder.decode_single()": ("+ 0.5 * sizes", "+ 0.6 * sizes"),
}


@pytest.fixture(scope="module")
def compare(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lent")
    (folder / "pair.py").write_text(PAIR)
    draw = np.random.default_rng(0)
    low = draw.uniform(0, 3, (2, 9, 2))
    boxes = np.concatenate([low, low + draw.uniform(0.2, 2, (2, 9, 2))], axis=-1)
    inputs = (*boxes, draw.standard_normal((9, 4)) * 0.3)

    def run(*changes, gradients=False, sides=(LENT, ANEW)):
        return compared(folder, (sides[0], changed(sides[1], changes)), inputs, gradients)

    return run


def test_what_is_written_anew_agrees_with_the_library_s(compare):
    called, causes = compare(gradients=True)
    assert not causes and {v.status for v in called} == {Status.PASS}
    assert {v.owner for v in called} == set(WRONG)


def test_each_wrong_one_is_a_cause_of_its_own_and_no_module_is(compare):
    _, causes = compare(*WRONG.values())
    assert {c.where for c in causes} == set(WRONG)
    found = {c.where: c for c in causes}
    assert (
        "/torchvision/models/detection/_utils.py:"
        in found["BoxCoder.decode_single()"].reference_code
    )
    line = ANEW.split("\n").index("def box_iou(boxes1, boxes2):") + 1
    assert found["box_iou()"].candidate_code.endswith(f"/ported.py:{line}")
    assert found["smooth_l1_loss()"].kind != kinds.UNCALLED


def test_the_library_s_functions_may_be_the_port_s(compare):
    wrong = changed(LENT, {"(boxes, 0.5)": "(boxes, 0.9)"})
    _, causes = compare(sides=(ANEW, wrong))
    assert not any("()" in c.where and c.where != "Head.forward()" for c in causes) and causes


def test_a_module_is_told_beside_a_function_of_it_where_its_own_lines_are_wrong(compare):
    own = ("size_average=False) * 3", "size_average=False) * 4")
    _, causes = compare(own, WRONG["smooth_l1_loss()"])
    assert {c.where for c in causes} == {"apart", "smooth_l1_loss()"}
    _, causes = compare(own)
    assert {c.where for c in causes} == {"apart"}


def test_gradients_of_a_module_follow_from_those_of_its_functions(compare):
    lost = ("n = (pred - target).abs()", "n = (pred.detach() - target).abs()")
    _, causes = compare(lost, gradients=True)
    assert {c.where for c in causes} == {"smooth_l1_loss()"} and causes[0].kind == kinds.DETACHED


RESIZED = """
import torch.nn.functional as F
from torch import nn


def interpolate(x):  # which nothing calls
    return x


def resized(x):
    return F.interpolate(x[None, None], scale_factor=(1.6, 1.6), mode="bicubic")[0, 0]


class Head(nn.Module):
    def forward(self, boxes, others, deltas):
        return resized(boxes)
"""


def test_what_both_sides_take_from_a_library_is_no_cause_but_who_calls_it_otherwise(compare):
    by_size = changed(RESIZED, {"scale_factor=(1.6, 1.6)": "size=(14, 6)"})
    called, causes = compare(sides=(RESIZED, by_size))
    assert [c.where for c in causes] == ["resized()"]
    assert {v.owner for v in called} == {"resized()"}
