"""What could make every comparison a lie, looked at before any is made.

Workers say what they measured of themselves (describe in backends); here it is
judged. A switch that changes what numbers mean must be off, or declared where nothing depends on it.

Before: judge/verdicts.py. Asked by examine.py, before any run.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping

from parity.engine.judge.verdicts import ENVIRONMENT, Status, Verdict
from parity.engine.sides.workers import Workers


def examine_environment(workers: Workers) -> tuple[dict, list[Verdict]]:
    """(descriptions by side, and the machine's; verdicts). Leaves both workers in float32."""
    wide = workers.both("describe", workers.device, "float64")
    found = workers.both("describe", workers.device, "float32")
    first = workers.labels[0]
    verdicts = [
        v
        for side in workers.labels
        for v in judge_side(side, found[side], wide[side], side == first)
    ]
    return {**found, "machine": describe_machine()}, verdicts


def judge_side(side: str, narrow: Mapping, wide: Mapping, reference: bool) -> list[Verdict]:
    """`narrow` is what the side says of itself in float32, `wide` in float64."""

    def verdict(check: str, fine: bool, wrong: Status, message: str) -> Verdict:
        status = Status.PASS if fine else wrong
        return Verdict(ENVIRONMENT, check, side, status, message="" if fine else message)

    return [
        verdict(
            "flush to zero",
            not narrow["flush_to_zero"],
            Status.FAIL if reference else Status.INCONCLUSIVE,
            "denormal numbers become 0"
            + ("" if reference else ": declared; floors are above them"),
        ),
        verdict(
            "TF32", not narrow["tf32"], Status.FAIL, "matrix products keep 10 bits: switch it off"
        ),
        verdict(
            "64-bit",
            not wide["narrows_64_bit"],
            Status.FAIL,
            "64-bit arrays are narrowed in float64 runs: the semantic gate would measure nothing",
        ),
        verdict(
            "NaN in comparisons",
            narrow["sees_nan"],
            Status.FAIL if reference else Status.INCONCLUSIVE,
            "kernels are compiled as if there were no NaN: declared; the harness looks for NaN in NumPy",
        ),
        verdict(
            "determinism",
            narrow["deterministic"],
            Status.INCONCLUSIVE,
            "the same convolution gives other bits the second time: every floor includes that",
        ),
        verdict(
            "libraries",
            bool(narrow["libraries"]),
            Status.INCONCLUSIVE,
            "no library found to hash: what ran is known by version only",
        ),
    ]


def describe_machine() -> dict:
    """Hardware and system, as far as numbers may depend on them."""
    model = ""
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            model = next((x.split(":")[1].strip() for x in file if x.startswith("model name")), "")
    return {
        "cpu": model or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
    }
