"""Jittor's cross entropy counts in float32 whatever it is given: no cause, and no cover for one."""

from __future__ import annotations

import numpy as np
import pytest

from parity import Case, Side, Workers, examine

pytest.importorskip("torch")

HALVES = """
WEIGHTS = [1.0, 2.0, 0.5, 1.5]


def torch_half(ignored=255, weighted=False):
    import torch
    from torch.nn import functional as F

    def losses(x, labels):
        weight = torch.tensor(WEIGHTS, dtype=x.dtype) if weighted else None
        return {"loss": F.cross_entropy(x, labels, weight, ignore_index=ignored)}

    return losses


def jittor_half(ignored=255, weighted=False):
    import jittor as jt
    from jittor.nn import cross_entropy_loss

    def losses(x, labels):
        weight = jt.array(WEIGHTS) if weighted else None
        return {"loss": cross_entropy_loss(x, labels, weight, ignore_index=ignored)}

    return losses
"""


def given():
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 4, (2, 61, 83))
    labels[0, :20] = 255
    return draw.standard_normal((2, 4, 61, 83)), labels


@pytest.fixture(scope="module")
def compare(tmp_path_factory):
    path = tmp_path_factory.mktemp("wide") / "halves.py"
    path.write_text(HALVES)
    with Workers() as workers:

        def run(weighted=False, **changes):
            changes["weighted"] = weighted
            reference = Side(f"{path}:torch_half", "torch", arguments={"weighted": weighted})
            candidate = Side(f"{path}:jittor_half", "jittor", arguments=changes)
            return examine(Case("wide", reference, candidate, given, float32=False), workers)

        yield run


@pytest.mark.parametrize("weighted", [False, True])
def test_many_pixels_are_no_cause(compare, weighted):
    found = compare(weighted)
    assert not found.failures, "\n".join(map(str, found.failures))
    judged = [v for v in found.verdicts if v.check.startswith("float64") and v.measured]
    assert judged and max(v.measured for v in judged) < 1e-11


@pytest.mark.parametrize("changes", [{"ignored": 3}])
def test_what_is_wrong_there_is_told(compare, changes):
    assert compare(**changes).causes
