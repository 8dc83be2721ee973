"""Every function of the ops contract, forward and gradient, in float64 and float32."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np

from parity import gates
from parity.op_cases import NOT_BY_VALUE, OP_CASES
from parity.verdicts import judge, judge_gradient, judge_precision
from parity.workers import FRAMEWORKS


def test_every_op_has_a_case():
    """A function added to ops needs a case, or a place in NOT_BY_VALUE."""
    source = Path(__file__).resolve().parent.parent / "torch_impl" / "ops.py"
    functions = {
        node.name
        for node in ast.parse(source.read_text()).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }
    assert functions == {case.name for case in OP_CASES} | NOT_BY_VALUE


def test_ops_float64(pair, conclude):
    name, verdicts = "ops in float64", []
    for label, torch, jittor in run(pair, "float64"):
        for i, (a, b) in enumerate(zip(*pad(torch[0], jittor[0]), strict=True)):
            verdicts.append(judge(name, "forward", f"{label}[{i}]", b, a, gates.SEMANTIC_FORWARD))
        for i, (a, b) in enumerate(zip(*pad(torch[1], jittor[1]), strict=True)):
            verdicts.append(
                judge_gradient(name, "gradient", f"{label}[{i}]", b, a, gates.SEMANTIC_GRADIENT)
            )
    conclude(verdicts)


def test_ops_float32(pair, conclude):
    """Neither side's error against float64 may be much greater than the other's."""
    name, verdicts = "ops in float32", []
    exact = [torch for _, torch, _ in run(pair, "float64", sides=("torch",))]
    for reference, (label, torch, jittor) in zip(exact, run(pair, "float32"), strict=True):
        for kind, limits in enumerate(
            (
                (gates.PRECISION_FACTOR, gates.PRECISION_FLOOR),
                (gates.GRADIENT_FACTOR, gates.GRADIENT_FLOOR),
            )
        ):
            check = ("forward", "gradient")[kind]
            for i, (a, b, r) in enumerate(
                zip(*pad(torch[kind], jittor[kind], reference[kind]), strict=True)
            ):
                if a is None and b is None:
                    verdicts.append(judge_gradient(name, check, f"{label}[{i}]", b, a, limits[1]))
                else:
                    verdicts.append(judge_precision(name, check, f"{label}[{i}]", a, b, r, *limits))
    conclude(verdicts)


def run(pair, dtype: str, sides=FRAMEWORKS):
    """Yields (label, PyTorch's (outputs, gradients), Jittor's) for every case."""
    for number, case in enumerate(OP_CASES):
        found = pair.both("run_op", case.name, case.arguments, pair.device, dtype, sides=sides)
        answers = {
            side: tuple([comparable(x) for x in part or []] for part in found[side])
            for side in sides
        }
        yield f"{number:02d} {case.name}", answers["torch"], answers.get("jittor")


def pad(*lists: list) -> list[list]:
    """As long as the longest, with None: what one side lacks must show, not be passed over."""
    length = max(map(len, lists))
    return [[*values, *[None] * (length - len(values))] for values in lists]


def comparable(x: np.ndarray | None) -> np.ndarray | None:
    """Scalars have shape (1,) in Jittor and its indices are 32 bit wide: both are part of the contract."""
    if x is None:
        return None
    x = x.reshape(1) if x.ndim == 0 else x
    return x.astype(np.int64) if x.dtype.kind == "i" else x
