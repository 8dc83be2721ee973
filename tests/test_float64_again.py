"""A pair whose reference says float32 itself: its second examination is in float64, behind the float32 of the first."""

from __future__ import annotations

import pytest

from parity import Case, Status, Workers, examine
from parity.engine.judge import checks
from parity.engine.sides.workers import Worker

pytestmark = pytest.mark.usefixtures("warm_workers")

PAIR = """import numpy as np


def torch_side():
    import torch

    def parts(x, y):
        b = len(x)
        turn = torch.zeros((b, 2, 2))
        turn[:, 0, 0] = x[:, 0].sin()
        turn[:, 1, 1] = x[:, 1]
        scale = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float32)
        return {"turn": turn, "move": x[:, 2:] * 2, "table": scale.matmul(y)}

    return parts


def jittor_side():
    import jittor as jt

    def parts(x, y):
        b = x.shape[0]
        turn = jt.zeros((b, 2, 2))
        turn[:, 0, 0] = x[:, 0].sin()
        turn[:, 1, 1] = x[:, 1]
        scale = jt.array([[1.0, 2.0], [3.0, 4.0]])
        return {"turn": turn, "move": x[:, 2:] * 2, "table": jt.matmul(scale, y)}

    return parts


def inputs():
    draw = np.random.default_rng(0)
    return draw.uniform(-1, 1, (2, 4)), draw.uniform(0, 1, (3, 2, 5))
"""

CASTS = """import numpy as np


def torch_side():
    import torch

    def coded(x, table):
        return {"float": WIDE @ table, "to": x.to(torch.float32) @ table}

    return coded


def jittor_side():
    import jittor as jt

    def coded(x, table):
        return {"float": x.float32() @ table, "to": x.astype(jt.float32) @ table}

    return coded


def inputs():
    draw = np.random.default_rng(0).standard_normal
    return draw((5, 3, 2)), draw((2, 16))
"""


def test_gradients_of_float64_runs_behind_float32_are_right(tmp_path):
    path = tmp_path / "pair.py"
    path.write_text(PAIR)
    case = Case.from_file(path)
    with Workers(case.reference, case.candidate) as workers:
        found = examine(case, workers)
    assert "torch says float32 itself" in str([v.message for v in found.verdicts])
    assert not found.failures, [(v.node, v.message) for v in found.failures]
    assert any(v.status is Status.PASS and "gradients" in v.check for v in found.verdicts)


@pytest.mark.parametrize(("says", "changed"), [("x.float()", ""), ("x", "x.to(torch.float32)")])
def test_a_port_that_says_float32_before_a_product_is_examined(tmp_path, says, changed):
    """Both say it and mean float64; or the port alone does: oneDNN's products would take no other, and raise."""
    path = tmp_path / "pair.py"
    path.write_text(CASTS.replace("WIDE", says).replace(changed or "WIDE", "x"))
    case = Case.from_file(path)
    with Workers(case.reference, case.candidate) as workers:
        found = examine(case, workers)
    assert not found.failures, [(v.node, v.message) for v in found.failures]
    forward = [v for v in found.verdicts if v.check == checks.LOCAL_FORWARD_64]
    expected = Status.PASS if not changed else Status.KNOWN
    assert {v.status for v in forward if "[" in v.node and "/in" not in v.node} == {expected}


def product_of_both_widths(server, dtype: str) -> str:
    """In a worker: the dtype of a product of float32 and float64 in a run of `dtype`, behind one of float64."""
    import jittor as jt

    for width in ("float64", dtype):
        server.configure("cpu", width)
    narrow = jt.ones((2, 3))
    try:
        return str(jt.matmul(narrow.float32(), narrow.float64().transpose(1, 0)).numpy().dtype)
    except RuntimeError:
        return "raises"


def test_in_float32_runs_products_of_both_widths_raise_as_they_do_for_users():
    worker = Worker("jittor")
    try:
        told = [
            worker.run("tests.test_float64_again:product_of_both_widths", f"float{n}")
            for n in (64, 32)
        ]
    finally:
        worker.close()
    assert told == ["float64", "raises"]
