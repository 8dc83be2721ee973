"""Float32 errors that are noise, since the reference errs as much beside the given values, and those that are not."""

from __future__ import annotations

import numpy as np
import pytest

from parity import Case, Side, Workers, examine
from parity.engine.judge import checks
from parity.engine.judge.gradients import precision_gradient_scale, semantic_gradient_scale
from parity.engine.judge.noise import NOISE, with_noise
from parity.engine.judge.verdicts import Status, Verdict

HALVES = """
import torch


def lucky(x):  # whose float32 is exact at the given values alone
    error = 1e-5 if x.dtype is torch.float32 and x[0, 0] != 1.5 else 0.0
    return (x * x).sum() * (1 + error)


def lucky_in_float32(x):  # which it makes in a float64 run, too
    found = torch.zeros(1)
    found[0] = lucky(x)
    return found[0]


def of_float32_alone(x):
    assert x.dtype is torch.float32, "expected float"
    return (x * x).sum()


def errs(x, by):
    return (x * x).sum() * (1 + (by if x.dtype is torch.float32 else 0.0))


def variance(x):
    x = x + 10
    return ((x - x.mean()) ** 2).mean()


def variance_that_cancels(x):
    x = x + 10
    return (x * x).mean() - x.mean() ** 2


def half(name, by=None):
    function = globals()[name]
    return function if by is None else lambda x: function(x, by)
"""


@pytest.fixture(scope="module")
def workers():
    with Workers(Side("", "torch"), Side("", "torch")) as both:
        yield both


def case(folder, first: str, second: str, **more) -> Case:
    path = folder / "halves.py"
    path.write_text(HALVES)
    given = {"name": first}, {"name": second} | more
    sides = [Side(f"{path}:half", "torch", arguments=arguments) for arguments in given]
    x = np.random.default_rng(0).uniform(0, 1, (13, 13))
    x[0, 0] = 1.5
    return Case("noise", *sides, lambda: (x,))


@pytest.mark.parametrize("first", ["lucky", "lucky_in_float32"])
def test_what_the_reference_errs_by_beside_is_known(tmp_path, workers, warm_workers, first):
    found = examine(case(tmp_path, first, "errs", by=2e-5), workers)
    assert not found.causes
    known = [v for v in found.verdicts if v.status is Status.KNOWN and NOISE in v.message]
    assert {v.node for v in known} == {"(model)", "(model)/in[0]"}
    assert known[0].measured == pytest.approx(2e-5, 0.1)


def test_more_than_that_is_a_cause(tmp_path, workers, warm_workers):
    (cause,) = examine(case(tmp_path, "lucky", "errs", by=8e-5), workers).causes
    assert cause.check == checks.LOCAL_FORWARD_32 and "less precise" in cause.summary


def test_a_formula_that_cancels_is_a_cause(tmp_path, workers, warm_workers):
    (cause,) = examine(case(tmp_path, "variance", "variance_that_cancels"), workers).causes
    assert cause.check == checks.LOCAL_FORWARD_32 and "less precise" in cause.summary


def test_by_node_measure_and_side():
    exact = {"nodes": {"a": np.array([1.0, 2.0])}, "node_gradients": {"a": np.array([1.0, 0.0])}}
    narrow = {"nodes": {"a": np.array([1.0, 2.0 + 2e-6])}, "node_gradients": {"a": None}}
    said = "jittor is the less precise side: greatest error against float64"
    fail = Verdict("pair", checks.LOCAL_FORWARD_32, "a", Status.FAIL, 7e-6, 1e-6, said)
    fail = fail.but(guilty="jittor")

    def judged(verdict: Verdict, narrow=narrow) -> Status:
        return with_noise(verdict, [(exact, exact), (exact, narrow)], "jittor").status

    assert judged(fail) is Status.KNOWN, "8 times 1e-6, the greatest of the greatest"
    assert judged(fail.but(measured=9e-6)) is Status.FAIL
    relative = fail.but(message=said.replace("greatest", "relative L2"))
    assert judged(relative) is Status.FAIL and judged(relative.but(measured=3e-6)) is Status.KNOWN
    assert judged(fail.but(guilty="torch")) is judged(fail.but(node="b")) is Status.FAIL
    assert judged(fail.but(check=checks.FORWARD_32)) is Status.FAIL, "a whole run"
    assert judged(fail.but(check=checks.LOCAL_GRADIENTS_32)) is Status.FAIL, "absent there"
    for odd in (np.inf, np.nan):
        broken = {"nodes": {"a": np.array([1.0, odd])}}
        assert judged(fail, broken) is Status.FAIL, "a reference that overflows is no standard"


def test_a_gradient_that_is_no_number_says_nothing_of_others():
    fine, odd = np.array([3.0, 4.0]), np.array([np.nan, 1.0])
    for scale in (precision_gradient_scale, semantic_gradient_scale):
        assert scale({"a": fine, "b": odd, "c": None}) == scale({"a": fine}) > 0


def test_where_the_reference_raises_in_float64_alone_only_that_is_told(
    tmp_path, workers, warm_workers
):
    found = examine(case(tmp_path, "of_float32_alone", "errs", by=2e-5), workers)
    (cause,) = found.causes
    assert "expected float" in cause.summary and cause.side == "reference"
    left = [v for v in found.verdicts if v.status is Status.NOT_RUN and v.node == "(model)"]
    assert any("nothing to measure by" in v.message for v in left)
