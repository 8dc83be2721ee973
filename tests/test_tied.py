"""Weights with several names, and tensors that one side alone has."""

from __future__ import annotations

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
