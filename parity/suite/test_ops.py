"""Every function of the ops contract, forward and gradient, in float64 and float32."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from parity.engine.judge import gates
from parity.engine.judge.gradients import judge_gradient
from parity.engine.judge.less_precise import judge_precision
from parity.engine.sides.workers import FRAMEWORKS
from parity.errors import WorkerError
from parity.suite.ask import ask
from parity.suite.op_cases import NOT_BY_VALUE, OP_CASES, Plain, collect_ops, compare_ops_64, pad


def test_every_op_has_a_case():
    """A function added to ops needs a case, or a place in NOT_BY_VALUE."""
    folder = Path(__file__).resolve().parent.parent.parent / "torch_impl" / "ops"
    functions = {
        node.name
        for source in folder.glob("*.py")
        for node in ast.parse(source.read_text()).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }
    assert functions == {case.name for case in OP_CASES} | NOT_BY_VALUE


@pytest.mark.parametrize("index", [-1, 3])
@pytest.mark.parametrize("op", ["gather_pairs", "take_last"])
def test_indices_outside_are_refused(pair, op, index):
    """On both sides, before Jittor would read what lies in front of or behind the array."""
    wrong, right = (Plain(np.array([i, 0], dtype=np.int64)) for i in (index, 0))
    values = np.ones((3, 3)) if op == "gather_pairs" else np.ones((2, 3))
    for given in ((wrong, right), (right, wrong)) if op == "gather_pairs" else ((wrong,),):
        for side in FRAMEWORKS:
            with pytest.raises(WorkerError, match="IndexError"):
                ask(pair[side], "run_op", op, (values, *given), pair.device, "float64")


def test_ops_float64(pair, conclude):
    found = pair.each(lambda worker: collect_ops(worker, "float64", pair.device))
    conclude(compare_ops_64(found["torch"], found["jittor"]))


def test_ops_float32(pair, conclude):
    """Neither side's error against float64 may be much greater than the other's."""
    name, verdicts = "ops in float32", []
    exact = collect_ops(pair["torch"], "float64", pair.device)
    found = pair.each(lambda worker: collect_ops(worker, "float32", pair.device))
    limits = (
        (gates.PRECISION_FACTOR, gates.PRECISION_LEAST),
        (gates.GRADIENT_FACTOR, gates.GRADIENT_LEAST),
    )
    for label, reference in exact.items():
        torch, jittor = (found[side][label] for side in FRAMEWORKS)
        for kind, check in enumerate(("forward", "gradient")):
            for i, (a, b, r) in enumerate(
                zip(*pad(torch[kind], jittor[kind], reference[kind]), strict=True)
            ):
                node = f"{label}[{i}]"
                if a is None and b is None:
                    verdicts.append(judge_gradient(name, check, node, b, a, limits[kind][1]))
                else:
                    verdicts.append(judge_precision(name, check, node, a, b, r, *limits[kind]))
    conclude(verdicts)
