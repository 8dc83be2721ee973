"""Two functions that should compute the same: outputs, and gradients of their float arguments.

Nothing inside of them is looked at; it is of a function that is half of a pair (plain.py).

Before: examine.py. It is the library's check_function.
"""

from __future__ import annotations

import numpy as np

from parity.case import FunctionCase, Side
from parity.engine.ask.examine import workers_of
from parity.engine.ask.result import Result
from parity.engine.judge import gates
from parity.engine.judge.gradients import absent_if_zero, judge_gradient
from parity.engine.judge.judging import SIDES, judge, judge_nodes
from parity.engine.judge.less_precise import judge_precision
from parity.engine.judge.verdicts import Status, Verdict
from parity.engine.sides.imports import own_framework
from parity.engine.sides.weighting import fixed_weighting, is_float
from parity.engine.sides.workers import Workers
from parity.engine.values import tree
from parity.errors import WorkerDied, WorkerError
from parity.loading import resolve


def call_function(server, side: Side, arguments, device: str, dtype: str, gradients: bool) -> dict:
    """In a worker: {"outputs": by path, "gradients": by path of the arguments}; or {"raises": what} ."""
    server.configure(device, dtype)
    backend, sources = server.backend, {}

    def tensor(path: str, values: np.ndarray):
        made = backend.array(values.astype(dtype) if values.dtype.kind == "f" else values)
        if values.dtype.kind == "f" and gradients:
            sources[path] = made
            backend.set_trainable({path: made}, {path})
        return made

    given = tree.replaced(arguments, lambda x: isinstance(x, np.ndarray), tensor)
    with own_framework(side.backend):
        function = resolve(side.build)
    try:
        if isinstance(given, dict):
            found = function(**given)
        else:
            found = function(*given) if isinstance(given, (tuple, list)) else function(given)
    except Exception as error:
        return {"raises": f"{type(error).__name__}: {error}"}
    tensors = dict(tree.leaves(found, backend.is_tensor))
    outputs = {path or "(all)": backend.to_numpy(x) for path, x in tensors.items()}
    plain = tree.leaves(found, lambda x: isinstance(x, (bool, int, float, np.ndarray)))
    outputs |= {path or "(all)": np.asarray(x) for path, x in plain}
    result = {"outputs": {k: widened(v) for k, v in outputs.items()}, "gradients": {}}
    floats = [x for x in tensors.values() if is_float(x) and backend.is_differentiable(x)]
    if sources and floats:
        total = None
        for x in floats:
            part = (x * backend.array(fixed_weighting(tuple(x.shape)), like=x)).sum()
            total = part if total is None else total + part
        slopes = backend.vjp([total], [None], list(sources.values()))
        result["gradients"] = {
            path: None if g is None else backend.to_numpy(g)
            for path, g in zip(sources, slopes, strict=True)
        }
    return result


def widened(values: np.ndarray) -> np.ndarray:
    """Integers as int64, and a scalar with one axis, which Jittor has instead of none."""
    values = values.astype(np.int64) if values.dtype.kind == "i" else values
    return values.reshape(1) if values.ndim == 0 else values


def check_function(
    case: FunctionCase, workers: Workers | None = None, *, device: str = "cpu"
) -> Result:
    """float64 outputs and gradients by the semantic gate, float32 ones by the precision gate. Two that both raise
    agree in that, and prove nothing."""
    arguments = case.arguments() if callable(case.arguments) else case.arguments
    target = "parity.engine.ask.functions:call_function"
    with workers_of(case, workers, device) as used:
        sides, found = used.labels, {}
        halves = dict(zip(sides, (case.reference, case.candidate)))
        try:
            for dtype in ("float64", "float32"):
                for label, half in halves.items():
                    options = (half, arguments, device, dtype, case.gradients)
                    used[label].submit("run", target, *options)
                found[dtype] = list(used.collect(sides).values())
        except (WorkerDied, WorkerError) as error:
            return Result([Verdict(case.name, "worker", "run", Status.FAIL, message=str(error))])
    return Result(compare_answers(case.name, found["float64"], found["float32"], sides))


def compare_raised(case: str, answers: list[dict], sides: tuple[str, str]) -> Verdict:
    """What is said where at least one side raised."""
    raised = [answer.get("raises") for answer in answers]
    status = Status.INCONCLUSIVE if all(raised) else Status.FAIL
    message = "; ".join(f"{s}: {text or 'no error'}" for s, text in zip(sides, raised))
    return Verdict(case, "call", "(raises)", status, message=message)


def compare_answers(
    case: str, wide: list[dict], narrow: list[dict], sides: tuple[str, str] = SIDES
) -> list[Verdict]:
    """What `call_function` gave on both sides, in float64 and in float32."""
    if any("raises" in answer for answer in wide):
        return [compare_raised(case, wide, sides)]
    if not wide[0]["outputs"] and not wide[1]["outputs"]:
        message = "nothing to compare: no arrays, no numbers"
        return [Verdict(case, "float64 outputs", "(all)", Status.INCONCLUSIVE, message=message)]

    def exact(node, a, b):
        return judge(case, "float64 outputs", node, b, a, gates.SEMANTIC_FORWARD)

    outputs = [answer["outputs"] for answer in wide]
    verdicts = judge_nodes(case, "float64 outputs", *outputs, exact, sides)
    slopes = [absent_if_zero(answer["gradients"]) for answer in wide]
    if any(slopes):
        verdicts += judge_nodes(
            case,
            "float64 gradients",
            *slopes,
            lambda n, a, b: judge_gradient(
                case, "float64 gradients", n, b, a, gates.SEMANTIC_GRADIENT
            ),
            sides,
        )
    raised = [f"{s}: {a['raises']}" for s, a in zip(sides, narrow) if "raises" in a]
    if raised:
        message = "; ".join(raised)
        return [*verdicts, Verdict(case, "call", "(float32)", Status.FAIL, message=message)]

    def precise(node, a, b):
        return judge_precision(
            case,
            "float32 outputs",
            node,
            a,
            b,
            wide[0]["outputs"].get(node),
            gates.PRECISION_FACTOR,
            gates.PRECISION_LEAST,
            gates.MAXIMUM_FACTOR,
            gates.MAXIMUM_LEAST,
            sides=sides,
        )

    outputs = [answer["outputs"] for answer in narrow]
    return verdicts + judge_nodes(case, "float32 outputs", *outputs, precise, sides)
