"""Jittor's cross entropy and resizing count in float32 whatever they are given: no cause, and no cover for one."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from parity import Case, Side, Workers, examine
from parity.engine.ask.again import PLACES, is_of_places
from parity.engine.judge import checks
from parity.engine.judge.norms import ENTROPY, NORM, SUMS, reason
from parity.engine.judge.outcomes import STOOD_IN
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.tell.known import strictly

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

        def run(weighted=False, float32=False, **changes):
            changes["weighted"] = weighted
            reference = Side(f"{path}:torch_half", "torch", arguments={"weighted": weighted})
            candidate = Side(f"{path}:jittor_half", "jittor", arguments=changes)
            return examine(Case("wide", reference, candidate, given, float32=float32), workers)

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


@pytest.mark.parametrize("weighted", [False, True])
def test_in_float32_its_rounding_is_known_and_no_cause(compare, weighted):
    found = compare(weighted, float32=True)
    assert not found.causes, "\n".join(map(str, found.failures))
    narrow = [v for v in found.verdicts if v.check.startswith("float32") and ENTROPY in v.message]
    assert {v.check for v in narrow} & {checks.LOCAL_FORWARD_32, checks.FORWARD_32}
    assert all(v.status is Status.KNOWN and v.guilty == "jittor" for v in narrow)


def test_what_is_wrong_is_told_in_float32_too(compare):
    assert compare(float32=True, ignored=3).causes


def test_what_stood_in_for_it_in_float64_is_told_and_counts_where_known_does(compare):
    found = compare().verdicts
    (told,) = (v for v in found if STOOD_IN in v.message)
    assert told.status is Status.KNOWN and told.node == "cross_entropy_loss (jittor)"
    assert told.but(status=Status.FAIL) in strictly(found)


def test_the_reason_names_what_was_called():
    assert reason(["cross_entropy_loss"]) == ENTROPY and reason(["batch_norm"]) == NORM
    assert reason(["batch_norm", "cross_entropy_loss"]) == f"{NORM} and {ENTROPY}"
    assert reason(["sum"]) == SUMS and not reason(["resize"])


RESIZING = """
def torch_half(corners=False):
    from torch import nn

    class Up(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x):
            y = nn.functional.interpolate(
                self.conv(x), size=(61, 83), mode="bilinear", align_corners=corners
            )
            return y * y

    return Up()


def jittor_half(corners=False):
    from jittor import nn

    class Up(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def execute(self, x):
            y = nn.interpolate(self.conv(x), size=(61, 83), mode="bilinear", align_corners=corners)
            return y * y

    return Up()
"""


@pytest.mark.parametrize("wrong", [False, True])
def test_places_of_resized_pixels_are_known_and_corners_that_are_aligned_are_not(tmp_path, wrong):
    path = tmp_path / "halves.py"
    path.write_text(RESIZING)
    reference = Side(f"{path}:torch_half", "torch")
    candidate = Side(f"{path}:jittor_half", "jittor", arguments={"corners": wrong})
    images = np.random.default_rng(0).standard_normal((2, 3, 25, 31))
    found = examine(Case("resized", reference, candidate, lambda: (images,)))
    assert bool(found.causes) == wrong, "\n".join(map(str, found.failures))
    known = [v for v in found.verdicts if PLACES in v.message]
    assert bool(known) != wrong and all(v.status is Status.KNOWN for v in known)
    assert all(v.measured > 1e-7 for v in known), "a rounded constant is less"


def test_only_errors_of_that_size_are_looked_at_again():
    local = Verdict("pair", checks.LOCAL_FORWARD_64, "up", Status.FAIL, 2e-6, 1e-12)
    assert is_of_places(local)
    for other in ({"measured": 1e-3}, {"measured": 1e-8}, {"status": Status.KNOWN}):
        assert not is_of_places(local.but(**other))
    assert not is_of_places(local.but(check=checks.FORWARD_64))


MEANS = """
def torch_half(factor=1.0):
    def losses(x):
        return {"loss": (x * x).mean() * factor}

    return losses


jittor_half = torch_half
"""


@pytest.mark.parametrize("factor", [1.0, 1.0 + 1e-5])
def test_a_mean_of_many_is_known_in_float32_and_no_cover_for_another_factor(tmp_path, factor):
    path = tmp_path / "halves.py"
    path.write_text(MEANS)
    reference = Side(f"{path}:torch_half", "torch")
    candidate = Side(f"{path}:jittor_half", "jittor", arguments={"factor": factor})
    images = np.random.default_rng(0).uniform(0.5, 1, (4, 3, 200, 240))
    found = examine(Case("means", reference, candidate, lambda: (images,)))
    assert bool(found.causes) == (factor > 1), "\n".join(map(str, found.failures))
    known = [v for v in found.verdicts if SUMS in v.message]
    assert known if factor == 1 else not any(v.check.startswith("float64") for v in known)


def mixing(server, *asked) -> list:
    """In Jittor's worker."""
    from parity.backends import jittor_wide

    return [jittor_wide.mixing(*one) for one in asked]


def test_what_stands_in_for_resizing_computes_what_pytorch_does():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).standard_normal((2, 3, 13, 17))
    with Workers() as workers:
        for mode, corners in product(("bilinear", "bicubic"), (False, True)):
            for size in ((29, 33), (7, 5), (26, 34)):
                asked = [(n, to, mode, corners, False) for n, to in zip(x.shape[2:], size)]
                rows, columns = workers["jittor"].run(f"{__file__}:mixing", *asked)
                how = {"size": size, "mode": mode, "align_corners": corners}
                wanted = torch.nn.functional.interpolate(torch.from_numpy(x), **how).numpy()
                assert np.allclose(rows @ x @ columns.T, wanted, atol=1e-12), (mode, corners, size)
