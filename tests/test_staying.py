"""Ports that ask for a GPU run on the CPU all the same, where the harness runs them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from parity import Case, Side, Workers, examine
from parity.backends import torch_staying

pytestmark = pytest.mark.usefixtures("warm_workers")

REFERENCE = """
import torch
from torch import nn


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4).to("cuda:0")
        self.table = torch.arange(4, device=torch.device("cuda")).cuda()

    @torch.compile
    def forward(self, x):
        x = self.layer(x.cuda()) + torch.zeros_like(self.table, device="cuda")
        return scaled(x, self.table.to(device="cuda", dtype=x.dtype))


@torch.jit.script
def scaled(x, table):
    return x * table + torch.ones(1, device=x.device)


def half():
    return Head().cuda()
"""
PORT = """
import jittor as jt
from jittor import nn

jt.flags.use_cuda = 1


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4)
        self._table = jt.arange(4)

    def execute(self, x):
        with jt.flag_scope(use_cuda=1):
            return self.layer(x) * self._table.cast(x.dtype) + 1


def half():
    assert jt.flags.use_cuda == 0
    return Head()
"""


def test_both_halves_may_ask_for_a_gpu(tmp_path):
    for name, text in (("reference.py", REFERENCE), ("port.py", PORT)):
        (tmp_path / name).write_text(text)
    sides = (
        Side(f"{tmp_path}/reference.py:half", "torch"),
        Side(f"{tmp_path}/port.py:half", "jittor"),
    )
    inputs = (np.random.default_rng(0).standard_normal((2, 3)),)
    with Workers(*sides) as workers:
        found = examine(Case("gpu", *sides, lambda: inputs), workers)
    found.raise_for_failures()
    assert any(v.node == "layer" for v in found.verdicts), "what is compiled is watched"


def test_functions_are_put_back():
    before = torch.zeros, torch.Tensor.to, torch.nn.Module.cuda, torch.compile, torch.jit.script
    torch_staying.stay(True)
    torch_staying.stay(True)
    try:
        assert torch.zeros(2, device="cuda").device.type == "cpu"
    finally:
        torch_staying.stay(False)
    assert before == (
        *(torch.zeros, torch.Tensor.to, torch.nn.Module.cuda, torch.compile, torch.jit.script),
    )
