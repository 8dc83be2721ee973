"""Weights with several names, tensors that one side alone has, and buffers that are tables."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from parity import Case, Side, examine
from parity.engine.judge import checks

TIED = """
import FRAMEWORK
from FRAMEWORK import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(5, 4)
        self.head = nn.Linear(4, 5, bias=False)
        self.head.weight = self.table.weight
        self.chosen = FRAMEWORK.FLOATS([0, 2, 3])  # a parameter to Jittor

    def forward(self, x):
        found = self.table(x)
        return self.head(found[:, self.chosen.long()].repeat(1, 2)[:, :4])

    execute = forward


def half():
    return Net()
"""


def test_tied_weights_are_one_and_a_table_of_one_side_is_as_it_was_made(tmp_path, warm_workers):
    paths = []
    for backend, name, floats in (
        ("torch", "torch", "FloatTensor"),
        ("jittor", "jittor", "float32"),
    ):
        paths.append(tmp_path / f"{backend}_half.py")
        paths[-1].write_text(TIED.replace("FRAMEWORK", name).replace("FLOATS", floats))
    sides = [Side(f"{p}:half", b) for p, b in zip(paths, ("torch", "jittor"), strict=True)]
    found = examine(Case("tied", *sides, lambda: (np.arange(5),)))
    (cause,) = found.causes
    assert "only jittor has chosen" in cause.summary and "head" not in cause.summary
    assert not [v for v in found.failures if v.check == checks.LOCAL_FORWARD_64]


MASKED = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, wrong):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.register_buffer("mask", torch.tril(torch.ones(4, 4)))
        self.register_buffer("scale", torch.ones(4))
        self.wrong = wrong

    def forward(self, x):
        if set(self.mask.unique().tolist()) != {0.0, 1.0}:
            raise ValueError("a mask of zeros and ones")
        return self.linear(x) @ self.mask * (self.scale + self.wrong)


def half(wrong=0.0):
    return Net(wrong)
"""


def test_a_mask_stays_what_the_reference_made_of_it(tmp_path, warm_workers):
    path = tmp_path / "masked_halves.py"
    path.write_text(MASKED)
    inputs = (np.random.default_rng(0).standard_normal((3, 4)),)
    first, second = Side(f"{path}:half", "torch"), Side(f"{path}:half", "torch")
    assert not examine(Case("masked", first, second, lambda: inputs)).failures

    wrong = Side(f"{path}:half", "torch", arguments={"wrong": 0.5})
    found = examine(Case("masked", first, wrong, lambda: inputs), scripts=tmp_path / "scripts")
    (cause,) = found.causes
    assert cause.kind not in ("crash", "") and cause.script
    script = tmp_path / "scripts" / cause.script
    shown = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300)
    assert "output 0: relative L2" in shown.stdout, shown.stdout + shown.stderr
