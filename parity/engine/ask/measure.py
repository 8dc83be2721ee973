"""Noise floors, measured: float32 summed in another order, or started one unit in the last place away.

Before: examination.py, judge/floors.py, which reads what is measured here. Asked by parity/cli.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from parity.case import Case
from parity.engine.ask.examination import Examination
from parity.engine.ask.examine import workers_of
from parity.engine.judge import gates
from parity.engine.judge.floors import Floors
from parity.engine.judge.gradients import absent_if_zero, precision_gradient_scale
from parity.engine.judge.judging import relative_l2, relative_max
from parity.engine.judge.ulps import nearby
from parity.engine.sides.workers import Workers
from parity.engine.values.record import Record

SECTIONS = ("forward", "gradients", "local forward", "local gradients")


VARIANTS = {
    "cpu": ("again", "one thread", "without oneDNN", "input one ulp away"),
    "cuda": ("again", "without cuDNN", "input one ulp away"),
}


def measure_floors(case: Case, workers: Workers | None = None, *, device: str = "cpu") -> Floors:
    """The noise of a case's reference on this machine; see floors.py."""
    with workers_of(case, workers, device) as used, Examination(case, used) as examination:
        examination.run_reference()
        return Floors(measure(examination), used.device)


def measure(examination: Examination, move: Callable = nearby) -> dict[str, dict[str, list[float]]]:
    """Floors of an examination whose `run_reference` has run, by section and node; move(inputs) is one ulp away."""
    worker = examination.workers[examination.sides[0]]
    found: dict[str, dict[str, list[float]]] = {section: {} for section in SECTIONS}
    original = examination.inputs
    for variant in VARIANTS[examination.workers.device]:
        worker.call("vary", variant)
        is_moved = variant.startswith("input")
        examination.inputs = move(original) if is_moved else original
        try:
            records = variant_32(examination)
        finally:
            examination.inputs = original
            worker.call("vary", "again")
        for exact, run, prefix in records:
            errors = {f"{prefix}forward": node_errors(exact["nodes"], run["nodes"])}
            if "gradients" in exact:
                parts = ("node_gradients", "gradients") if prefix else ("gradients",)
                errors[f"{prefix}gradients"] = {
                    node: error
                    for part in parts
                    for node, error in gradient_errors(exact[part], run[part]).items()
                }
            for section, by_node in errors.items():
                for node, error in by_node.items():
                    before = found[section].get(node, [0.0, 0.0])
                    found[section][node] = [max(pair) for pair in zip(before, error)]
    return {
        section: {node: [float(f"{x:.2g}") for x in e] for node, e in by_node.items()}
        for section, by_node in found.items()
    }


def variant_32(examination: Examination) -> list[tuple[Record, Record, str]]:
    """The float32 reference once more: (exact, run, prefix of the section) of a free and a forced run."""
    first = examination.sides[0]
    plans = (("free 32", "free 64", {}), ("forced 32", "forced 64", examination.forced))
    for name, replay, forced in plans:
        options = forced | {"replay": examination.path(first, replay)}
        examination.workers.collect(examination.submit(f"{name} again", (first,), **options))
    runs = [
        (examination[f"{first} free 64"], examination[f"{first} free 32 again"], ""),
        (examination[f"{first} forced 64"], examination[f"{first} forced 32 again"], "local "),
    ]
    examination.forget(f"{first} free 32 again", f"{first} forced 32 again")
    return runs


def node_errors(exact: Mapping, run: Mapping, scale: float = 0.0) -> dict[str, list[float]]:
    """Errors of float nodes in units of u."""
    return {
        node: [m(values, exact[node], scale) / gates.U32 for m in (relative_l2, relative_max)]
        for node, values in run.items()
        if values is not None and values.dtype.kind == "f" and exact.get(node) is not None
    }


def gradient_errors(exact: Mapping, run: Mapping) -> dict[str, list[float]]:
    exact, run = absent_if_zero(exact), absent_if_zero(run)
    return node_errors(exact, run, precision_gradient_scale(exact))
